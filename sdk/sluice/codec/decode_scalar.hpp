#pragma once

#include <sluice/codec/json_reader.hpp>
#include <sluice/codec/labels.hpp>
#include <sluice/codec/number_text.hpp>
#include <sluice/codec/time_text.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

/// Reading values that contain no others.
namespace sluice::codec::detail {

template <class T>
std::string integer_range_label() {
  using limits = std::numeric_limits<T>;
  return "integer from " + std::to_string(limits::min()) + " to " + std::to_string(limits::max());
}

template <class T>
bool decode_integer(json_reader& in, T& out) {
  using limits = std::numeric_limits<T>;
  std::string_view text;
  if (!in.read_number(text, "integer"))
    return false;
  bool negative = false;
  std::uint64_t magnitude = 0;
  auto outcome = parse_integer(text, negative, magnitude);
  constexpr std::size_t shown_max = 40;
  if (outcome == integer_text::fraction)
    return in.refuse("expected integer, got " + std::string{text.substr(0, shown_max)});
  // The lowest value is one further from zero than the highest, and zero for unsigned.
  auto highest = static_cast<std::uint64_t>(limits::max());
  auto lowest = std::is_signed_v<T> ? highest + 1 : 0;
  if (outcome == integer_text::too_large || magnitude > (negative ? lowest : highest))
    return in.refuse("expected " + integer_range_label<T>() + ", got "
                     + std::string{text.substr(0, shown_max)});
  out = static_cast<T>(negative ? 0 - magnitude : magnitude);
  return true;
}

template <class T>
bool decode_floating(json_reader& in, T& out) {
  std::string_view text;
  if (!in.read_number(text, "number"))
    return false;
  constexpr std::size_t shown_max = 40;
  return parse_floating(text, out)
         || in.refuse("number too large: " + std::string{text.substr(0, shown_max)});
}

inline bool refuse_token(json_reader& in, std::string_view expected, std::string_view got) {
  constexpr std::size_t shown_max = 64;
  std::string message = "expected ";
  message.append(expected).append(", got \"").append(got.substr(0, shown_max));
  return in.refuse(message.append(got.size() > shown_max ? "...\"" : "\""));
}

// Values whose JSON is a string that stands for something else: what the string says, and reading it.

template <class T>
requires std::is_enum_v<T>
bool parse_token(json_reader& in, std::string_view text, T& out) {
  for (const auto& entry : enum_entries_v<T>)
    if (entry.name == text) {
      out = entry.value;
      return true;
    }
  return refuse_token(in, expected_label<T>(), text);
}

template <time_type T>
bool parse_token(json_reader& in, std::string_view text, T& out) {
  moment value;
  if (!(is_date<T>() ? parse_date(text, value) : parse_time(text, value)))
    return refuse_token(in, expected_label<T>(), text);
  if constexpr (std::same_as<T, std::chrono::year_month_day>) {
    out =
      std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds{std::chrono::seconds{value.seconds}});
    return true;
  } else {
    return from_moment(value, out) || refuse_token(in, "time in the range and resolution of the field", text);
  }
}

inline bool parse_token(json_reader& in, std::string_view text, bytes& out) {
  return parse_base64(text, out.data) || refuse_token(in, expected_label<bytes>(), text);
}

template <class T>
bool decode_token(json_reader& in, T& out) {
  std::string text;
  if (in.peek() != json_kind::string)
    return in.refuse_kind(expected_label<T>());
  return in.read_string(text) && parse_token(in, text, out);
}

template <class T>
bool decode_scalar(json_reader& in, T& out) {
  if constexpr (std::same_as<T, bool>) {
    return in.read_bool(out);
  } else if constexpr (integer_type<T>) {
    return decode_integer(in, out);
  } else if constexpr (floating_type<T>) {
    return decode_floating(in, out);
  } else if constexpr (std::same_as<T, std::string>) {
    return in.read_string(out);
  } else if constexpr (std::same_as<T, std::monostate>) {
    return in.read_null();
  } else if constexpr (duration_type<T>) {
    typename T::rep count{};
    if (!decode_scalar(in, count))
      return false;
    out = T{count};
    return true;
  } else {
    return decode_token(in, out);
  }
}

} // namespace sluice::codec::detail
