#include "transport/link/frame_codec.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace sluice::link {

namespace {

static_assert(std::endian::native == std::endian::little,
              "the frame header is little-endian; a big-endian port must swap here");

constexpr std::size_t length_at = 0;
constexpr std::size_t kind_at = 4;
constexpr std::size_t flags_at = 5;
constexpr std::size_t method_at = 6;
constexpr std::size_t deadline_at = 8;
constexpr std::size_t id_at = 12;

/// Memory taken for a body before its bytes arrive.
constexpr std::size_t body_reserve_max = 64u << 10;

template <class T>
T load(const char* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

bool is_known(std::uint8_t kind) noexcept {
  return is_payload(static_cast<frame_kind>(kind))
         || (kind >= static_cast<std::uint8_t>(hello_kind) && kind <= static_cast<std::uint8_t>(grant_kind));
}

/// Appends and keeps the capacity at or below `size_final`.
void append_bounded(std::string& body, std::string_view bytes, std::size_t size_final) {
  auto needed = body.size() + bytes.size();
  if (needed > body.capacity())
    body.reserve(std::min(size_final, std::max(needed, body.capacity() * 2)));
  body.append(bytes);
}

} // namespace

result<void> check_sendable(const std::vector<frame>& frames) {
  for (const auto& f : frames) {
    if (f.body.size() > limits::frame_size_bytes_max)
      return fail(errc::invalid_argument, "a frame of " + std::to_string(f.body.size()) + " bytes, at most "
                                            + std::to_string(limits::frame_size_bytes_max) + " are allowed");
    if (!is_payload(f.kind))
      return fail(errc::invalid_argument, "a frame of a kind that is the link's own");
  }
  return {};
}

std::array<char, frame_header_bytes> encode_header(const frame& f, std::size_t body_size) noexcept {
  std::array<char, frame_header_bytes> out;
  auto length = static_cast<std::uint32_t>(body_size);
  auto kind = static_cast<std::uint8_t>(f.kind);
  std::memcpy(&out[length_at], &length, sizeof(length));
  std::memcpy(&out[kind_at], &kind, sizeof(kind));
  out[flags_at] = 0;
  std::memcpy(&out[method_at], &f.method, sizeof(f.method));
  std::memcpy(&out[deadline_at], &f.deadline_ms, sizeof(f.deadline_ms));
  std::memcpy(&out[id_at], &f.id, sizeof(f.id));
  return out;
}

void append_frame(std::string& out, const frame& f) {
  auto header = encode_header(f, f.body.size());
  out.append(header.data(), header.size());
  out.append(f.body);
}

result<std::size_t> frame_parser::parse_header(const char* bytes, frame& into) const {
  auto kind = load<std::uint8_t>(bytes + kind_at);
  if (!is_known(kind))
    return fail(errc::corrupt, "frame of unknown kind " + std::to_string(kind));
  if (auto flags = load<std::uint8_t>(bytes + flags_at); flags != 0)
    return fail(errc::corrupt, "frame with unknown flags " + std::to_string(flags));
  std::size_t length = load<std::uint32_t>(bytes + length_at);
  if (length > body_max_)
    return fail(errc::corrupt, "frame of " + std::to_string(length) + " bytes, at most "
                                 + std::to_string(body_max_) + " are allowed");
  into.kind = static_cast<frame_kind>(kind);
  into.method = load<std::uint16_t>(bytes + method_at);
  into.deadline_ms = load<std::uint32_t>(bytes + deadline_at);
  into.id = load<std::uint64_t>(bytes + id_at);
  return length;
}

result<std::size_t> frame_parser::feed(std::string_view bytes, std::vector<frame>& out,
                                       std::size_t frames_max) {
  if (broken_.code != errc::ok)
    return tl::unexpected{broken_};
  std::size_t used = 0;
  auto frames_end = frames_max > out.max_size() - out.size() ? out.max_size() : out.size() + frames_max;
  if (mid_frame() && out.size() < frames_end) {
    auto taken = feed_partial(bytes, out);
    if (!taken) {
      broken_ = taken.error();
      return fail(taken);
    }
    used = *taken;
  }
  reserve_for(bytes.substr(used), out, frames_end - out.size());
  while (out.size() < frames_end && !mid_frame() && used < bytes.size()) {
    auto rest = bytes.substr(used);
    if (rest.size() >= frame_header_bytes) {
      frame next;
      auto length = parse_header(rest.data(), next);
      if (!length) {
        broken_ = length.error();
        return fail(length);
      }
      if (rest.size() - frame_header_bytes >= *length) {
        next.body.assign(rest.data() + frame_header_bytes, *length);
        out.push_back(std::move(next));
        used += frame_header_bytes + *length;
        continue;
      }
    }
    auto taken = feed_partial(rest, out);
    if (!taken) {
      broken_ = taken.error();
      return fail(taken);
    }
    used += *taken;
  }
  return used;
}

/// Goes on with the frame that has begun, or begins one.
result<std::size_t> frame_parser::feed_partial(std::string_view bytes, std::vector<frame>& out) {
  std::size_t used = 0;
  if (!body_ready_) {
    used = std::min(bytes.size(), frame_header_bytes - header_size_);
    std::memcpy(header_.data() + header_size_, bytes.data(), used);
    header_size_ += used;
    if (header_size_ < frame_header_bytes)
      return used;
    auto length = parse_header(header_.data(), partial_);
    if (!length)
      return fail(length);
    body_size_ = *length;
    body_ready_ = true;
    partial_.body.reserve(std::min(body_size_, body_reserve_max));
  }
  auto wanted = std::min(bytes.size() - used, body_size_ - partial_.body.size());
  append_bounded(partial_.body, bytes.substr(used, wanted), body_size_);
  used += wanted;
  if (partial_.body.size() == body_size_) {
    out.push_back(std::move(partial_));
    partial_ = frame{};
    header_size_ = 0;
    body_ready_ = false;
  }
  return used;
}

/// Counts the whole frames ahead, so that `out` grows once and not by moving frames.
void frame_parser::reserve_for(std::string_view bytes, std::vector<frame>& out,
                               std::size_t frames_max) const {
  std::size_t count = 0;
  std::size_t at = 0;
  while (count < frames_max && bytes.size() - at >= frame_header_bytes) {
    std::size_t length = load<std::uint32_t>(bytes.data() + at + length_at);
    if (length > body_max_ || bytes.size() - at - frame_header_bytes < length)
      break;
    at += frame_header_bytes + length;
    ++count;
  }
  if (count > out.capacity() - out.size())
    out.reserve(out.size() + count);
}

} // namespace sluice::link
