#pragma once

#include "transport/link/link.hpp"

#include <sluice/core/limits.hpp>

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::link {

/// Bytes before every body: u32 body length, u8 kind, u8 flags (0 in version 1),
/// u16 method, u32 deadline in ms, u64 id; all little-endian.
constexpr std::size_t frame_header_bytes = 20;

// Kinds that only the link itself speaks. They share the header with `frame_kind`
// and are never handed to a receiver.
constexpr auto hello_kind = static_cast<frame_kind>(16);   ///< first from each side
constexpr auto goodbye_kind = static_cast<frame_kind>(17); ///< last: a failure, before closing
constexpr auto ping_kind = static_cast<frame_kind>(18);    ///< answered by a pong with the same id
constexpr auto pong_kind = static_cast<frame_kind>(19);
constexpr auto join_kind = static_cast<frame_kind>(20);  ///< instead of hello, from who has no certificate
constexpr auto grant_kind = static_cast<frame_kind>(21); ///< the answer to it

/// True for the kinds a receiver sees.
constexpr bool is_payload(frame_kind kind) noexcept {
  return kind >= frame_kind::request && kind <= frame_kind::notice;
}

/// Whether others may send this: a payload, and not longer than the other side takes.
result<void> check_sendable(const std::vector<frame>& frames);

/// Writes the header of `f` for a body of `body_size` bytes.
std::array<char, frame_header_bytes> encode_header(const frame& f, std::size_t body_size) noexcept;

/// Appends header and body to `out`.
void append_frame(std::string& out, const frame& f);

/// Turns a stream of bytes into frames, however the stream was cut.
///
/// Nothing a peer claims is believed before it is checked: a length above the cap is
/// refused before memory is taken for it, and memory for a long body grows with what
/// has arrived, not with what was promised. Pure; one thread at a time.
class frame_parser {
public:
  /// `body_max`: longest body accepted, in bytes.
  explicit frame_parser(std::size_t body_max = limits::frame_size_bytes_max) noexcept : body_max_(body_max) {}

  /// Changes the cap for frames whose header is still to come.
  void set_body_max(std::size_t body_max) noexcept { body_max_ = body_max; }

  /// Appends the frames completed by `bytes` to `out`, at most `frames_max`, and
  /// returns how many bytes it used: all of them unless `frames_max` was reached.
  /// Fails with `corrupt` at an unknown kind, a set flag or a length above the cap;
  /// then the stream is lost, and every further call fails the same way.
  result<std::size_t> feed(std::string_view bytes, std::vector<frame>& out,
                           std::size_t frames_max = static_cast<std::size_t>(-1));

  /// True while a frame has begun and not ended.
  bool mid_frame() const noexcept { return header_size_ != 0; }

  /// Bytes of memory held for the frame that has begun.
  std::size_t held_bytes() const noexcept { return body_ready_ ? partial_.body.capacity() : 0; }

private:
  result<std::size_t> parse_header(const char* bytes, frame& into) const;
  result<std::size_t> feed_partial(std::string_view bytes, std::vector<frame>& out);
  void reserve_for(std::string_view bytes, std::vector<frame>& out, std::size_t frames_max) const;

  std::size_t body_max_;
  std::array<char, frame_header_bytes> header_{};
  std::size_t header_size_ = 0; ///< of the frame that has begun; 0 = none has
  bool body_ready_ = false;     ///< its header is complete, `partial_` and `body_size_` hold
  std::size_t body_size_ = 0;
  frame partial_;
  failure broken_{errc::ok, {}};
};

} // namespace sluice::link
