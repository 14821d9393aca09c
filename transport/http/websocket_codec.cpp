#include "transport/http/websocket_codec.hpp"

#include <sluice/codec/bytes.hpp>
#include <sluice/codec/utf8.hpp>
#include <sluice/processor/websocket_session.hpp>

#include <openssl/evp.h>

#include <algorithm>

namespace sluice::http {

namespace {

constexpr std::size_t control_bytes_max = 125;

bool is_control(websocket_opcode opcode) noexcept { return static_cast<unsigned>(opcode) >= 8; }

bool is_known(unsigned opcode) noexcept { return opcode <= 2 || (opcode >= 8 && opcode <= 10); }

std::uint64_t big_endian(std::string_view bytes) noexcept {
  std::uint64_t value = 0;
  for (char c : bytes)
    value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

constexpr websocket_reader::breach bad_frame{websocket_code::protocol_error, "the frame is not valid"};

} // namespace

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    auto special = codec::find_special(text); // passes over plain text quickly
    text.remove_prefix(special);
    if (text.empty())
      break;
    auto length = codec::utf8_sequence(text);
    if (length == 0)
      return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string websocket_frame_head(websocket_opcode opcode, std::size_t payload_bytes) {
  constexpr unsigned final = 0x80;
  std::string out;
  out += static_cast<char>(final | static_cast<unsigned>(opcode));
  auto append_length = [&](char marker, int bytes) {
    out += marker;
    for (int i = bytes - 1; i >= 0; --i)
      out += static_cast<char>(static_cast<std::uint64_t>(payload_bytes) >> (8 * i));
  };
  if (payload_bytes < 126)
    out += static_cast<char>(payload_bytes);
  else if (payload_bytes <= 0xffff)
    append_length(126, 2);
  else
    append_length(127, 8);
  return out;
}

std::string websocket_frame(websocket_opcode opcode, std::string_view payload) {
  auto out = websocket_frame_head(opcode, payload.size());
  out.reserve(out.size() + payload.size());
  out += payload;
  return out;
}

std::string websocket_close_frame(std::uint16_t code, std::string_view reason) {
  if (!websocket_code::may_be_sent(code))
    return websocket_frame(websocket_opcode::close, {});
  std::string payload{static_cast<char>(code >> 8), static_cast<char>(code)};
  auto text = codec::to_utf8(reason);
  while (text.size() > control_bytes_max - 2 || !is_utf8(text))
    text.pop_back();
  return websocket_frame(websocket_opcode::close, payload + text);
}

std::optional<std::string> websocket_accept(std::string_view key) {
  std::string nonce;
  if (!codec::parse_base64(key, nonce) || nonce.size() != 16)
    return std::nullopt;
  auto salted = std::string{key} + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (EVP_Digest(salted.data(), salted.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                 EVP_sha1(), nullptr)
      != 1)
    return std::nullopt;
  std::string out;
  codec::append_base64(out, {digest.data(), size});
  return out;
}

struct websocket_reader::frame_head {
  bool final;
  bool reserved;
  unsigned opcode;
  bool masked;
  std::uint64_t length;
  bool shortest = true;
  std::size_t size = 0; ///< of the head itself; 0: not complete

