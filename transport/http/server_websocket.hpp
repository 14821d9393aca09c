#pragma once

#include "transport/http/connection.hpp"
#include "transport/http/send_window.hpp"
#include "transport/http/websocket_codec.hpp"

#include <sluice/processor/websocket_session.hpp>

#include <atomic>
#include <memory>

namespace sluice::http {

/// The way to the client of an upgraded connection. Made by it, and held by the session alone: when that drops
/// it, the connection is closed. Frames are made on the caller's thread, and sent by the connection's.
class server_websocket final : public websocket {
public:
  /// Bytes of messages that the session has and is not done with; shared with the connection.
  using counter = std::shared_ptr<std::atomic<std::size_t>>;

  server_websocket(std::shared_ptr<connection> to, std::uint64_t call, counter untaken)
    : to_(std::move(to)), call_(call), untaken_(std::move(untaken)) {}
  ~server_websocket() override;

  bool send_text(std::string message) noexcept override;
  bool send_binary(std::string message) noexcept override;
  bool send_shared(const websocket_message& message) noexcept override;
  std::size_t waiting_bytes() const noexcept override { return window_.waiting(); }
  void when_writable(std::function<void()> resume) noexcept override {
    window_.when_writable(std::move(resume));
  }
  void taken(std::size_t bytes) noexcept override;
  void close(std::uint16_t code, std::string_view reason) noexcept override;

  send_window& window() noexcept { return window_; }

private:
  bool send(websocket_opcode opcode, std::string_view payload);

  std::shared_ptr<connection> to_;
  const std::uint64_t call_;
  counter untaken_;
  send_window window_;
  std::atomic<bool> closed_{false};
};

} // namespace sluice::http
