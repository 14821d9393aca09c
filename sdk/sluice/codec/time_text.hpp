#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

namespace sluice::codec {

/// A moment as whole seconds since 1970 and what is left, 0 to 999,999,999 ns.
struct moment {
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
};

/// Whether a time that is counted so has a text that is it exactly: whole nanoseconds, ..., seconds, ..., days. A count
/// of thirds or in floating point would be cut.
template <class Duration>
inline constexpr bool has_exact_text =
  std::is_integral_v<typename Duration::rep> && (Duration::period::num == 1 || Duration::period::den == 1)
  && 1'000'000'000 % Duration::period::den == 0;

/// Reads "2024-05-01T12:34:56.789Z" or the same with an offset such as "+02:00". False if
/// it is not such a text, not a date that exists, not in the years 0 to 9999 of UTC, or finer than a nanosecond.
bool parse_time(std::string_view text, moment& out) noexcept;

/// Appends the time in UTC, with as many groups of three decimals as it needs. False
/// outside of the years 0 to 9999.
bool append_time(std::string& out, moment value);

/// Reads "2024-05-01". False if it is not such a text or not a date that exists.
bool parse_date(std::string_view text, moment& out) noexcept;

/// Appends the date, without the time of day. False outside of the years 0 to 9999, or if it does not exist.
bool append_date(std::string& out, moment value);
bool append_date(std::string& out, std::chrono::year_month_day value);

/// Exact or not at all: false when `Duration` is too coarse or too small for it.
template <class Duration>
bool from_moment(moment value, std::chrono::sys_time<Duration>& out) noexcept {
  using period = typename Duration::period;
  using rep = typename Duration::rep;
  static_assert(has_exact_text<Duration>, "sluice: a time counts whole nanoseconds, ..., seconds, ..., days");
  constexpr std::int64_t unit_ns = 1'000'000'000 / period::den;
  if (value.seconds % period::num != 0 || value.nanoseconds % unit_ns != 0)
    return false;
  // Wider than 64 bits, or the earliest representable time would overflow on the way.
  auto count = static_cast<__int128>(value.seconds / period::num) * period::den + value.nanoseconds / unit_ns;
  if (count < std::numeric_limits<rep>::min() || count > std::numeric_limits<rep>::max())
    return false;
  out = std::chrono::sys_time<Duration>{Duration{static_cast<rep>(count)}};
  return true;
}

template <class Duration>
moment to_moment(std::chrono::sys_time<Duration> value) noexcept {
  using period = typename Duration::period;
  static_assert(has_exact_text<Duration>, "sluice: a time counts whole nanoseconds, ..., seconds, ..., days");
  std::int64_t count = value.time_since_epoch().count();
  auto seconds = count / period::den;
  auto rest = count % period::den;
  if (rest < 0) {
    --seconds;
    rest += period::den;
  }
  if (__builtin_mul_overflow(seconds, std::int64_t{period::num}, &seconds))
    seconds = std::numeric_limits<std::int64_t>::max(); // out of every calendar's range
  return {seconds, rest * (1'000'000'000 / period::den)};
}

} // namespace sluice::codec
