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

/// What is no float any more: half-way between the largest one and 2^128, which rounds to infinity. All that is nearer to zero is read.
inline constexpr std::string_view float_bound = "340282356779733661637539395458142568448";

/// The nearest value, exactly rounded; too small is zero. False when the nearest would be infinite.
bool parse_floating(std::string_view number, double& out) noexcept;
bool parse_floating(std::string_view number, float& out) noexcept;

} // namespace sluice::codec
