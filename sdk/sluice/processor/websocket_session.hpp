#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace sluice {

/// Why a WebSocket ends (RFC 6455 §7.4.1). An application has 3000 to 4999 for itself.
namespace websocket_code {
constexpr std::uint16_t normal = 1000;
constexpr std::uint16_t going_away = 1001;     ///< the server drains: connect again
constexpr std::uint16_t protocol_error = 1002; ///< the other side does not keep to RFC 6455
constexpr std::uint16_t not_acceptable = 1003; ///< text where bytes are wanted, or the other way round
constexpr std::uint16_t none = 1005;           ///< the other side gave none; never sent
constexpr std::uint16_t lost = 1006;           ///< the connection went without a word; never sent
constexpr std::uint16_t not_utf8 = 1007;
constexpr std::uint16_t policy = 1008;
constexpr std::uint16_t too_big = 1009;
constexpr std::uint16_t server_error = 1011;
constexpr std::uint16_t restart = 1012;   ///< what served it has ended: connect again
constexpr std::uint16_t try_later = 1013; ///< it did not read what was sent to it

/// Whether it may stand in a close frame: those that RFC 6455 and IANA's registry give to endpoints, and 3000 to 4999.
constexpr bool may_be_sent(std::uint16_t code) noexcept {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}
} // namespace websocket_code

/// What a message of so many bytes counts until it is taken: many short ones take room, too.
constexpr std::size_t websocket_message_cost(std::size_t bytes) noexcept { return bytes + 64; }

/// A message for many: made once, shared by all connections that it goes to.
struct websocket_message {
  std::shared_ptr<const std::string> payload; ///< never null; UTF-8 if it is text
  bool is_text = true;
};

/// A message to everybody in a room.
struct room_cast {
  std::string room;
  std::string payload;
  bool is_text = true;
  bool to_self = true; ///< also to the connection that it comes from, if that is in the room
};

/// The way to the client of one open WebSocket. From any thread; never blocks nor throws; what comes after
/// the end is ignored. One that is dropped without `close` is closed with `server_error`.
class websocket {
public:
  virtual ~websocket() = default;

  /// Sends one message. Bytes that are no UTF-8 are replaced in text. Returns false when nobody reads any more.
  virtual bool send_text(std::string message) noexcept = 0;
  virtual bool send_binary(std::string message) noexcept = 0;

  virtual bool send_shared(const websocket_message& message) noexcept {
    return message.is_text ? send_text(*message.payload) : send_binary(*message.payload);
  }

  /// What was sent and the client has not taken. Above `stream_window_bytes` the sender waits.
  virtual std::size_t waiting_bytes() const noexcept = 0;
  /// Calls `resume` once, as soon as there is room again or nobody reads any more.
  virtual void when_writable(std::function<void()> resume) noexcept = 0;

  /// The session is done with messages that cost so much (`websocket_message_cost`). While more than
  /// `stream_window_bytes` are not, none is read: a fast client waits for a slow session.
  virtual void taken(std::size_t cost) noexcept = 0;

  /// Sends what was sent so far, then the code; a reason is cut at 123 bytes. `on_close` follows.
  virtual void close(std::uint16_t code, std::string_view reason) noexcept = 0;

  /// Rooms are kept where the clients' connections are, for all replicas of the processor together; a way that
  /// leads to no such place has none. They may be used until this is dropped, after the end too: to tell others
  /// that somebody has gone. What one connection does happens in its order. A message reaches a member at most
  /// once; a slow one is closed with `try_later`.
  virtual void join(std::string room) noexcept { static_cast<void>(room); }
  virtual void leave(std::string room) noexcept { static_cast<void>(room); }
  virtual void broadcast(room_cast what) noexcept { static_cast<void>(what); }
};

using websocket_ptr = std::shared_ptr<websocket>;

/// What happens on one open WebSocket. Called by who has the connection, one call at a time, on a
/// thread that must not be blocked.
class websocket_session {
public:
  virtual ~websocket_session() = default;

  /// First. If the client goes before it, nothing is called at all.
  virtual void on_open(websocket_ptr to) = 0;
  /// A whole message, within the bound of its route; text is UTF-8. Then, or later, `taken`.
  virtual void on_message(std::string message, bool is_text) = 0;
  /// Last, whoever ended it. `none` if the client gave no code, `lost` if it said nothing.
  virtual void on_close(std::uint16_t code, std::string_view reason) = 0;
};

} // namespace sluice
