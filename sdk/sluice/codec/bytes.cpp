#include <sluice/codec/bytes.hpp>

#include <array>
#include <cstdint>

namespace sluice::codec {

namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t no_digit = 0xff;

constexpr auto digit_values = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(no_digit);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  return values;
}();

std::uint32_t byte_at(std::string_view data, std::size_t i) noexcept {
  return static_cast<unsigned char>(data[i]);
}

} // namespace

void append_base64(std::string& out, std::string_view data) {
  out.reserve(out.size() + (data.size() + 2) / 3 * 4);
  auto put = [&](std::uint32_t bits, int shift) { out.push_back(alphabet[(bits >> shift) & 0x3f]); };
  std::size_t i = 0;
  for (; i + 3 <= data.size(); i += 3) {
    auto bits = byte_at(data, i) << 16 | byte_at(data, i + 1) << 8 | byte_at(data, i + 2);
    for (int shift : {18, 12, 6, 0})
      put(bits, shift);
  }
  auto left = data.size() - i;
  if (left == 0)
    return;
  auto bits = byte_at(data, i) << 16 | (left == 2 ? byte_at(data, i + 1) << 8 : 0);
  put(bits, 18);
  put(bits, 12);
  if (left == 2)
    put(bits, 6);
  out.append(3 - left, '=');
}

bool parse_base64(std::string_view text, std::string& out) {
  out.clear();
  if (text.size() % 4 != 0)
    return false;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    bool is_last = i + 4 == text.size();
    std::size_t digits = is_last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2 : 3) : 4;
    std::uint32_t bits = 0;
    for (std::size_t j = 0; j < 4; ++j) {
      auto value = j < digits ? digit_values[static_cast<unsigned char>(text[i + j])] : std::uint8_t{0};
      if (value == no_digit)
        return false;
      bits = bits << 6 | value;
    }
    // Bits behind the last byte must be zero: one value has one text.
    auto spare = bits & ((1u << (8 * (4 - digits))) - 1);
    if (spare != 0)
      return false;
    for (std::size_t j = 0; j + 1 < digits; ++j)
      out.push_back(static_cast<char>(bits >> (16 - 8 * j)));
  }
  return true;
}

} // namespace sluice::codec
