#include "transport/http/server_websocket.hpp"

#include <sluice/codec/utf8.hpp>

#include <algorithm>

namespace sluice::http {

server_websocket::~server_websocket() { close(websocket_code::server_error, "the session was lost"); }

bool server_websocket::send_text(std::string message) noexcept {
  return send(websocket_opcode::text, is_utf8(message) ? message : codec::to_utf8(message));
}

bool server_websocket::send_binary(std::string message) noexcept {
  return send(websocket_opcode::binary, message);
}

bool server_websocket::send(websocket_opcode opcode, std::string_view payload) {
  if (closed_ || window_.closed())
    return false;
  delivery more{.to = to_, .call = call_};
  more.answer.body_bytes = payload.size();
  more.answer.head = websocket_frame(opcode, payload);
  window_.add(more.answer.head.size());
  to_->home().send(std::move(more));
  return !window_.closed();
}

bool server_websocket::send_shared(const websocket_message& message) noexcept {
  constexpr std::size_t copied_bytes_max = 256; // a short one costs less than a second piece to write
  const auto opcode = message.is_text ? websocket_opcode::text : websocket_opcode::binary;
  const auto size = message.payload->size();
  if (size <= copied_bytes_max)
    return send(opcode, *message.payload);
  if (closed_ || window_.closed())
    return false;
  delivery more{.to = to_, .call = call_};
  more.answer.body_bytes = size;
  more.answer.head = websocket_frame_head(opcode, size);
  more.shared = message.payload;
  window_.add(more.answer.head.size() + size);
  to_->home().send(std::move(more));
  return !window_.closed();
}

void server_websocket::taken(std::size_t bytes) noexcept {
  auto before = untaken_->load();
  while (!untaken_->compare_exchange_weak(before, before - std::min(bytes, before))) {
  }
  auto after = before - std::min(bytes, before);
  if (before >= stream_window_bytes && after < stream_window_bytes)
    to_->home().send({.to = to_, .call = call_}); // reads on
}

void server_websocket::close(std::uint16_t code, std::string_view reason) noexcept {
  if (closed_.exchange(true))
    return;
  delivery last{.to = to_, .call = call_, .ends = true};
  last.answer.head = websocket_close_frame(code, reason);
  window_.add(last.answer.head.size());
  to_->home().send(std::move(last));
}

} // namespace sluice::http
