#include <sluice/codec/json_writer.hpp>
#include <sluice/codec/schema_text.hpp>
#include <sluice/codec/utf8.hpp>

#include <algorithm>
#include <chrono>

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
  std::string text;
  std::size_t count = 0;
  auto add = [&](const std::string& part) { text.append(count++ == 0 ? "" : "|").append(part); };
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
  return count == 1 ? text : "(?:" + text + ")";
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

unsigned number_at(std::string_view text, std::size_t at, std::size_t width) {
  unsigned value = 0;
  for (char c : text.substr(at, width))
    value = value * 10 + static_cast<unsigned>(c - '0');
  return value;
}

/// Alternatives of a pattern.
class alternatives {
public:
  void add(const std::string& one) {
    if (!one.empty())
      text_.append(text_.empty() ? "" : "|").append(one);
  }
  /// Behind `before`; empty if there are none.
  std::string behind(std::string_view before = {}) const {
    return text_.empty() ? std::string{} : std::string{before} + "(?:" + text_ + ")";
  }

private:
  std::string text_;
};

/// What there is of a type of time, by what may follow.
struct time_patterns {
  alternatives dates;        ///< any time, with any offset
  alternatives edge_dates;   ///< any time, in UTC: an offset may lead out of the range
  alternatives edge_moments; ///< in UTC
};

/// The first or the last year in which there are times of a type, but not all of it.
class edge_year {
public:
  edge_year(unsigned year, bool is_first, time_patterns& to)
    : year_(padded(year, 4) + "-"), calendar_year_(static_cast<int>(year)), is_first_(is_first), to_(to) {}

  /// What of it is not beyond `end`, which is "YYYY-MM-DDThh:mm:ss.nnnnnnnnnZ", with fewer decimals or none. Field after field:
  /// what is on this side of it, whatever follows, and then what is equal to it so far.
  void add_up_to(std::string_view end, const time_range& range, const std::string& fraction) {
    const auto seconds = (range.is_whole_minutes ? "00" : "[0-5][0-9]") + fraction;
    const auto minutes = (range.is_whole_hours ? "00:" : "[0-5][0-9]:") + seconds;
    const auto number = [end](std::size_t at) { return number_at(end, at, 2); };
    const auto month = number(5);
    const auto day = number(8);
    auto dates = months_from(month);
    add(dates, padded(month, 2) + "-", beyond(day, 2, 1, days_of(month)), "");
    to_.dates.add(dates.behind(year_));
    if (const auto next = is_first_ ? day + 1 : day - 1; next >= 1 && next <= days_of(month))
      to_.edge_dates.add(year_ + padded(month, 2) + "-" + padded(next, 2));
    alternatives times;
    add(times, "", beyond(number(11), 1, 0, 23), ":" + minutes);
    if (!range.is_whole_hours)
      add(times, end.substr(11, 3), beyond(number(14), 1, 0, 59), ":" + seconds);
    if (!range.is_whole_minutes)
      add(times, end.substr(11, 6), beyond(number(17), 1, 0, 59), fraction);
    times.add(std::string{end.substr(11, 8)}
              + (range.decimals == 0 ? fraction : fraction_up_to(end.substr(19), range.decimals)));
    to_.edge_moments.add(times.behind(std::string{end.substr(0, 10)} + "[Tt]"));
  }

private:
  unsigned days_of(unsigned month) const {
    return static_cast<unsigned>((calendar_year_ / std::chrono::month{month} / std::chrono::last).day());
  }
  static void add(alternatives& to, std::string_view before, const std::string& what,
                  const std::string& then) {
    if (!what.empty())
      to.add(std::string{before} + what + then);
  }
  /// Those on the inner side of `edge`, with their days.
  alternatives months_from(unsigned edge) const {
    alternatives out;
    for (auto month = is_first_ ? edge + 1 : 1; month <= (is_first_ ? 12 : edge - 1); ++month)
      out.add(padded(month, 2) + "-" + digits_pattern(1, days_of(month), 2));
    return out;
  }
  /// Two digits, at least `distance` on the inner side of `value`; empty = there are none.
  std::string beyond(unsigned value, unsigned distance, unsigned lowest, unsigned highest) const {
    if (is_first_)
      return value + distance <= highest ? digits_pattern(value + distance, highest, 2) : std::string{};
    return lowest + distance <= value ? digits_pattern(lowest, value - distance, 2) : std::string{};
  }
  /// As the codec writes them: in groups of three. `end` is ".nnnZ", or "Z".
  std::string fraction_up_to(std::string_view end, std::size_t decimals) const {
    auto digits = std::string{end.substr(0, end.size() - 1)}.erase(0, 1);
    digits.resize(9, '0');
    const auto value = number_at(digits, 0, 9);
    alternatives groups;
    unsigned unit = 1'000'000;
    for (std::size_t width = 3; width < decimals + 3; width += 3, unit /= 1000) {
      const auto low = is_first_ ? (value + unit - 1) / unit : 0;
      const auto high = is_first_ ? 999'999'999 / unit : value / unit;
      if (low <= high)
        groups.add(digits_pattern(low, high, width));
    }
    return "(?:" + groups.behind("\\.") + ")" + (is_first_ && value > 0 ? "" : "?");
  }

  const std::string year_; ///< "1677-"
  const std::chrono::year calendar_year_;
  const bool is_first_;
  time_patterns& to_;
};

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
  const auto fraction = range.decimals == 0 ? std::string{"(?:\\.0+)?"}
                                            : "(?:\\.[0-9]{1," + std::to_string(range.decimals) + "}0*)?";
  time += fraction;
  const auto any_offset = "(?:[Zz]|[+-]" + hour_and_minutes + ")";
  constexpr std::string_view no_offset = "(?:[Zz]|[+-]00:00)";
  time_patterns all;
  if (const auto [first, last] = std::pair{std::max(range.year_min, 1u), std::min(range.year_max, 9998u)};
      first <= last)
    all.dates.add(digits_pattern(first, last, 4) + "-" + std::string{month_and_day});
  if (!range.exactly_min.empty())
    edge_year{range.year_min - 1, true, all}.add_up_to(range.exactly_min, range, fraction);
  else if (range.year_min == 0)
    all.edge_dates.add("0000-" + std::string{month_and_day});
  if (!range.exactly_max.empty())
    edge_year{range.year_max + 1, false, all}.add_up_to(range.exactly_max, range, fraction);
  else if (range.year_max == 9999)
    all.edge_dates.add("9999-" + std::string{month_and_day});
  alternatives in_utc;
  if (const auto dates = all.edge_dates.behind(); !dates.empty())
    in_utc.add(dates + time);
  in_utc.add(all.edge_moments.behind());
  auto pattern = all.dates.behind() + time + any_offset;
  if (const auto more = in_utc.behind(); !more.empty())
    pattern += "|" + more + std::string{no_offset};
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
