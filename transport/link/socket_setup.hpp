#pragma once

#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <string>

/// System calls around sockets, without Asio. For transport/link and transport/http.
namespace sluice::link {

/// Makes a listening TCP socket, close-on-exec and non-blocking.
/// `loopback_only`: refuses an address that other machines can reach.
/// `backlog`: connections that wait to be accepted; the kernel has a bound of its own.
result<int> open_tcp_listener(const std::string& host, std::uint16_t port, bool loopback_only,
                              int backlog = 512);

/// The port a TCP socket is bound to.
std::uint16_t bound_port(int fd);

/// Makes a listening Unix socket with mode 0600. A file left by a process that is gone
/// is replaced; a socket that answers is `conflict`.
result<int> open_unix_listener(const std::string& path);

/// Connects to a Unix socket.
result<int> connect_unix(const std::string& path);

/// No delay for small frames; the kernel gives a connection up whose bytes are not
/// confirmed for `silence_timeout`.
void set_tcp_options(int fd, std::chrono::nanoseconds silence_timeout);

/// Fails with `permission_denied` when the process at the other end of a Unix socket
/// runs as another user, root excepted.
result<void> check_same_user(int fd);

void set_close_on_exec(int fd);

/// True for 127.0.0.0/8, ::1 and "localhost".
bool is_loopback(const std::string& host);

} // namespace sluice::link
