#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

/// RFC 6455 as functions from bytes to bytes. Pure.
namespace sluice::http {

enum class websocket_opcode : std::uint8_t {
  continuation = 0,
  text = 1,
  binary = 2,
  close = 8,
  ping = 9,
  pong = 10,
};

/// What goes before the payload in a frame of the server: not masked, not split.
std::string websocket_frame_head(websocket_opcode opcode, std::size_t payload_bytes);
/// A whole frame of the server.
std::string websocket_frame(websocket_opcode opcode, std::string_view payload);
/// With `websocket_code::none` an empty one; the reason is cut at a character's end.
std::string websocket_close_frame(std::uint16_t code, std::string_view reason);

bool is_utf8(std::string_view text) noexcept;

/// The Sec-WebSocket-Accept for a key; none if that is no base64 of 16 bytes.
std::optional<std::string> websocket_accept(std::string_view key);

/// Puts the frames of a client together to messages. The first breach ends it.
class websocket_reader {
public:
  explicit websocket_reader(std::size_t message_bytes_max) : message_bytes_max_(message_bytes_max) {}

  struct events {
    std::function<void(std::string message, bool is_text)> on_message;
    std::function<void(std::string_view payload)> on_ping;
    /// The client ends it, with `websocket_code::none` if it gave no code. Nothing is read after it.
    std::function<void(std::uint16_t code, std::string_view reason)> on_close;
    /// Stop here for now: asked after each frame.
    std::function<bool()> is_paused;
  };

  /// Why the connection has to end.
  struct breach {
    std::uint16_t code;
    std::string_view reason; ///< a literal
  };

  /// `consumed` bytes are to be dropped; the rest comes again with what follows it.
  std::optional<breach> advance(std::string_view bytes, std::size_t& consumed, const events& to);
  bool closed() const noexcept { return closed_; }

private:
  struct frame_head;

  std::optional<breach> check(const frame_head& head) const;
  std::optional<breach> end_of_frame(const events& to);
  std::optional<breach> end_of_close(const events& to);

  std::size_t message_bytes_max_;
  // The frame at hand.
  bool in_payload_ = false;
  bool final_ = false;
  websocket_opcode opcode_ = websocket_opcode::continuation;
  std::uint64_t left_ = 0;
  std::array<unsigned char, 4> mask_ = {};
  std::size_t mask_at_ = 0;
  // The message at hand.
  bool in_message_ = false;
  bool is_text_ = false;
  std::string message_;
  std::string control_; ///< control frames come between the parts of a message
  bool closed_ = false;
};

} // namespace sluice::http
