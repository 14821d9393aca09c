#include "sdk/client/reach.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace sluice::client {

namespace {

using steady = std::chrono::steady_clock;

class socket_fd {
public:
  explicit socket_fd(int fd) : fd_(fd) {}
  socket_fd(const socket_fd&) = delete;
  socket_fd& operator=(const socket_fd&) = delete;
  ~socket_fd() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  int get() const noexcept { return fd_; }

private:
  int fd_;
};

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* x) const {
    Free(x);
  }
};

using tls_context = std::unique_ptr<SSL_CTX, freed_by<SSL_CTX_free>>;
using tls_session = std::unique_ptr<SSL, freed_by<SSL_free>>;
using memory_bio = std::unique_ptr<BIO, freed_by<BIO_free_all>>;

/// Waits until the socket is ready for `events` or the time is up.
bool wait_ready(int fd, short events, steady::time_point until) {
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - steady::now()).count();
    if (left <= 0)
      return false;
    pollfd entry{fd, events, 0};
    auto n = ::poll(&entry, 1, static_cast<int>(std::min<long long>(left, 60'000)));
    if (n > 0)
      return true;
    if (n < 0 && errno != EINTR)
      return false;
  }
}

std::string named(const parsed_address& where) { return where.host + ":" + where.port; }

result<void> connect_tcp(int fd, const addrinfo& to, const std::string& name, steady::time_point until) {
  if (::connect(fd, to.ai_addr, to.ai_addrlen) == 0)
    return {};
  if (errno != EINPROGRESS)
    return fail(errc::unavailable, "cannot connect to " + name + ": " + std::strerror(errno));
  if (!wait_ready(fd, POLLOUT, until))
    return fail(errc::timeout, "no answer from " + name + " in time");
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0)
    return fail(errc::unavailable, "cannot connect to " + name + ": " + std::strerror(error));
  return {};
}

result<void> shake_hands(SSL* session, int fd, const std::string& name, steady::time_point until) {
  for (;;) {
    auto n = SSL_connect(session);
    if (n == 1)
      return {};
    auto why = SSL_get_error(session, n);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
      return fail(errc::unavailable, name + " answers, but not with TLS; is it the control port?");
    if (!wait_ready(fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until))
      return fail(errc::timeout, name + " accepted the connection but says nothing; is it the control port?");
  }
}

std::string fingerprint_of(X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1)
    return {};
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    text.push_back(digits[digest[i] >> 4]);
    text.push_back(digits[digest[i] & 0xf]);
  }
  return text;
}

