#include <sluice/codec/utf8.hpp>

#include <cstdint>
#include <cstring>

namespace sluice::codec {

std::size_t find_special(std::string_view text) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101u;
  constexpr std::uint64_t highs = 0x8080808080808080u;
  std::size_t i = 0;
  // Eight bytes at a time: a lane's high bit is set when the byte is one we look for.
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    auto quote = word ^ (ones * '"');
    auto slash = word ^ (ones * '\\');
    auto hit = (quote - ones) | (slash - ones) | (word - ones * 0x20) | word;
    if ((hit & highs) != 0)
      break;
  }
  for (; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\' || c < 0x20 || c >= 0x80)
      break;
  }
  return i;
}

std::size_t utf8_sequence(std::string_view text) noexcept {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  auto follows = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
  auto lead = byte(0);
  if (lead < 0x80)
    return 1;
  if (lead >= 0xc2 && lead <= 0xdf)
    return follows(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (!follows(1) || !follows(2))
      return 0;
    // Neither overlong nor a surrogate.
    if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f))
      return 0;
    return 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (!follows(1) || !follows(2) || !follows(3))
      return 0;
    // Neither overlong nor above U+10FFFF.
    if ((lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f))
      return 0;
    return 4;
  }
  return 0;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    auto size = utf8_sequence(text);
    if (size == 0)
      return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string to_utf8(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    auto n = utf8_sequence(text);
    if (n == 0)
      clean += "\xef\xbf\xbd";
    else
      clean += text.substr(0, n);
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return clean;
}

} // namespace sluice::codec
