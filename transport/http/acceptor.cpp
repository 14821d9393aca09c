#include "transport/http/acceptor.hpp"

#include "transport/http/answer.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <limits>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::http {

namespace {

constexpr int accepts_per_turn = 64; ///< then open connections get their turn
constexpr auto accept_pause = std::chrono::milliseconds{100};

int open_reserve() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

/// The kernel gives the lowest free number, so a high one means that all below are taken.
int descriptor_bound(std::size_t descriptors_max) {
  auto budget = descriptors_max;
  if (rlimit now{}; budget == 0 && ::getrlimit(RLIMIT_NOFILE, &now) == 0)
    budget = now.rlim_cur;
  return static_cast<int>(
    std::min<std::size_t>(budget / 10 * 9 + budget % 10 * 9 / 10, std::numeric_limits<int>::max()));
}

} // namespace

acceptor::acceptor(std::shared_ptr<environment> shared, std::vector<std::shared_ptr<worker>> workers, int fd)
  : shared_(std::move(shared)), workers_(std::move(workers)), descriptor_(workers_.front()->context(), fd),
    pause_(workers_.front()->context()), reserve_(open_reserve()),
    descriptor_bound_(descriptor_bound(shared_->options.descriptors_max)) {}

acceptor::~acceptor() {
  if (reserve_ >= 0)
    ::close(reserve_);
}

void acceptor::start() {
  boost::asio::post(descriptor_.get_executor(), [self = shared_from_this()] { self->wait(); });
}

void acceptor::stop() {
  boost::asio::post(descriptor_.get_executor(), [self = shared_from_this()] {
    self->stopped_ = true;
    boost::system::error_code ignored;
    self->descriptor_.close(ignored);
    self->pause_.cancel();
  });
}

void acceptor::wait() {
  if (stopped_)
    return;
  descriptor_.async_wait(descriptor_.wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           if (!error)
                             self->on_acceptable();
                         });
}

void acceptor::on_acceptable() {
  for (int i = 0; i < accepts_per_turn && !stopped_; ++i)
    if (!accept_one())
      break;
  if (!paused_)
    wait();
}

/// Returns true when there may be another.
bool acceptor::accept_one() {
  sockaddr_storage from{};
  socklen_t size = sizeof(from);
  int fd = ::accept4(descriptor_.native_handle(), reinterpret_cast<sockaddr*>(&from), &size,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) {
    take(fd, from);
    if (fd < descriptor_bound_)
      return true;
    pause("descriptors run short");
    return false;
  }
  if (errno == EAGAIN)
    return false;
  if (errno == EMFILE || errno == ENFILE)
    turn_one_away();
  else if (errno != ENOBUFS && errno != ENOMEM)
    return true; // the one that was waiting has gone (accept(2) hands network errors through)
  // The socket stays readable, so waiting for that would spin.
  pause(std::strerror(errno));
  return false;
}

void acceptor::take(int fd, const sockaddr_storage& from) {
  auto key = key_of(from);
  if (shared_->ledger.enter(key, shared_->options.limits) != connection_ledger::verdict::welcome)
    return turn_away(fd);
  int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  // A client of a quiet stream may vanish without a word; nothing else would ever tell.
  const int idle_s = 20, interval_s = 5, probes = 3;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
  auto& least = *std::ranges::min_element(workers_, {}, &worker::load);
  least->adopt(fd, key, text_of(from));
}

/// Closes it, with a reason if it speaks plainly.
void acceptor::turn_away(int fd) const {
  if (!shared_->tls) {
    // What it has sent is read first: unread bytes would make the kernel throw the answer away.
    std::array<char, 4096> ignored;
    static_cast<void>(::recv(fd, ignored.data(), ignored.size(), MSG_DONTWAIT));
    auto answer = error_response(503, "too many connections");
    answer.headers.add("Retry-After", "1");
    auto wire = make_answer(std::move(answer), {.keep_alive = false, .request_id = "-"}, http_date());
    static_cast<void>(::send(fd, wire.head.data(), wire.head.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    ::shutdown(fd, SHUT_WR);
  }
  ::close(fd);
}

void acceptor::turn_one_away() {
  auto error = errno;
  if (reserve_ >= 0) {
    ::close(reserve_);
    int fd = ::accept4(descriptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
      turn_away(fd);
    reserve_ = open_reserve();
  }
  errno = error;
}

void acceptor::pause(std::string_view why) {
  if (!shared_->pressed.exchange(true)) {
    shared_->trouble(why);
    for (const auto& each : workers_)
      each->close_idle();
  }
  paused_ = true;
  pause_.expires_after(accept_pause);
  pause_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && !self->stopped_)
      self->resume();
  });
}

void acceptor::resume() {
  if (short_of_descriptors())
    return pause("descriptors are still short");
  paused_ = false;
  shared_->pressed = false;
  wait();
}

bool acceptor::short_of_descriptors() const {
  int probe = open_reserve();
  if (probe >= 0)
    ::close(probe);
  return probe < 0 || probe >= descriptor_bound_;
}

} // namespace sluice::http
