#pragma once

#include <cstdint>
#include <string_view>

/// The text of a JSON number as a number. It must have passed the grammar before.
namespace sluice::codec {

/// Outcome of reading a number's text as an integer.
enum class integer_text : std::uint8_t { exact, fraction, too_large };

/// Splits the text of a checked JSON number into sign and magnitude. "5.0" and "5e2" are
/// integers, "5.5" is not; nothing is rounded.
integer_text parse_integer(std::string_view number, bool& negative, std::uint64_t& magnitude) noexcept;

/// The largest magnitude that is read as a float, digit by digit: the decimal that the largest one is written as,
/// 3.4028235e+38, which is a little more than it is.
inline constexpr std::string_view largest_float = "340282350000000000000000000000000000000";

/// Whether the magnitude of a checked JSON number is above that of a whole one, whose digits begin with no zero.
bool is_beyond(std::string_view number, std::string_view whole) noexcept;

/// The nearest value, exactly rounded; too small is zero. False when the nearest double would be infinite, and when a
/// float is beyond `largest_float`.
bool parse_floating(std::string_view number, double& out) noexcept;
bool parse_floating(std::string_view number, float& out) noexcept;

} // namespace sluice::codec
