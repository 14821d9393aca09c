#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

/// The text of a JSON number as a number. It must have passed the grammar before.
namespace sluice::codec {

/// Outcome of reading a number's text as an integer.
enum class integer_text : std::uint8_t { exact, fraction, too_large };

/// Splits the text of a checked JSON number into sign and magnitude. "5.0" and "5e2" are
/// integers, "5.5" is not; nothing is rounded.
integer_text parse_integer(std::string_view number, bool& negative, std::uint64_t& magnitude) noexcept;

/// The largest magnitude that is read as that type: the whole number, digit by digit. Of double it is the largest one
/// itself; of float the decimal that it is written as, 3.4028235e+38, which is a little more.
template <class T>
constexpr std::string_view largest_floating() noexcept {
  if constexpr (std::is_same_v<T, float>)
    return "340282350000000000000000000000000000000";
  else
    return "17976931348623157081452742373170435679807056752584499659891747680315726078002853"
           "87605895586327668781715404589535143824642343213268894641827684675467035375169860"
           "49910576551282076245490090389328944075868508455133942304583236903222948165808559"
           "332123348274797826204144723168738177180919299881250404026184124858368";
}

/// Whether the magnitude of a checked JSON number is above that of a whole one, whose digits begin with no zero.
bool is_beyond(std::string_view number, std::string_view whole) noexcept;

/// The nearest value, exactly rounded. False when it is beyond `largest_floating`; too small is zero.
bool parse_floating(std::string_view number, double& out) noexcept;
bool parse_floating(std::string_view number, float& out) noexcept;

} // namespace sluice::codec
