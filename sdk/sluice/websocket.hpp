#pragma once

#include <sluice/codec/codec.hpp>
#include <sluice/http/message.hpp>
#include <sluice/processor/connection_core.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

/// Thrown by the code of a WebSocket: closes the connection with this code and the text as its reason.
///
/// Codes: 3000 to 4999 are the program's own; 1000 to 1003 and 1007 to 1014 mean what RFC 6455 says. With another one,
/// which no endpoint may send, the client gets 1011 and an id under which the logs have code and text.
class websocket_error : public std::runtime_error {
public:
  websocket_error(std::uint16_t code, const std::string& reason) : std::runtime_error(reason), code_(code) {}

  std::uint16_t code() const noexcept { return code_; }

private:
  std::uint16_t code_;
};

/// The client of one open WebSocket. `Out` is what it is sent: plain structs and other types with a JSON form as JSON
/// text, std::string as the text itself, `sluice::bytes` as a binary message.
///
/// Copies stand for the same client and may be kept and used anywhere, from any thread; what is done after its end is
/// ignored. Rooms belong to the processor: all its replicas share them, on all nodes. A member gets each message of a
/// room at most once; one that does not read what it is sent is closed (1013).
template <class Out>
class connection {
public:
  explicit connection(processor::connection_ptr core) noexcept : core_(std::move(core)) {}

  /// Returns false when nobody reads it. When a slow client has more than 1 MiB to read, a function that is not async and
  /// sends to the connection it was called for waits here until it is 256 KiB, for up to `send_timeout`; a coroutine says
  /// `co_await room()`. After that, and from anywhere else, the client is closed (1013). Throws if the value has no
  /// JSON form after all.
  bool send(const Out& message) const { return core_->send(encode(message), is_text); }

  /// What has been sent goes out before. Messages that wait for this program are dropped. Codes as of `websocket_error`.
  void close(std::uint16_t code = websocket_code::normal, std::string_view reason = {}) const {
    core_->close(code, reason);
  }

  /// The request that opened it: path parameters, query, headers.
  const sluice::request& request() const noexcept { return core_->opened_with(); }
  /// Names the connection in this process and in the logs.
  const std::string& id() const noexcept { return core_->id(); }

  /// Names have 1 to 256 bytes, and a connection is in at most 100 rooms; others are ignored.
  void join(std::string_view room) const { core_->join(std::string{room}); }
  void leave(std::string_view room) const { core_->leave(std::string{room}); }
  /// To everybody in the room, this client too if it is in it.
  void broadcast(std::string_view room, const Out& message) const {
    core_->broadcast({std::string{room}, encode(message), is_text, true});
  }
  /// To everybody in the room but this client.
  void broadcast_others(std::string_view room, const Out& message) const {
    core_->broadcast({std::string{room}, encode(message), is_text, false});
  }

  /// `co_await to.room();` goes on when the client has taken what it was sent but for 256 KiB.
  processor::connection_room room() const noexcept { return processor::connection_room{core_}; }

  friend bool operator==(const connection&, const connection&) = default;

private:
  static constexpr bool is_text = !std::same_as<Out, bytes>;

  static std::string encode(const Out& message) {
    if constexpr (std::same_as<Out, std::string>) {
      return message;
    } else if constexpr (std::same_as<Out, bytes>) {
      return message.data;
    } else {
      std::string text;
      if (auto done = codec::encode(message, text); !done)
        throw std::runtime_error{"the message cannot be written: " + done.error().message};
      return text;
    }
  }

  processor::connection_ptr core_;
};

} // namespace sluice
