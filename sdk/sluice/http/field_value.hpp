#pragma once

#include <algorithm>
#include <string_view>

/// What header fields are made of, and what stands in their values. Pure.
namespace sluice::http {

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

/// Compares without case, as names and most tokens of HTTP do.
inline bool same_token(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size()
         && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

/// Whether a field may have this name (RFC 9110 §5.6.2).
bool is_token(std::string_view text) noexcept;

/// Whether a field may have this value: no line ends and no other control characters.
bool is_field_value(std::string_view text) noexcept;

/// Cuts the front up to `separator` off `rest`; what is given has no blanks around it.
std::string_view next_part(std::string_view& rest, char separator) noexcept;

/// How much a client wants one item of a field such as Accept, by the item's parameters ("q=0.5"): in thousandths, 0 = not
/// acceptable. One that is not given, or is none, counts as 1.
int weight_of(std::string_view parameters) noexcept;

/// Calls `use(name, weight)` for each item of a field such as Accept or Accept-Encoding.
template <class Use>
void for_each_choice(std::string_view value, Use use) {
  while (!value.empty()) {
    auto item = next_part(value, ',');
    auto name = next_part(item, ';');
    use(name, weight_of(item));
  }
}

} // namespace sluice::http
