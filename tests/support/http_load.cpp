#include "tests/support/http_load.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <deque>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace sluice::testing {

namespace {

using clock = std::chrono::steady_clock;

constexpr auto patience = std::chrono::seconds{10};

double thread_cpu_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

/// The bytes of the answer at the front, if it is whole.
struct whole_answer {
  std::size_t size = 0;
  unsigned status = 0;
  bool closes = false;
};

/// What is looked for may be written in any case but is always one of ours or of a well-known server.
std::optional<std::string_view> field(std::string_view head, std::string_view name) {
  for (std::size_t at = 0; (at = head.find("\r\n", at)) != std::string_view::npos;) {
    at += 2;
    if (head.size() - at > name.size() && head[at + name.size()] == ':'
        && ::strncasecmp(head.data() + at, name.data(), name.size()) == 0) {
      auto value = head.substr(at + name.size() + 1);
      value = value.substr(0, value.find("\r\n"));
      value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
      return value;
    }
  }
  return std::nullopt;
}

std::optional<whole_answer> parse(std::string_view bytes) {
  const auto head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string_view::npos)
    return std::nullopt;
  const auto head = bytes.substr(0, head_end);
  whole_answer out;
  if (head.size() < 12 || std::from_chars(head.data() + 9, head.data() + 12, out.status).ec != std::errc{})
    throw std::runtime_error{"load: this is no answer: " + std::string{head.substr(0, 100)}};
  std::size_t length = 0;
  if (auto text = field(head, "Content-Length"))
    std::from_chars(text->data(), text->data() + text->size(), length);
  else if (out.status != 204)
    throw std::runtime_error{"load: an answer without Content-Length: " + std::string{head}};
  out.size = head_end + 4 + length;
  if (bytes.size() < out.size)
    return std::nullopt;
  if (auto text = field(head, "Connection"))
    out.closes = *text == "close";
  return out;
}

/// A message of a WebSocket's server, in one frame; another frame is a failure.
std::optional<whole_answer> parse_frame(std::string_view bytes) {
  if (bytes.size() < 4)
    return std::nullopt;
  auto byte = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[at])); };
  const auto opcode = byte(0) & 0x0f;
  const bool is_long = byte(1) == 126;
  whole_answer out;
  out.size = is_long ? 4 + (byte(2) << 8 | byte(3)) : 2 + byte(1);
  out.status = opcode == 1 || opcode == 2 ? 200 : 0;
  return bytes.size() < out.size ? std::nullopt : std::optional{out};
}

struct client {
  int fd = -1;
  std::size_t port = 0;    ///< index
  std::size_t request = 0; ///< index of the one under way, or next
  bool is_busy = false;
  clock::time_point since; ///< when the request under way was sent, or due in an open loop
  std::string in;
};

clock::duration distance_of(double per_s) {
  return per_s > 0 ? std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(1 / per_s))
                   : clock::duration::zero();
}

class run {
public:
  run(const load_options& options, const std::atomic<bool>& stop, std::atomic<std::uint64_t>& progress)
    : options_(options), stop_(stop), progress_(progress), poll_(::epoll_create1(EPOLL_CLOEXEC)),
      all_(options.connections), distance_(distance_of(options.per_s)) {
    // The kernel may not wake this thread later than asked, or the load would time its own lateness.
    ::prctl(PR_SET_TIMERSLACK, 1UL);
    out_.by_status.resize(options.requests.size());
    out_.taken_us.reserve(1u << 16);
  }
  ~run() {
    for (auto& each : all_)
      if (each.fd >= 0)
        ::close(each.fd);
    ::close(poll_);
  }
  run(const run&) = delete;
  run& operator=(const run&) = delete;

  load_report go() {
    for (std::size_t i = 0; i < all_.size(); ++i) {
      all_[i].port = i % options_.ports.size();
      all_[i].request = i % options_.requests.size();
      open(all_[i]);
    }
    const auto begin = clock::now();
    auto counted_from = begin + options_.warm_up;
    due_ = begin;
    for (auto& each : all_)
      if (is_open_loop())
        free_.push_back(&each);
      else
        send(each, begin);
    double cpu_before = 0;
    for (auto now = clock::now();; now = clock::now()) {
      if (!counting_ && now >= counted_from) {
        counting_ = true;
        counted_from = now;
        cpu_before = thread_cpu_seconds();
      }
      if (stop_ || (options_.duration.count() > 0 && now >= counted_from + options_.duration))
        break;
      turn(now);
    }
    out_.seconds = std::chrono::duration<double>(clock::now() - counted_from).count();
    out_.own_cpu_s = thread_cpu_seconds() - cpu_before;
    ending_ = true;
    for (const auto until = clock::now() + patience; busy_ > 0 && clock::now() < until;)
      turn(clock::now());
    std::sort(out_.taken_us.begin(), out_.taken_us.end());
    return std::move(out_);
  }

private:
  void open(client& one) {
    const auto port = options_.ports[one.port];
    one.fd = options_.opening.empty() ? connect_to_loopback(port) : connect_websocket(port, options_.opening);
    one.in.clear();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &one;
    ::epoll_ctl(poll_, EPOLL_CTL_ADD, one.fd, &event);
  }

  bool is_open_loop() const { return options_.per_s > 0; }

