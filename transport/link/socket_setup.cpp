#include "transport/link/socket_setup.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace sluice::link {

namespace {

namespace ip = boost::asio::ip;

constexpr int unix_backlog = 512;

tl::unexpected<failure> system_failure(errc code, const std::string& what) {
  return fail(code, what + ": " + std::strerror(errno));
}

/// Closes the descriptor unless it was taken.
class fd_guard {
public:
  explicit fd_guard(int fd) : fd_(fd) {}
  ~fd_guard() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  fd_guard(const fd_guard&) = delete;
  fd_guard& operator=(const fd_guard&) = delete;
  int get() const { return fd_; }
  int take() { return std::exchange(fd_, -1); }

private:
  int fd_;
};

result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(at.sun_path))
    return fail(errc::invalid_argument, "'" + path + "' cannot be the path of a socket: 1 to "
                                          + std::to_string(sizeof(at.sun_path) - 1) + " bytes are allowed");
  std::memcpy(at.sun_path, path.c_str(), path.size());
  return at;
}

std::string numeric(const std::string& host) { return host == "localhost" ? "127.0.0.1" : host; }

} // namespace

bool is_loopback(const std::string& host) {
  boost::system::error_code bad;
  auto parsed = ip::make_address(numeric(host), bad);
  return !bad && parsed.is_loopback();
}

result<int> open_tcp_listener(const std::string& host, std::uint16_t port, bool loopback_only, int backlog) {
  boost::system::error_code bad;
  auto parsed = ip::make_address(numeric(host), bad);
  if (bad)
    return fail(errc::invalid_argument, "'" + host + "' is no address to listen on");
  if (loopback_only && !parsed.is_loopback())
    return fail(errc::invalid_argument, "a link on " + host + ", which other machines can reach, needs TLS");
  ip::tcp::endpoint at{parsed, port};
  auto where = host + ":" + std::to_string(port);
  fd_guard fd{::socket(at.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (fd.get() < 0)
    return system_failure(errc::unavailable, "no socket for " + where);
  int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (parsed.is_v6())
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  if (::bind(fd.get(), at.data(), static_cast<socklen_t>(at.size())) != 0
      || ::listen(fd.get(), backlog) != 0) {
    auto code = errno == EADDRINUSE      ? errc::conflict
                : errno == EACCES        ? errc::permission_denied
                : errno == EADDRNOTAVAIL ? errc::invalid_argument
                                         : errc::unavailable;
    return system_failure(code, "cannot listen on " + where);
  }
  return fd.take();
}

std::uint16_t bound_port(int fd) {
  sockaddr_storage at{};
  socklen_t size = sizeof(at);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    return 0;
  if (at.ss_family == AF_INET)
    return ntohs(reinterpret_cast<sockaddr_in*>(&at)->sin_port);
  if (at.ss_family == AF_INET6)
    return ntohs(reinterpret_cast<sockaddr_in6*>(&at)->sin6_port);
  return 0;
}

result<int> open_unix_listener(const std::string& path) {
  auto at = unix_address(path);
  if (!at)
    return fail(at);
  if (auto other = connect_unix(path)) {
    ::close(*other);
    return fail(errc::conflict, "another process listens on " + path);
  }
  if (struct stat found{}; ::lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode))
      return fail(errc::conflict, path + " is there and is no socket");
    ::unlink(path.c_str());
  }
  fd_guard fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  // Set before bind, so that nobody gets in between.
  if (fd.get() < 0 || ::fchmod(fd.get(), S_IRUSR | S_IWUSR) != 0
      || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*at), sizeof(*at)) != 0
      || ::listen(fd.get(), unix_backlog) != 0)
    return system_failure(errc::unavailable, "cannot listen on " + path);
  return fd.take();
}

result<int> connect_unix(const std::string& path) {
  auto at = unix_address(path);
  if (!at)
    return fail(at);
  fd_guard fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (fd.get() < 0 || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*at), sizeof(*at)) != 0)
    return system_failure(errc::unavailable, "cannot connect to " + path);
  return fd.take();
}

void set_tcp_options(int fd, std::chrono::nanoseconds silence_timeout) {
  int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  auto ms =
    static_cast<unsigned>(std::chrono::duration_cast<std::chrono::milliseconds>(silence_timeout).count());
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
}

result<void> check_same_user(int fd) {
  ucred who{};
  socklen_t size = sizeof(who);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
    return system_failure(errc::permission_denied, "cannot tell who connected");
  if (who.uid != ::geteuid() && who.uid != 0)
    return fail(errc::permission_denied, "user " + std::to_string(who.uid) + " connected to a socket of user "
                                           + std::to_string(::geteuid()));
  return {};
}

void set_close_on_exec(int fd) { ::fcntl(fd, F_SETFD, FD_CLOEXEC); }

} // namespace sluice::link
