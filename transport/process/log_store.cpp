#include "transport/process/log_store.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <set>
#include <tuple>

namespace sluice::process {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t read_bytes_max = 1u << 20;

std::string name_of(const log_directory::entry& entry) {
  char text[96];
  std::snprintf(text, sizeof text, "%010llu-v%llu-%016llx", static_cast<unsigned long long>(entry.number),
                static_cast<unsigned long long>(entry.version.value),
                static_cast<unsigned long long>(entry.host.value));
  return text;
}

template <class Number>
bool take_number(std::string_view& text, Number& value, int base) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{})
    return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool take(std::string_view& text, std::string_view expected) {
  if (text.substr(0, expected.size()) != expected)
    return false;
  text.remove_prefix(expected.size());
  return true;
}

bool parse_name(std::string_view text, log_directory::entry& out) {
  return take_number(text, out.number, 10) && take(text, "-v") && take_number(text, out.version.value, 10)
         && take(text, "-") && take_number(text, out.host.value, 16) && text.empty();
}

} // namespace

fs::path log_directory::open(const flow_name& flow, flow_version version, host_id host) {
  std::lock_guard guard{mutex_};
  auto entries = list_locked(flow);
  std::size_t ended = static_cast<std::size_t>(
    std::count_if(entries.begin(), entries.end(), [](const auto& each) { return each.ended; }));
  std::error_code ignored;
  for (const auto& each : entries)
    if (each.ended && ended > limits::dead_host_logs_kept_max) {
      fs::remove_all(each.path, ignored);
      --ended;
    }
  entry fresh{flow, version, host, entries.empty() ? 1 : entries.back().number + 1, {}, false};
  fresh.path = root_ / flow.value / name_of(fresh);
  fs::create_directories(fresh.path, ignored);
  live_[host] = fresh;
  remove_oldest_locked();
  return fresh.path;
}

/// Of flows that are deleted nothing is opened any more: their logs go when those of others need the room.
void log_directory::remove_oldest_locked() {
  struct candidate {
    fs::file_time_type written;
    std::uintmax_t size_bytes = 0;
    const entry* log = nullptr;
  };
  std::set<flow_name> running;
  for (const auto& [host, each] : live_)
    running.insert(each.flow);
  const auto entries = list_locked({});
  std::map<flow_name, const entry*> newest; // of flows that run here
  for (const auto& log : entries)
    if (log.ended && running.contains(log.flow))
      newest[log.flow] = &log;
  std::uintmax_t total = 0;
  std::vector<candidate> candidates;
  for (const auto& log : entries) {
    if (!log.ended)
      continue;
    candidate one{fs::file_time_type::min(), 0, &log};
    std::error_code error;
    for (fs::directory_iterator file{log.path, error}, end; !error && file != end; file.increment(error)) {
      std::error_code gone;
      if (const auto size = file->file_size(gone); !gone)
        one.size_bytes += size;
      if (const auto at = file->last_write_time(gone); !gone)
        one.written = std::max(one.written, at);
    }
    one.size_bytes = std::max(one.size_bytes, log_bytes_min);
    total += one.size_bytes;
    if (const auto kept = newest.find(log.flow); kept == newest.end() || kept->second != &log)
      candidates.push_back(one);
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const auto& a, const auto& b) { return a.written < b.written; });
  for (auto each = candidates.begin(); each != candidates.end() && total > ended_max_; ++each) {
    std::error_code ignored;
    fs::remove_all(each->log->path, ignored);
    fs::remove(root_ / each->log->flow.value, ignored); // if it was the last one in there
    total -= each->size_bytes;
  }
}

void log_directory::close(host_id host) {
  std::lock_guard guard{mutex_};
  live_.erase(host);
}

void log_directory::read_flow(const flow_name& flow, std::vector<entry>& out) const {
  std::error_code error;
  for (fs::directory_iterator each{root_ / flow.value, error}, end; !error && each != end;
       each.increment(error)) {
    entry found;
    if (!parse_name(each->path().filename().string(), found))
      continue;
    found.flow = flow;
    found.path = each->path();
    found.ended = !live_.contains(found.host);
    out.push_back(std::move(found));
  }
}

std::vector<log_directory::entry> log_directory::list_locked(const flow_name& flow) const {
  std::vector<entry> out;
  if (flow.value == node::access_log_flow) {
    if (!access_log_.empty())
      out.push_back({flow, {}, host_id{1}, 1, access_log_, false});
    return out;
  }
  if (!flow.empty()) {
    if (is_valid_name(flow.value))
      read_flow(flow, out);
  } else {
    std::error_code error;
    for (fs::directory_iterator each{root_, error}, end; !error && each != end; each.increment(error))
      if (const auto name = each->path().filename().string(); is_valid_name(name))
        read_flow(flow_name{name}, out);
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
    return std::tie(a.flow, a.number) < std::tie(b.flow, b.number);
  });
  return out;
}

std::vector<log_directory::entry> log_directory::list(const flow_name& flow) const {
  std::lock_guard guard{mutex_};
  return list_locked(flow);
}

std::optional<log_directory::entry> log_directory::find(const flow_name& flow, host_id host) const {
  auto entries = list(flow);
  for (auto each = entries.rbegin(); each != entries.rend(); ++each)
    if (!host || each->host == host)
      return *each;
  return std::nullopt;
}

result<node::log_chunk> log_store::read_now(const node::log_request& request) const {
  if (request.flow.empty() && !request.host)
    return fail(errc::invalid_argument, "a log is asked for by flow or by host");
  // Looked up before reading: a host that ends in between is reported as ended next time.
  const auto found = logs_.find(request.flow, request.host);
  if (!found && request.host)
    return fail(errc::not_found, "host " + std::to_string(request.host.value) + " has no log on this node");
  if (!found)
    return fail(errc::not_found, "flow '" + request.flow.value + "' has no log on this node");
  const auto size_bytes = std::clamp<std::size_t>(request.size_bytes_max, 1, read_bytes_max);
  auto text = request.tail_lines > 0 ? read_log_tail(found->path, request.tail_lines, size_bytes)
                                     : read_log(found->path, request.offset, size_bytes);
  if (!text)
    return fail(text);
  node::log_chunk chunk;
  chunk.host = found->host;
  chunk.text = std::move(text->text);
  chunk.offset_next = text->offset_next;
  // "Nothing will be added" is only said with the last piece.
  if (found->ended)
    if (auto rest = read_log(found->path, chunk.offset_next, 1); rest && rest->text.empty())
      chunk.host_ended = true;
  return chunk;
}

void log_store::read(const node::log_request& request, std::function<void(result<node::log_chunk>)> done) {
  if (!thread_.post([this, request, done] { done(read_now(request)); }))
    done(fail(errc::overloaded, "too many log reads wait on this node"));
}

void log_store::sources(const node::log_sources_request& request,
                        std::function<void(result<node::log_sources_reply>)> done) {
  auto work = [this, request, done] {
    node::log_sources_reply reply;
    for (const auto& each : logs_.list(request.flow))
      reply.sources.push_back({each.flow, each.host, each.ended});
    done(std::move(reply));
  };
  if (!thread_.post(work))
    done(fail(errc::overloaded, "too many log reads wait on this node"));
}

} // namespace sluice::process
