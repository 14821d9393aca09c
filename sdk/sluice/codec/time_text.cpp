#include <sluice/codec/time_text.hpp>

#include <utility>

namespace sluice::codec {

namespace {

/// Takes pieces off the front of a text; remembers whether all fitted.
class cutter {
public:
  explicit cutter(std::string_view text) noexcept : text_(text) {}

  int number(std::size_t digits) noexcept {
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      char c = take();
      ok_ = ok_ && c >= '0' && c <= '9';
      value = value * 10 + (c - '0');
    }
    return value;
  }
  void one_of(std::string_view wanted) noexcept { ok_ = wanted.find(take()) != wanted.npos && ok_; }
  bool next_is(char c) const noexcept { return !text_.empty() && text_.front() == c; }
  bool next_is_digit() const noexcept {
    return !text_.empty() && text_.front() >= '0' && text_.front() <= '9';
  }
  char take() noexcept {
    if (text_.empty()) {
      ok_ = false;
      return '\0';
    }
    char c = text_.front();
    text_.remove_prefix(1);
    return c;
  }
  bool ok() const noexcept { return ok_; }
  bool done() const noexcept { return ok_ && text_.empty(); }

private:
  std::string_view text_;
  bool ok_ = true;
};

/// The decimals of a second as nanoseconds; -1 if there are none or they are finer.
std::int64_t take_decimals(cutter& from) noexcept {
  if (!from.next_is_digit())
    return -1;
  std::int64_t value = 0;
  std::int64_t unit = 100'000'000;
  while (from.next_is_digit()) {
    auto digit = from.take() - '0';
    if (unit == 0 && digit != 0)
      return -1;
    value += digit * unit;
    unit /= 10;
  }
  return value;
}

constexpr std::int64_t day_seconds = 86'400;
constexpr std::int64_t year_0 = -62'167'219'200;     // 0000-01-01T00:00:00Z
constexpr std::int64_t year_10000 = 253'402'300'800; // 10000-01-01T00:00:00Z

std::chrono::year_month_day take_date(cutter& from) noexcept {
  int y = from.number(4);
  from.one_of("-");
  int m = from.number(2);
  from.one_of("-");
  int d = from.number(2);
  return {std::chrono::year{y}, std::chrono::month{static_cast<unsigned>(m)},
          std::chrono::day{static_cast<unsigned>(d)}};
}

std::int64_t seconds_of(std::chrono::year_month_day date) noexcept {
  return std::int64_t{std::chrono::sys_days{date}.time_since_epoch().count()} * day_seconds;
}

std::chrono::sys_days day_of(moment value) noexcept {
  return std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds{std::chrono::seconds{value.seconds}});
}

bool is_in_calendar(moment value) noexcept { return value.seconds >= year_0 && value.seconds < year_10000; }

void append_padded(std::string& out, std::int64_t value, std::size_t width) {
  auto digits = std::to_string(value);
  out.append(width - digits.size(), '0').append(digits);
}

} // namespace

bool parse_time(std::string_view text, moment& out) noexcept {
  cutter from{text};
  auto date = take_date(from);
  from.one_of("Tt");
  int hour = from.number(2);
  from.one_of(":");
  int minute = from.number(2);
  from.one_of(":");
  int second = from.number(2);
  if (!from.ok() || hour > 23 || minute > 59 || second > 59)
    return false;

  std::int64_t nanoseconds = 0;
  if (from.next_is('.')) {
    from.take();
    nanoseconds = take_decimals(from);
    if (nanoseconds < 0)
      return false;
  }

  int offset_minutes = 0;
  if (from.next_is('+') || from.next_is('-')) {
    int sign = from.take() == '-' ? -1 : 1;
    int hours = from.number(2);
    from.one_of(":");
    int minutes = from.number(2);
    if (!from.ok() || hours > 23 || minutes > 59)
      return false;
    offset_minutes = sign * (hours * 60 + minutes);
  } else {
    from.one_of("Zz");
  }

  if (!from.done() || !date.ok())
    return false;
  out = {seconds_of(date) + hour * 3600 + minute * 60 + second - offset_minutes * 60, nanoseconds};
  return is_in_calendar(out);
}

bool parse_date(std::string_view text, moment& out) noexcept {
  cutter from{text};
  auto date = take_date(from);
  if (!from.done() || !date.ok())
    return false;
  out = {seconds_of(date), 0};
  return true;
}

bool append_date(std::string& out, std::chrono::year_month_day date) {
  if (!date.ok() || date.year() < std::chrono::year{0} || date.year() > std::chrono::year{9999})
    return false;
  append_padded(out, static_cast<int>(date.year()), 4);
  out.push_back('-');
  append_padded(out, static_cast<unsigned>(date.month()), 2);
  out.push_back('-');
  append_padded(out, static_cast<unsigned>(date.day()), 2);
  return true;
}

bool append_date(std::string& out, moment value) {
  return is_in_calendar(value) && append_date(out, std::chrono::year_month_day{day_of(value)});
}

bool append_time(std::string& out, moment value) {
  if (!append_date(out, value))
    return false;
  auto of_day = value.seconds - std::int64_t{day_of(value).time_since_epoch().count()} * day_seconds;
  out.push_back('T');
  append_padded(out, of_day / 3600, 2);
  out.push_back(':');
  append_padded(out, of_day / 60 % 60, 2);
  out.push_back(':');
  append_padded(out, of_day % 60, 2);
  if (value.nanoseconds != 0) {
    out.push_back('.');
    if (value.nanoseconds % 1'000'000 == 0)
      append_padded(out, value.nanoseconds / 1'000'000, 3);
    else if (value.nanoseconds % 1'000 == 0)
      append_padded(out, value.nanoseconds / 1'000, 6);
    else
      append_padded(out, value.nanoseconds, 9);
  }
  out.push_back('Z');
  return true;
}

} // namespace sluice::codec
