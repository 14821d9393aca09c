#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// Pieces of JSON Schema whose text does not depend on a C++ type.
namespace sluice::codec {

/// A regular expression for the decimal integers from `min` to `max` as they are written shortest: no
/// leading zeros, no "-0". Without anchors.
std::string integer_pattern(std::int64_t min, std::uint64_t max);

/// The same for numbers of `width` digits, with leading zeros.
std::string digits_pattern(std::uint64_t min, std::uint64_t max, std::size_t width);

/// How far a type of time reaches and how fine it is.
struct time_range {
  unsigned year_min = 0; ///< first year that it holds as a whole, with any offset from UTC
  unsigned year_max = 9999;
  unsigned decimals = 0;         ///< of a second
  bool is_whole_minutes = false; ///< seconds are always 00
  bool is_whole_hours = false;   ///< minutes as well
  std::string_view
    exactly_min{}; ///< the type's ends, in UTC, of which the years are not whole; empty = it has none here
  std::string_view exactly_max{};
};

/// The schema of a time: {"type":"string","format":"date-time","pattern":...}. The pattern says what the format does
/// not: years, decimals, no leap second.
std::string time_schema(const time_range& range);

/// {"type":"string","format":"date",...}
std::string date_schema();

/// {"type":"string","format":"byte",...}: base64.
std::string bytes_schema();

/// `schema`, an object, with one more member at its end. `value` is JSON.
std::string with_member(std::string schema, std::string_view name, std::string_view value);

/// A JSON string.
std::string quoted(std::string_view text);

} // namespace sluice::codec
