#pragma once

#include "transport/link/hello_codec.hpp"
#include "transport/link/io_thread.hpp"
#include "transport/link/link.hpp"
#include "transport/link/link_state.hpp"
#include "transport/link/tls.hpp"

#include <sluice/core/limits.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

/// Links over sockets: TCP with TLS 1.3, Unix sockets, inherited descriptors, and plain
/// TCP on loopback, which proves nothing about the peer: for tests and benchmarks.
/// All callbacks run on the io thread and must neither block nor throw.
///
/// Dropping the last reference to a connection closes it. Its receiver may still run
/// once more on the io thread, so what it captures must own, not borrow.
namespace sluice::link {

/// What one side of a link brings along.
struct link_options {
  hello self;
  /// Set for TLS. Then both cluster ids must be given, and the peer's certificate must
  /// name exactly the cluster, role and name of its hello.
  std::shared_ptr<tls_credentials> tls;
  link_timing timing{};
  std::size_t window_bytes = limits::link_window_bytes; ///< unsent bytes before `overloaded`

  // Whom a connecting side expects; anybody where empty.
  std::optional<peer_role> expect_role{};
  std::string expect_name{};
};

/// Where a listener listens: a TCP address, or the path of a Unix socket.
struct address {
  std::string host = "127.0.0.1"; ///< a numeric address; "" with `path`
  std::uint16_t port = 0;         ///< 0 picks a free one
  std::string path{};             ///< set for a Unix socket; made with mode 0600
};

struct listener_options {
  address at;
  link_options link;

  /// Last word on a peer whose hello is good otherwise: a failure is sent to it and
  /// the link is closed. Optional.
  std::function<result<void>(const hello& peer)> admit{};

  /// An established link. Keep it, or it closes.
  std::function<void(connection_ptr)> on_connection{};

  /// A process without a certificate asks for one (TLS only; without this it is turned
  /// away in the handshake). `reply` may be called later and from any thread, once.
  std::function<void(join_request, std::function<void(result<join_grant>)> reply)> on_join{};

  /// An attempt that came to nothing, for logs and counters: its reason. Optional.
  std::function<void(const failure& why)> on_refused{};

  std::size_t handshakes_max = limits::handshakes_pending_max;
};

/// Accepts links until it is destroyed. Established links live on without it.
///
/// At most one link per peer name: see `judge_duplicate`. At most `handshakes_max`
/// unfinished handshakes: beyond that the oldest is cut, so that a flood of silent
/// connections delays nobody who speaks. Without descriptors it waits and tries again.
class listener {
public:
  virtual ~listener() = default;

  /// The port in use, 0 for a Unix socket.
  virtual std::uint16_t port() const noexcept = 0;
};

/// Starts to listen. Fails with `conflict` when the address is in use, with
/// `invalid_argument` when it is no address, not this machine's, or is reachable from other machines
/// without TLS, and with `unavailable` for what else the system says.
result<std::unique_ptr<listener>> listen(const io_thread& io, listener_options options);

/// Connects over TCP; `host` is a name or an address. Without TLS only to loopback.
/// One attempt takes at most `timing.handshake_deadline`, look-up and hello included.
/// Destroying the connector ends its attempts.
std::unique_ptr<connector> make_tcp_connector(const io_thread& io, std::string host, std::uint16_t port,
                                              link_options options);

/// Connects to a Unix socket.
std::unique_ptr<connector> make_unix_connector(const io_thread& io, std::string path, link_options options);

/// Which end of an inherited socket this process is; the two ends must differ.
enum class fd_end : std::uint8_t { parent, child };

/// Says hello over a connected socket, which it takes over and closes. The connector
/// makes one link; a second attempt fails with `unavailable`.
std::unique_ptr<connector> make_fd_connector(const io_thread& io, int fd, fd_end end, link_options options);

/// Makes the two ends of a host's socket, both close-on-exec.
result<std::pair<int, int>> make_socket_pair();

/// How a node without a certificate gets one.
struct join_target {
  std::string host;
  std::uint16_t port = 0;
  std::string ca_fingerprint; ///< the only authority that is believed
};

/// Connects, checks that the other side is the head under that authority, and only
/// then sends the request. The certificate in the grant is checked to be signed by the
/// pinned authority. `done` runs once on the io thread; fails like a link does, with
/// `unauthenticated` for a bad token or another authority.
void request_join(const io_thread& io, join_target target, join_request request,
                  std::function<void(result<join_grant>)> done,
                  duration deadline = limits::handshake_deadline);

} // namespace sluice::link
