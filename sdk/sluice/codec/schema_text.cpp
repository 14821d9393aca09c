#include <sluice/codec/json_writer.hpp>
#include <sluice/codec/schema_text.hpp>
#include <sluice/codec/utf8.hpp>

#include <algorithm>

namespace sluice::codec {

namespace {

constexpr std::string_view month_and_day = "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?"
                                           ":0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|[12][0-9]))";

std::string padded(std::uint64_t value, std::size_t width) {
  auto digits = std::to_string(value);
  return std::string(width - digits.size(), '0') + digits;
}

std::string any_digits(std::size_t count) {
  if (count == 0)
    return "";
  return count == 1 ? "[0-9]" : "[0-9]{" + std::to_string(count) + "}";
}

std::string digit_class(char first, char last) {
  if (first == last)
    return {first};
  return std::string{"["} + first + '-' + last + ']';
}

bool all_are(std::string_view text, char c) { return text.find_first_not_of(c) == text.npos; }

/// Numbers of one width from `low` to `high`.
std::string between(std::string_view low, std::string_view high) {
  if (low.empty())
    return "";
  if (all_are(low, '0') && all_are(high, '9'))
    return any_digits(low.size());
  auto low_rest = low.substr(1);
  auto high_rest = high.substr(1);
  if (low.front() == high.front())
    return low.front() + between(low_rest, high_rest);
  std::string text = "(?:";
  auto add = [&](const std::string& part) { text.append(text.size() == 3 ? "" : "|").append(part); };
  char first = low.front();
  char last = high.front();
  if (!all_are(low_rest, '0'))
    add(first++ + between(low_rest, std::string(low_rest.size(), '9')));
  bool has_ragged_end = !all_are(high_rest, '9');
  if (has_ragged_end)
    --last;
  if (first <= last)
    add(digit_class(first, last) + any_digits(low_rest.size()));
  if (has_ragged_end)
    add(high.front() + between(std::string(high_rest.size(), '0'), high_rest));
  return text + ")";
}

/// From `min` to `max`, shortest first; each width is an alternative.
std::string positive_pattern(std::uint64_t min, std::uint64_t max) {
  std::string text;
  auto low = std::to_string(min);
  auto high = std::to_string(max);
  for (auto width = low.size(); width <= high.size(); ++width) {
    auto first = width == low.size() ? low : "1" + std::string(width - 1, '0');
    auto last = width == high.size() ? high : std::string(width, '9');
    text.append(text.empty() ? "" : "|").append(between(first, last));
  }
  return text;
}

std::string string_schema(std::string_view format, const std::string& pattern) {
  return R"({"type":"string","format":)" + quoted(format) + R"(,"pattern":)" + quoted("^(?:" + pattern + ")$")
         + "}";
}

} // namespace

std::string digits_pattern(std::uint64_t min, std::uint64_t max, std::size_t width) {
  return between(padded(min, width), padded(max, width));
}

std::string integer_pattern(std::int64_t min, std::uint64_t max) {
  auto text = "(?:" + positive_pattern(0, max);
  if (min < 0)
    text += "|-(?:" + positive_pattern(1, 0 - static_cast<std::uint64_t>(min)) + ")";
  return text + ")";
}

std::string time_schema(const time_range& range) {
  const std::string minutes = range.is_whole_hours ? "00" : "[0-5][0-9]";
  const std::string hour_and_minutes = "(?:[01][0-9]|2[0-3]):" + minutes;
  std::string time = "[Tt]" + hour_and_minutes + ":";
  time += range.is_whole_minutes ? "00" : "[0-5][0-9]";
  time += range.decimals == 0 ? "(?:\\.0+)?" : "(?:\\.[0-9]{1," + std::to_string(range.decimals) + "}0*)?";
  const auto any_offset = "(?:[Zz]|[+-]" + hour_and_minutes + ")";
  constexpr std::string_view no_offset = "(?:[Zz]|[+-]00:00)";
  // At either end of the calendar, an offset may lead out of it.
  auto whole = std::pair{std::max(range.year_min, 1u), std::min(range.year_max, 9998u)};
  auto pattern = digits_pattern(whole.first, whole.second, 4) + "-";
  pattern.append(month_and_day).append(time).append(any_offset);
  for (auto year : {0u, 9999u})
    if (range.year_min <= year && year <= range.year_max)
      pattern.append("|" + padded(year, 4) + "-").append(month_and_day).append(time).append(no_offset);
  for (auto text : {range.exactly_min, range.exactly_max})
    if (!text.empty()) {
      pattern += '|';
      for (char c : text)
        pattern.append(c == '.' ? "\\" : "").push_back(c);
    }
  return string_schema("date-time", pattern);
}

std::string date_schema() { return string_schema("date", "[0-9]{4}-" + std::string{month_and_day}); }

std::string bytes_schema() {
  // The bits behind the last byte are zero, which leaves some digits only.
  return string_schema("byte",
                       "(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?");
}

std::string with_member(std::string schema, std::string_view name, std::string_view value) {
  schema.pop_back();
  schema.append(schema.size() == 1 ? "" : ",").append(quoted(name)).append(":").append(value);
  return schema + "}";
}

std::string quoted(std::string_view text) {
  std::string out;
  json_writer writer{out};
  writer.string(to_utf8(text));
  return out;
}

} // namespace sluice::codec
