#include "runtime/local_feed.hpp"

#include <sluice/codec/utf8.hpp>
#include <sluice/core/limits.hpp>

#include <caf/scoped_actor.hpp>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <utility>

namespace sluice::runtime {

namespace {

constexpr std::chrono::seconds append_timeout{30};
constexpr int look_up_every_ms = 100; ///< while nothing comes from a pipe: has it been stopped?
constexpr std::size_t feed_block_bytes = 1u << 20;
constexpr std::size_t feed_block_count = 1000;

/// Lines of a descriptor that may be a pipe. Ends early when `stopped`.
class line_input {
public:
  line_input(int fd, const std::atomic<bool>& stopped) : fd_(fd), stopped_(stopped) {}

  /// False at the end. `may_wait` false: false as well when nothing is there yet.
  result<bool> next(std::string& line, bool may_wait) {
    for (;;) {
      const auto at = buffer_.find('\n', scanned_);
      if (at != std::string::npos) {
        take(line, at);
        begin_ = scanned_ = at + 1;
        return true;
      }
      scanned_ = buffer_.size();
      if (buffer_.size() - begin_ > limits::record_size_bytes_max)
        return fail(errc::invalid_argument, "a line is longer than a record may be ("
                                              + std::to_string(limits::record_size_bytes_max) + " bytes)");
      if (ended_) {
        take(line, buffer_.size());
        begin_ = scanned_ = buffer_.size();
        return !line.empty();
      }
      if (!may_wait && !is_ready(0))
        return false;
      if (auto ok = fill(); !ok)
        return fail(ok);
      if (stopped_)
        return false;
    }
  }

  bool ended() const noexcept { return ended_ && begin_ == buffer_.size(); }

private:
  void take(std::string& line, std::size_t end) {
    const auto text = std::string_view{buffer_}.substr(begin_, end - begin_);
    line = std::exchange(is_at_begin_, false) ? codec::without_byte_order_mark(text) : text;
  }

  bool is_ready(int wait_ms) const {
    pollfd ready{fd_, POLLIN, 0};
    return ::poll(&ready, 1, wait_ms) > 0;
  }

  result<void> fill() {
    while (!is_ready(look_up_every_ms)) {
      if (stopped_)
        return {};
    }
    buffer_.erase(0, begin_);
    scanned_ -= begin_;
    begin_ = 0;
    const auto before = buffer_.size();
    buffer_.resize(before + (64u << 10));
    const auto count = ::read(fd_, buffer_.data() + before, buffer_.size() - before);
    buffer_.resize(before + static_cast<std::size_t>(count > 0 ? count : 0));
    if (count < 0 && errno != EINTR && errno != EAGAIN)
      return fail(errc::unavailable, errno == EBADF ? "standard input is closed" : std::strerror(errno));
    ended_ = count == 0;
    return {};
  }

  int fd_;
  const std::atomic<bool>& stopped_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t scanned_ = 0;
  bool is_at_begin_ = true; ///< no line has been given
  bool ended_ = false;
};

result<void> append(caf::scoped_actor& self, const queue::handle& to, const std::string& name,
                    record_block records) {
  result<void> out;
  self->request(to, append_timeout, queue::append_request{queue_name{name}, std::move(records), {}, 0})
    .receive([](const queue::append_reply&) {},
             [&](caf::error& why) { out = tl::unexpected{from_caf(why)}; });
  return out;
}

result<void> feed_one(caf::scoped_actor& self, const queue::handle& to, const queue_feed& what, int fd,
                      const std::atomic<bool>& stopped, std::atomic<std::uint64_t>& count) {
  line_input input{fd, stopped};
  std::string line;
  record_block_builder block;
  while (!stopped) {
    // What is there is sent before more is waited for.
    auto got = input.next(line, block.count() == 0);
    if (!got)
      return fail(got);
    if (*got && line.find_first_not_of(" \t\r") != std::string::npos)
      block.add(line);
    const bool full = block.count() >= feed_block_count || block.size_bytes() >= feed_block_bytes;
    if (block.count() > 0 && (full || !*got)) {
      const auto size = block.count();
      if (auto ok = append(self, to, what.queue, block.finish()); !ok)
        return ok;
      count += size;
    }
    if (!*got && input.ended())
      break;
  }
  return {};
}

} // namespace

local_feed::local_feed(caf::actor_system& sys, queue::handle to, std::vector<queue_feed> feeds)
  : shared_(std::make_shared<shared>()) {
  if (feeds.empty()) {
    shared_->done = true;
    return;
  }
  thread_ = std::thread{[&sys, to = std::move(to), feeds = std::move(feeds), mine = shared_]() mutable {
    {
      caf::scoped_actor self{sys};
      for (const auto& what : feeds) {
        const int fd = what.file == "-" ? ::dup(STDIN_FILENO)
                                        : ::open(what.file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        auto ok = fd < 0 ? result<void>{fail(errc::not_found, std::strerror(errno))}
                         : feed_one(self, to, what, fd, mine->stopped, mine->count);
        if (fd >= 0)
          ::close(fd);
        if (!ok) {
          mine->error =
            failure{ok.error().code, "--put " + what.queue + "=" + what.file + ": " + ok.error().message};
          break;
        }
      }
    }
    mine->done = true;
  }};
}

local_feed::~local_feed() {
  stop();
  if (thread_.joinable())
    thread_.join();
}

} // namespace sluice::runtime
