#include <sluice/codec/number_text.hpp>

#include <charconv>
#include <cstddef>

namespace sluice::codec {

namespace {

/// A checked number taken apart: value = digits (leading + trailing) * 10^exponent.
struct number_parts {
  bool negative = false;
  std::string_view leading;  ///< before the point
  std::string_view trailing; ///< after it
  long exponent = 0;         ///< as written, capped far outside every type's range

  std::size_t count() const noexcept { return leading.size() + trailing.size(); }
  char digit(std::size_t i) const noexcept {
    return i < leading.size() ? leading[i] : trailing[i - leading.size()];
  }
};

number_parts split(std::string_view number) noexcept {
  number_parts parts;
  if (number.front() == '-') {
    parts.negative = true;
    number.remove_prefix(1);
  }
  if (auto e = number.find_first_of("eE"); e != number.npos) {
    auto text = number.substr(e + 1);
    bool minus = text.front() == '-';
    if (minus || text.front() == '+')
      text.remove_prefix(1);
    // Above any number of digits that a record can hold, so it decides alone.
    constexpr long exponent_max = 1'000'000'000;
    for (char c : text)
      if (parts.exponent < exponent_max)
        parts.exponent = parts.exponent * 10 + (c - '0');
    if (minus)
      parts.exponent = -parts.exponent;
    number = number.substr(0, e);
  }
  auto point = number.find('.');
  parts.leading = number.substr(0, point);
  if (point != number.npos)
    parts.trailing = number.substr(point + 1);
  return parts;
}

/// Decimal exponent of the first digit that is not zero: 0 for 1 to 9. Nothing for zero.
bool leading_exponent(const number_parts& parts, long& out) noexcept {
  if (auto at = parts.leading.find_first_not_of('0'); at != parts.leading.npos) {
    out = static_cast<long>(parts.leading.size() - at) - 1 + parts.exponent;
    return true;
  }
  if (auto at = parts.trailing.find_first_not_of('0'); at != parts.trailing.npos) {
    out = -static_cast<long>(at) - 1 + parts.exponent;
    return true;
  }
  return false;
}

template <class T>
bool parse_floating_as(std::string_view number, T& out) noexcept {
  auto [stop, code] = std::from_chars(number.data(), number.data() + number.size(), out);
  if (code == std::errc{})
    return true;
  // Out of range is all that a checked number can be: below the smallest is zero.
  auto parts = split(number);
  long exponent = 0;
  if (leading_exponent(parts, exponent) && exponent > 0)
    return false;
  out = parts.negative ? -T{0} : T{0};
  return true;
}

} // namespace

integer_text parse_integer(std::string_view number, bool& negative, std::uint64_t& magnitude) noexcept {
  negative = number.front() == '-';
  auto first = number.data() + (negative ? 1 : 0);
  auto last = number.data() + number.size();
  auto [stop, code] = std::from_chars(first, last, magnitude);
  if (stop == last)
    return code == std::errc{} ? integer_text::exact : integer_text::too_large;

  auto parts = split(number);
  long highest = 0;
  magnitude = 0;
  if (!leading_exponent(parts, highest))
    return integer_text::exact; // zero, however it is written
  const auto count = parts.count();
  // Power of ten of the digit at `i`.
  auto power = [&](std::size_t i) {
    return static_cast<long>(parts.leading.size()) - 1 - static_cast<long>(i) + parts.exponent;
  };
  for (std::size_t i = 0; i < count; ++i)
    if (parts.digit(i) != '0' && power(i) < 0)
      return integer_text::fraction;
  constexpr long highest_max = 19; // 2^64 has twenty digits
  if (highest > highest_max)
    return integer_text::too_large;
  for (long p = highest; p >= 0; --p) {
    auto i = static_cast<long>(parts.leading.size()) - 1 - p + parts.exponent;
    auto digit = i >= 0 && i < static_cast<long>(count)
                   ? static_cast<unsigned>(parts.digit(static_cast<std::size_t>(i)) - '0')
                   : 0u;
    if (__builtin_mul_overflow(magnitude, std::uint64_t{10}, &magnitude)
        || __builtin_add_overflow(magnitude, std::uint64_t{digit}, &magnitude))
      return integer_text::too_large;
  }
  return integer_text::exact;
}

bool parse_floating(std::string_view number, double& out) noexcept { return parse_floating_as(number, out); }

bool parse_floating(std::string_view number, float& out) noexcept { return parse_floating_as(number, out); }

} // namespace sluice::codec
