#pragma once

#include <sluice/core/ids.hpp>
#include <sluice/core/result.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice::link {

enum class frame_kind : std::uint8_t { request = 1, reply = 2, error = 3, notice = 4 };

/// One message between two processes. Request and reply share `id`; a notice has
/// none and gets no answer. `method` says what `body` is. An error's body is one
/// byte of `errc` and a text.
struct frame {
  frame_kind kind = frame_kind::notice;
  std::uint16_t method = 0;
  std::uint64_t id = 0;
  std::uint32_t deadline_ms = 0; ///< requests: how long the sender waits; 0 = not said
  std::string body;
};

enum class peer_role : std::uint8_t { head = 1, node = 2, host = 3 };

/// How each side introduces itself, before any frame. Another protocol version or
/// cluster id closes the link with an error that says so.
struct hello {
  std::uint16_t protocol_version = 3;
  peer_role role = peer_role::node;
  std::string cluster_id;
  std::string name; ///< node id or, for hosts, the host id
  incarnation started;
  std::string sluice_version;
};

/// Where a connection delivers. Both run on the link's own thread and must not block.
struct receiver {
  std::function<void(std::vector<frame>)> on_frames; ///< all that arrived together, in order
  std::function<void(failure)> on_closed;            ///< once, last
  /// Optional: after `send` was refused with `overloaded`, once there is room again.
  std::function<void()> on_writable = {};
};

/// One established link: hello is done, TLS too where it is used.
///
/// Safe to use from any thread. Frames sent before `close` on a healthy link arrive
/// in order, each at most once. Pings and the silence timeout are its own affair.
class connection {
public:
  virtual ~connection() = default;

  /// Who is at the other end.
  virtual const hello& peer() const = 0;

  /// Starts delivery. Called once, before `send`; frames that came earlier wait.
  virtual void start(receiver to) = 0;

  /// Queues the frames; never blocks. Fails with `overloaded` when
  /// `limits::link_window_bytes` wait for the peer and with `unavailable` after it closed.
  virtual result<void> send(std::vector<frame> frames) = 0;

  /// Closes both ways. `on_closed` still runs.
  virtual void close(failure why) = 0;
};

using connection_ptr = std::shared_ptr<connection>;

/// Makes one attempt to connect. `done` runs on the link's thread.
class connector {
public:
  virtual ~connector() = default;
  virtual void connect(std::function<void(result<connection_ptr>)> done) = 0;
};

} // namespace sluice::link