  static frame_head from(std::string_view bytes) noexcept {
    frame_head out{};
    if (bytes.size() < 2)
      return out;
    auto first = static_cast<unsigned char>(bytes[0]), second = static_cast<unsigned char>(bytes[1]);
    out.final = (first & 0x80) != 0;
    out.reserved = (first & 0x70) != 0;
    out.opcode = first & 0x0f;
    out.masked = (second & 0x80) != 0;
    out.length = second & 0x7f;
    std::size_t extra = out.length == 126 ? 2 : out.length == 127 ? 8 : 0;
    if (bytes.size() < 2 + extra + 4)
      return out;
    if (extra > 0) {
      out.length = big_endian(bytes.substr(2, extra));
      out.shortest = out.length > (extra == 2 ? 125u : 0xffffu);
    }
    out.size = 2 + extra + 4;
    return out;
  }
};

std::optional<websocket_reader::breach> websocket_reader::check(const frame_head& head) const {
  constexpr auto wrong = websocket_code::protocol_error;
  if (head.reserved)
    return breach{wrong, "a frame has a reserved bit set"};
  if (!is_known(head.opcode))
    return breach{wrong, "a frame has a reserved opcode"};
  if (!head.masked)
    return breach{wrong, "a frame is not masked"};
  if (!head.shortest)
    return breach{wrong, "the length of a frame is not in its shortest form"};
  if (head.opcode >= 8) {
    if (!head.final || head.length > control_bytes_max)
      return breach{wrong, "a control frame is split or too long"};
    return std::nullopt;
  }
  if ((head.opcode == 0) != in_message_)
    return breach{wrong, "the frames of a message are out of order"};
  if (head.length > message_bytes_max_ - message_.size())
    return breach{websocket_code::too_big, "the message is too large"};
  return std::nullopt;
}

std::optional<websocket_reader::breach> websocket_reader::advance(std::string_view bytes,
                                                                  std::size_t& consumed, const events& to) {
  consumed = 0;
  while (!closed_) {
    auto rest = bytes.substr(consumed);
    if (!in_payload_) {
      if (to.is_paused())
        return std::nullopt;
      auto head = frame_head::from(rest);
      // Two bytes tell the most of it, and a client that sends no mask may send no more.
      if (rest.size() >= 2 && head.size == 0 && (!head.masked || head.reserved || !is_known(head.opcode)))
        return check(head);
      if (head.size == 0)
        return std::nullopt;
      if (auto bad = check(head))
        return bad;
      for (std::size_t i = 0; i < 4; ++i)
        mask_[i] = static_cast<unsigned char>(rest[head.size - 4 + i]);
      mask_at_ = 0;
      left_ = head.length;
      final_ = head.final;
      opcode_ = static_cast<websocket_opcode>(head.opcode);
      if (!is_control(opcode_) && opcode_ != websocket_opcode::continuation) {
        in_message_ = true;
        is_text_ = opcode_ == websocket_opcode::text;
      }
      in_payload_ = true;
      consumed += head.size;
      continue;
    }
    auto part = rest.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, rest.size())));
    auto& into = is_control(opcode_) ? control_ : message_;
    auto at = into.size();
    into.append(part);
    for (; at < into.size(); ++at)
      into[at] = static_cast<char>(static_cast<unsigned char>(into[at]) ^ mask_[mask_at_++ & 3]);
    left_ -= part.size();
    consumed += part.size();
    if (left_ > 0)
      return std::nullopt;
    in_payload_ = false;
    if (auto bad = end_of_frame(to))
      return bad;
  }
  consumed = bytes.size(); // nothing counts after the close
  return std::nullopt;
}

std::optional<websocket_reader::breach> websocket_reader::end_of_frame(const events& to) {
  if (opcode_ == websocket_opcode::close)
    return end_of_close(to);
  if (is_control(opcode_)) {
    auto payload = std::exchange(control_, {});
    if (opcode_ == websocket_opcode::ping)
      to.on_ping(payload);
    return std::nullopt;
  }
  if (!final_)
    return std::nullopt;
  in_message_ = false;
  auto message = std::exchange(message_, {});
  if (is_text_ && !is_utf8(message))
    return breach{websocket_code::not_utf8, "the text is no UTF-8"};
  to.on_message(std::move(message), is_text_);
  return std::nullopt;
}

std::optional<websocket_reader::breach> websocket_reader::end_of_close(const events& to) {
  auto payload = std::exchange(control_, {});
  std::uint16_t code = websocket_code::none;
  std::string_view reason;
  if (payload.size() == 1)
    return bad_frame;
  if (payload.size() >= 2) {
    code = static_cast<std::uint16_t>(big_endian(std::string_view{payload}.substr(0, 2)));
    reason = std::string_view{payload}.substr(2);
    if (!websocket_code::may_be_sent(code))
      return bad_frame;
    if (!is_utf8(reason))
      return breach{websocket_code::not_utf8, "the reason is no UTF-8"};
  }
  closed_ = true;
  to.on_close(code, reason);
  return std::nullopt;
}

} // namespace sluice::http
