#include "transport/http/access_log.hpp"

#include "transport/process/log_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace sluice::http {

namespace {

/// Lines are written together: a busy server makes tens of thousands a second.
constexpr auto gather_for = std::chrono::milliseconds{100};

/// What a client wrote, so that it can neither end the text nor the line.
void append_text(std::string& out, std::string_view name, std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  out += ",\"";
  out += name;
  out += "\":\"";
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    if (byte >= 0x20 && byte < 0x7f && each != '"' && each != '\\') {
      out += each;
    } else {
      out += "\\u00";
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  out += '"';
}

void append_number(std::string& out, std::string_view name, std::uint64_t value) {
  out += ",\"";
  out += name;
  out += "\":";
  out += std::to_string(value);
}

} // namespace

std::string access_line(const access_entry& entry, std::chrono::system_clock::time_point at) {
  const auto unix_ms = std::chrono::floor<std::chrono::milliseconds>(at).time_since_epoch().count();
  std::string out;
  out.reserve(320);
  out += "{\"time\":\"";
  out += process::to_timestamp(unix_ms);
  out += '"';
  append_text(out, "id", entry.id);
  append_text(out, "client", entry.client);
  append_text(out, "method", entry.method);
  append_text(out, "path", entry.path);
  append_number(out, "status", entry.status);
  append_number(out, "bytes_in", entry.bytes_in);
  append_number(out, "bytes_out", entry.bytes);
  append_number(out, "duration_us",
                static_cast<std::uint64_t>(std::max<std::int64_t>(entry.taken.count(), 0)));
  append_text(out, "processor", entry.processor);
  append_number(out, "replica", entry.replica);
  append_number(out, "attempts", entry.attempts);
  out += "}\n";
  return out;
}

access_log::access_log(access_log_options what) : options_(std::move(what)) {
  std::error_code ignored; // the writer says what is wrong with the disk
  std::filesystem::create_directories(options_.directory, ignored);
  thread_ = std::thread{[this] { run(); }};
}

access_log::~access_log() {
  {
    std::lock_guard lock{mutex_};
    ended_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void access_log::add(const access_entry& entry) {
  auto line = access_line(entry, options_.now());
  bool is_first = false;
  {
    std::lock_guard lock{mutex_};
    if (waiting_.size() + line.size() > waiting_bytes_max) {
      ++dropped_;
      return;
    }
    is_first = waiting_.empty();
    waiting_ += line;
  }
  if (is_first)
    changed_.notify_one();
}

void access_log::run() {
  process::log_writer writer{options_.directory, options_.bounds};
  std::string taken;
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return ended_ || !waiting_.empty(); });
    if (!ended_)
      changed_.wait_for(lock, gather_for,
                        [this] { return ended_ || waiting_.size() > waiting_bytes_max / 4; });
    const bool is_last = ended_;
    taken.swap(waiting_);
    const auto dropped = std::exchange(dropped_, 0);
    lock.unlock();
    if (dropped > 0)
      taken += fmt::format("{{\"dropped\":{}}}\n", dropped);
    if (!taken.empty())
      writer.write(taken);
    taken.clear();
    if (is_last)
      return;
    lock.lock();
  }
}

} // namespace sluice::http
