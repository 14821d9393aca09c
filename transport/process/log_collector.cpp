#include "transport/process/log_collector.hpp"

#include "transport/process/log_format.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <fcntl.h>
#include <unistd.h>

namespace sluice::process {

namespace asio = boost::asio;

namespace {

constexpr std::size_t turn_bytes_max = 256u << 10;  ///< then the next host has its turn
constexpr std::size_t finish_bytes_max = 16u << 20; ///< of what a host left behind in its pipe
constexpr std::size_t tail_bytes_max = 256u << 10;

/// The last lines, bounded by count and bytes.
class line_tail {
public:
  void add(std::string_view lines) {
    while (!lines.empty()) {
      const auto end = std::min(lines.find('\n'), lines.size());
      lines_.emplace_back(lines.substr(0, end));
      size_bytes_ += end;
      lines.remove_prefix(std::min(end + 1, lines.size()));
      while (lines_.size() > limits::crash_log_lines_max
             || (lines_.size() > 1 && size_bytes_ > tail_bytes_max)) {
        size_bytes_ -= lines_.front().size();
        lines_.pop_front();
      }
    }
  }
  std::vector<std::string> take() { return {lines_.begin(), lines_.end()}; }

private:
  std::deque<std::string> lines_;
  std::size_t size_bytes_ = 0;
};

} // namespace

struct log_collector::stream {
  stream(asio::io_context& io, unique_fd fd, std::filesystem::path directory, log_bounds bounds)
    : pipe(io, fd.release()), writer(std::move(directory), bounds) {}

  asio::posix::stream_descriptor pipe;
  line_formatter formatter{limits::log_line_bytes_max};
  log_writer writer;
  line_tail tail;
};

log_collector::log_collector(std::function<std::int64_t()> unix_ms)
  : unix_ms_(std::move(unix_ms)), guard_(io_.get_executor()), thread_([this] { io_.run(); }) {}

log_collector::~log_collector() {
  // What was posted still runs; then every wait is cancelled, which ends the loop.
  asio::post(io_, [this] {
    for (auto& [key, each] : streams_)
      each->pipe.close();
    streams_.clear();
  });
  guard_.reset();
  thread_.join();
}

void log_collector::add(std::uint64_t key, unique_fd pipe, std::filesystem::path directory,
                        log_bounds bounds) {
  ::fcntl(pipe.get(), F_SETFL, ::fcntl(pipe.get(), F_GETFL) | O_NONBLOCK);
  auto fresh = std::make_shared<stream>(io_, std::move(pipe), std::move(directory), bounds);
  asio::post(io_, [this, key, fresh] {
    streams_[key] = fresh;
    wait(fresh);
  });
}

void log_collector::finish(std::uint64_t key, std::function<std::string(const log_lines&)> last_words,
                           std::function<void(log_lines)> done) {
  asio::post(io_, [this, key, last_words = std::move(last_words), done = std::move(done)] {
    auto found = streams_.find(key);
    if (found == streams_.end()) {
      last_words({});
      done({});
      return;
    }
    auto& which = *found->second;
    if (which.pipe.is_open())
      read_some(which, finish_bytes_max);
    std::string rest;
    which.formatter.finish(to_timestamp(unix_ms_()) + " ", rest);
    store(which, rest);
    which.pipe.close();
    auto tail = which.tail.take();
    std::string words;
    which.formatter.feed(last_words(tail) + "\n", to_timestamp(unix_ms_()) + " ", words);
    which.writer.write(words);
    streams_.erase(found);
    done(std::move(tail));
  });
}

void log_collector::wait(const std::shared_ptr<stream>& which) {
  which->pipe.async_wait(asio::posix::stream_descriptor::wait_read,
                         [this, which](const boost::system::error_code& error) {
                           if (error)
                             return;
                           if (read_some(*which, turn_bytes_max))
                             wait(which);
                           else
                             which->pipe.close();
                         });
}

/// Returns false at the end of the output.
bool log_collector::read_some(stream& which, std::size_t bytes_max) {
  std::array<char, 64u << 10> buffer;
  std::string lines;
  const auto prefix = to_timestamp(unix_ms_()) + " ";
  for (std::size_t total = 0; total < bytes_max;) {
    const auto n = ::read(which.pipe.native_handle(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return true;
    if (n <= 0)
      return false;
    total += static_cast<std::size_t>(n);
    lines.clear();
    which.formatter.feed({buffer.data(), static_cast<std::size_t>(n)}, prefix, lines);
    store(which, lines);
  }
  return true;
}

void log_collector::store(stream& which, const std::string& lines) {
  which.tail.add(lines);
  which.writer.write(lines);
}

} // namespace sluice::process