std::string pem_of(X509* certificate) {
  memory_bio out{BIO_new(BIO_s_mem())};
  if (!out || PEM_write_bio_X509(out.get(), certificate) != 1)
    return {};
  char* data = nullptr;
  auto size = BIO_get_mem_data(out.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

result<std::string> certificate_with_pin(SSL* session, const std::string& pin, const std::string& name) {
  auto* chain = SSL_get_peer_cert_chain(session);
  for (int i = 0; chain != nullptr && i < sk_X509_num(chain); ++i)
    if (auto* certificate = sk_X509_value(chain, i); fingerprint_of(certificate) == pin)
      return pem_of(certificate);
  return fail(errc::unauthenticated,
              name
                + " is not the cluster that was meant: no certificate of its chain has the "
                  "fingerprint "
                + pin + "; `sluice token show` on the head prints the right one");
}

} // namespace

result<parsed_address> parse_address(std::string_view text) {
  constexpr std::string_view unix_prefix = "unix:";
  auto wrong = [&](const char* why) {
    return fail(errc::invalid_argument, "'" + std::string{text} + "' is no control address: " + why
                                          + "; write HOST:PORT or unix:PATH");
  };
  if (text.starts_with(unix_prefix)) {
    parsed_address parts;
    parts.socket_path = text.substr(unix_prefix.size());
    if (parts.socket_path.empty())
      return wrong("the path is missing");
    if (parts.socket_path.size() >= sizeof(sockaddr_un::sun_path))
      return wrong("the path is longer than a socket's may be (107 bytes)");
    return parts;
  }
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return wrong("the port is missing");
  auto host = text.substr(0, colon);
  auto port = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return wrong("an IPv6 host stands in brackets");
  if (host.empty())
    return wrong("the host is missing");
  auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (port.empty() || port.size() > 5 || !std::all_of(port.begin(), port.end(), is_digit)
      || std::stoul(std::string{port}) > 65535 || std::stoul(std::string{port}) == 0)
    return wrong("the port is not a number from 1 to 65535");
  return parsed_address{{}, std::string{host}, std::string{port}};
}

result<std::string> normalise_pin(std::string_view text) {
  auto digits = text;
  if (digits.starts_with("sha256:"))
    digits.remove_prefix(7);
  std::string pin;
  for (char c : digits) {
    if (c == ':')
      continue;
    if (c >= 'A' && c <= 'F')
      c = static_cast<char>(c - 'A' + 'a');
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
      return fail(errc::invalid_argument, "the CA fingerprint has the character '" + std::string(1, c)
                                            + "'; it is 64 hex digits, as `sluice token show` prints them");
    pin.push_back(c);
  }
  if (pin.size() != 64)
    return fail(errc::invalid_argument, "the CA fingerprint has " + std::to_string(pin.size())
                                          + " hex digits instead of 64; `sluice token show` prints it");
  return pin;
}

bool is_head_uri(std::string_view uri) noexcept {
  constexpr std::string_view scheme = "sluice://";
  if (!uri.starts_with(scheme))
    return false;
  uri.remove_prefix(scheme.size());
  auto cluster_end = uri.find('/');
  if (cluster_end == 0 || cluster_end == std::string_view::npos)
    return false;
  auto role_end = uri.find('/', cluster_end + 1);
  return role_end != std::string_view::npos
         && uri.substr(cluster_end + 1, role_end - cluster_end - 1) == "head" && role_end + 1 < uri.size()
         && uri.find('/', role_end + 1) == std::string_view::npos;
}

result<void> reach_socket(const std::string& path) {
  socket_fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (fd.get() < 0)
    return fail(errc::unavailable, std::string{"cannot make a socket: "} + std::strerror(errno));
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof to.sun_path)
    return fail(errc::invalid_argument, "the socket path " + path + " is longer than 107 bytes");
  std::memcpy(to.sun_path, path.c_str(), path.size() + 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0)
    return {};
  if (errno == EACCES || errno == EPERM)
    return fail(errc::permission_denied, "the head's socket " + path
                                           + " belongs to another user; use --control "
                                             "HOST:PORT with a token, or run as that user");
  return fail(errc::unavailable, "no head is running at " + path + "; start one with: sluice start --head");
}

result<std::string> fetch_pinned_certificate(const parsed_address& where, const std::string& pin,
                                             std::chrono::milliseconds timeout) {
  auto until = steady::now() + timeout;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (auto n = ::getaddrinfo(where.host.c_str(), where.port.c_str(), &hints, &found); n != 0)
    return fail(errc::unavailable, "cannot find the host " + where.host + ": " + ::gai_strerror(n));
  std::unique_ptr<addrinfo, freed_by<::freeaddrinfo>> addresses{found};

  tls_context context{SSL_CTX_new(TLS_client_method())};
  if (!context)
    return fail(errc::internal, "cannot set up TLS");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr); // the pin is checked instead
  constexpr unsigned char alpn[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context.get(), alpn, sizeof alpn);

  failure last{errc::unavailable, "no address for " + named(where)};
  for (auto* to = found; to != nullptr; to = to->ai_next) {
    socket_fd fd{::socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->ai_protocol)};
    if (fd.get() < 0)
      continue;
    if (auto done = connect_tcp(fd.get(), *to, named(where), until); !done) {
      last = done.error();
      continue;
    }
    tls_session session{SSL_new(context.get())};
    if (!session)
      return fail(errc::internal, "cannot set up TLS");
    SSL_set_fd(session.get(), fd.get());
    auto done = shake_hands(session.get(), fd.get(), named(where), until);
    ERR_clear_error();
    if (!done)
      return fail(done);
    return certificate_with_pin(session.get(), pin, named(where));
  }
  if (last.code == errc::unavailable)
    last.message += "; is a head running there? start one with: sluice start --head";
  return tl::unexpected{last};
}

} // namespace sluice::client
