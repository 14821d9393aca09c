#include "transport/http/access_log.hpp"

#include "transport/process/log_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

namespace sluice::http {

namespace {

/// Lines are written together: a busy server makes tens of thousands a second.
constexpr auto gather_for = std::chrono::milliseconds{100};

/// Writes a line into room that is known to be enough. One is written for each request, so nothing is checked twice.
class line_writer {
public:
  explicit line_writer(char* at) : at_(at) {}

  void raw(std::string_view text) { at_ = std::copy(text.begin(), text.end(), at_); }

  /// What a client wrote, so that it can neither end the text nor the line.
  void text(std::string_view what) {
    constexpr std::string_view digits = "0123456789abcdef";
    for (const char each : what) {
      const auto byte = static_cast<unsigned char>(each);
      if (byte >= 0x20 && byte < 0x7f && each != '"' && each != '\\') {
        *at_++ = each;
      } else {
        raw("\\u00");
        *at_++ = digits[byte >> 4];
        *at_++ = digits[byte & 15];
      }
    }
  }

  void number(std::uint64_t value) { at_ = std::to_chars(at_, at_ + digits_max, value).ptr; }

  const char* end() const noexcept { return at_; }

  static constexpr std::size_t digits_max = 20;
  static constexpr std::size_t escaped_max = 6; ///< bytes for one of a client's

private:
  char* at_;
};

} // namespace

std::string access_line(const access_entry& entry, std::chrono::system_clock::time_point at) {
  const auto unix_ms = std::chrono::floor<std::chrono::milliseconds>(at).time_since_epoch().count();
  constexpr std::size_t names_and_numbers_max = 192 + 6 * line_writer::digits_max;
  const auto texts =
    entry.id.size() + entry.client.size() + entry.method.size() + entry.path.size() + entry.processor.size();
  std::string out(names_and_numbers_max + texts * line_writer::escaped_max, '\0');
  line_writer line{out.data()};
  line.raw("{\"time\":\"");
  line.raw(process::to_timestamp(unix_ms));
  line.raw("\",\"id\":\"");
  line.text(entry.id);
  line.raw("\",\"client\":\"");
  line.text(entry.client);
  line.raw("\",\"method\":\"");
  line.text(entry.method);
  line.raw("\",\"path\":\"");
  line.text(entry.path);
  line.raw("\",\"status\":");
  line.number(entry.status);
  line.raw(",\"bytes_in\":");
  line.number(entry.bytes_in);
  line.raw(",\"bytes_out\":");
  line.number(entry.bytes);
  line.raw(",\"duration_us\":");
  line.number(static_cast<std::uint64_t>(std::max<std::int64_t>(entry.taken.count(), 0)));
  line.raw(",\"processor\":\"");
  line.text(entry.processor);
  line.raw("\",\"replica\":");
  line.number(entry.replica);
  line.raw(",\"attempts\":");
  line.number(entry.attempts);
  line.raw("}\n");
  out.resize(static_cast<std::size_t>(line.end() - out.data()));
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