  void send(client& one, clock::time_point since) {
    const auto& bytes = options_.requests[one.request];
    one.since = since;
    one.is_busy = true;
    ++busy_;
    for (std::size_t done = 0; done < bytes.size();) {
      auto count = ::send(one.fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (count < 0)
        return; // the reader learns that the connection is gone
      done += static_cast<std::size_t>(count);
    }
  }

  void turn(clock::time_point now) {
    while (!later_.empty() && later_.front().first <= now) {
      auto& one = *later_.front().second;
      later_.pop_front();
      if (!ending_)
        send(one, now);
    }
    for (; is_open_loop() && !ending_ && !free_.empty() && due_ <= now; due_ += distance_) {
      send(*free_.front(), due_);
      free_.pop_front();
    }
    auto until = now + std::chrono::milliseconds{100};
    if (!later_.empty())
      until = std::min(until, later_.front().first);
    if (is_open_loop() && !ending_ && !free_.empty())
      until = std::min(until, due_);
    const auto wait_ns = std::max<std::int64_t>((until - clock::now()) / std::chrono::nanoseconds{1}, 0);
    const timespec wait{0, static_cast<long>(wait_ns)};
    epoll_event events[256];
    const int ready = ::epoll_pwait2(poll_, events, 256, &wait, nullptr);
    if (ready < 0 && errno != EINTR)
      throw std::runtime_error{std::string{"load: epoll_pwait2: "} + std::strerror(errno)};
    for (int i = 0; i < ready; ++i)
      read(*static_cast<client*>(events[i].data.ptr));
  }

  void read(client& one) {
    char buffer[16384];
    const auto count = ::recv(one.fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (count <= 0)
      return lost(one);
    std::string_view bytes{buffer, static_cast<std::size_t>(count)};
    if (!one.in.empty()) {
      one.in += bytes;
      bytes = one.in;
    }
    auto answer = options_.opening.empty() ? parse(bytes) : parse_frame(bytes);
    if (!answer) {
      if (one.in.empty())
        one.in = bytes;
      return;
    }
    note(one, answer->status, bytes.substr(0, answer->size));
    one.in.clear();
    one.is_busy = false;
    --busy_;
    if (answer->closes)
      reopen(one);
    next(one);
  }

  void next(client& one) {
    one.request = (one.request + 1) % options_.requests.size();
    if (ending_)
      return;
    if (is_open_loop())
      free_.push_back(&one);
    else if (options_.pause.count() > 0)
      later_.emplace_back(clock::now() + options_.pause, &one);
    else
      send(one, clock::now());
  }

  /// The connection has ended. With a request under way that is a failure, else the server's good right.
  void lost(client& one) {
    const bool was_busy = std::exchange(one.is_busy, false);
    reopen(one);
    if (!was_busy)
      return;
    --busy_;
    note(one, 0, "the connection ended with the request under way");
    next(one);
  }

  void reopen(client& one) {
    ::close(one.fd);
    open(one);
  }

  void note(const client& one, unsigned status, std::string_view text) {
    progress_.fetch_add(1, std::memory_order_relaxed);
    if (!counting_ && options_.warm_up.count() > 0)
      return;
    ++out_.count;
    ++out_.by_status[one.request][status];
    if (status / 100 != 2 && out_.first_failure.empty())
      out_.first_failure = text;
    out_.taken_us.push_back(std::chrono::duration<float, std::micro>(clock::now() - one.since).count());
  }

  const load_options& options_;
  const std::atomic<bool>& stop_;
  std::atomic<std::uint64_t>& progress_;
  const int poll_;
  std::vector<client> all_;
  const clock::duration distance_;                          ///< of an open loop's requests
  clock::time_point due_;                                   ///< its next one
  std::deque<client*> free_;                                ///< in it, the longest free one first
  std::deque<std::pair<clock::time_point, client*>> later_; ///< all wait equally long
  std::size_t busy_ = 0;
  bool counting_ = false;
  bool ending_ = false;
  load_report out_;
};

} // namespace

double load_report::quantile_us(double part) const {
  if (taken_us.empty())
    return 0;
  auto at = static_cast<std::size_t>(part * static_cast<double>(taken_us.size()));
  return taken_us[std::min(at, taken_us.size() - 1)];
}

std::uint64_t load_report::failed(std::size_t request) const {
  std::uint64_t out = 0;
  for (const auto& [status, count] : by_status[request])
    if (status / 100 != 2)
      out += count;
  return out;
}

load_report run_load(const load_options& options, const std::atomic<bool>& stop,
                     std::atomic<std::uint64_t>& progress) {
  return run{options, stop, progress}.go();
}

load_report run_load(const load_options& options) {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> progress{0};
  return run_load(options, stop, progress);
}

int connect_to_loopback(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof(at)) != 0) {
    std::string why = std::strerror(errno);
    if (fd >= 0)
      ::close(fd);
    throw std::runtime_error{"cannot connect to port " + std::to_string(port) + ": " + why};
  }
  int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return fd;
}

int connect_websocket(std::uint16_t port, const std::string& opening) {
  const int fd = connect_to_loopback(port);
  std::string head;
  bool is_there =
    ::send(fd, opening.data(), opening.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(opening.size());
  for (char next = 0; is_there && !head.ends_with("\r\n\r\n");
       head += next) // what follows it is the server's first frame
    is_there = ::recv(fd, &next, 1, 0) == 1;
  if (is_there && head.starts_with("HTTP/1.1 101 "))
    return fd;
  ::close(fd);
  throw std::runtime_error{"no WebSocket at port " + std::to_string(port) + ": " + head};
}

std::size_t raise_descriptor_limit() {
  rlimit now{};
  ::getrlimit(RLIMIT_NOFILE, &now);
  now.rlim_cur = now.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &now);
  return now.rlim_cur;
}

} // namespace sluice::testing
