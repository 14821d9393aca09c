#include <sluice/core/ids.hpp>

namespace sluice {

bool is_valid_name(std::string_view text) noexcept {
  constexpr std::size_t length_max = 63;
  if (text.empty() || text.size() > length_max)
    return false;
  auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!is_alnum(text.front()))
    return false;
  for (char c : text)
    if (!is_alnum(c) && c != '-' && c != '_' && c != '.')
      return false;
  return true;
}

std::string to_string(const incarnation& value) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(32);
  for (auto word : value.bits)
    for (int shift = 60; shift >= 0; shift -= 4)
      text.push_back(digits[(word >> shift) & 0xf]);
  return text;
}

} // namespace sluice
