#pragma once

#include <sluice/codec/time_text.hpp>
#include <sluice/codec/variant.hpp>
#include <sluice/core/result.hpp>

#include <boost/pfr/core.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

namespace sluice::codec {

namespace detail {

/// `,"id":`, made by the compiler; the first member goes without the comma.
template <class T, std::size_t I>
inline constexpr auto member_opening_v = [] {
  constexpr auto name = field_names_v<T>[I];
  std::array<char, name.size() + 4> text{};
  text[0] = ',';
  text[1] = '"';
  std::copy(name.begin(), name.end(), text.begin() + 2);
  text[name.size() + 2] = '"';
  text[name.size() + 3] = ':';
  return text;
}();

template <class T>
bool encode_value(json_writer& out, const T& value);

/// The enumerator's name, empty if it has none.
template <class T>
std::string_view enum_name(T value) noexcept {
  for (const auto& entry : enum_entries_v<T>)
    if (entry.value == value)
      return entry.name;
  return {};
}

template <class T>
bool encode_enum(json_writer& out, T value) {
  auto name = enum_name(value);
  using number = std::underlying_type_t<T>;
  if (name.empty())
    return out.refuse("no enumerator of " + std::string{type_name<T>()} + " has the value "
                      + std::to_string(static_cast<number>(value)));
  out.character('"');
  out.text(name);
  out.character('"');
  return true;
}

template <class T, std::size_t I, bool First, class Fields>
bool encode_field(json_writer& out, const Fields& fields) {
  constexpr auto& opening = member_opening_v<T, I>;
  out.text({opening.data() + (First ? 1 : 0), opening.size() - (First ? 1 : 0)});
  if (encode_value(out, std::get<I>(fields)))
    return true;
  out.error().under_field(field_names_v<T>[I]);
  return false;
}

/// `Tagged`: as an alternative of a variant, with its tag in front.
template <bool Tagged, class T, std::size_t... I>
bool encode_struct(json_writer& out, const T& value, std::index_sequence<I...>) {
  if (!out.enter('{'))
    return false;
  if constexpr (Tagged) {
    out.string(tag_member);
    out.character(':');
    out.string(tag_of<T>());
  }
  if constexpr (sizeof...(I) > 0) {
    auto fields = boost::pfr::structure_tie(value);
    if (!(encode_field < T, I, I == 0 && !Tagged > (out, fields) && ...))
      return false;
  }
  out.leave('}');
  return true;
}

template <class T>
bool encode_list(json_writer& out, const T& value) {
  if (!out.enter('['))
    return false;
  std::size_t index = 0;
  for (const auto& item : value) {
    if (index != 0)
      out.character(',');
    if (!encode_value<typename T::value_type>(out, item)) {
      out.error().under_index(index);
      return false;
    }
    ++index;
  }
  out.leave(']');
  return true;
}

/// The name of a map's member.
template <class K>
std::string key_text(const K& key) {
  if constexpr (std::is_enum_v<K>)
    return std::string{enum_name(key)};
  else if constexpr (std::same_as<K, std::string>)
    return key;
  else
    return std::to_string(key);
}

template <class K>
bool encode_key(json_writer& out, const K& key) {
  if constexpr (std::is_enum_v<K>) {
    if (!encode_enum(out, key))
      return false;
  } else if constexpr (std::same_as<K, std::string>) {
    if (!out.string(key))
      return out.refuse("a key is " + out.error().message);
  } else {
    out.character('"');
    out.integer(key);
    out.character('"');
  }
  out.character(':');
  return true;
}

template <class T>
bool encode_map(json_writer& out, const T& value) {
  if (!out.enter('{'))
    return false;
  bool first = true;
  for (const auto& [key, item] : value) {
    if (!std::exchange(first, false))
      out.character(',');
    if (!encode_key(out, key))
      return false;
    if (!encode_value(out, item)) {
      out.error().under_field(key_text(key));
      return false;
    }
  }
  out.leave('}');
  return true;
}

template <class T, std::size_t... I>
bool encode_tuple(json_writer& out, const T& value, std::index_sequence<I...>) {
  if (!out.enter('['))
    return false;
  [[maybe_unused]] auto write = [&]<std::size_t At>(std::integral_constant<std::size_t, At>) {
    if constexpr (At != 0)
      out.character(',');
    if (encode_value(out, std::get<At>(value)))
      return true;
    out.error().under_index(At);
    return false;
  };
  if (!(write(std::integral_constant<std::size_t, I>{}) && ...))
    return false;
  out.leave(']');
  return true;
}

template <class T>
bool encode_variant(json_writer& out, const T& value) {
  check_variant<T>();
  if (value.valueless_by_exception())
    return out.refuse("a std::variant that an exception left without a value");
  return std::visit(
    [&]<class A>(const A& alternative) {
      if constexpr (struct_type<A>)
        return encode_struct<true>(out, alternative, std::make_index_sequence<boost::pfr::tuple_size_v<A>>{});
      else
        return encode_value(out, alternative);
    },
    value);
}

template <class T>
bool encode_adapted(json_writer& out, const T& value) {
  try {
    return encode_value<typename adapter<T>::form>(out, adapter<T>::to(value));
  } catch (const std::exception& e) {
    return out.refuse(e.what());
  }
}

template <class T>
bool encode_time(json_writer& out, const T& value) {
  std::string text;
  bool ok = false;
  if constexpr (std::same_as<T, std::chrono::year_month_day>)
    ok = append_date(text, value);
  else if constexpr (is_date<T>())
    ok = append_date(text, to_moment(value));
  else
    ok = append_time(text, to_moment(value));
  return ok ? out.string(text) : out.refuse("a time outside of the years 0 to 9999");
}

template <class T>
bool encode_scalar(json_writer& out, const T& value) {
  if constexpr (std::same_as<T, bool>) {
    out.text(value ? "true" : "false");
    return true;
  } else if constexpr (integer_type<T>) {
    out.integer(value);
    return true;
  } else if constexpr (floating_type<T>) {
    return out.floating(value);
  } else if constexpr (std::same_as<T, std::string>) {
    return out.string(value);
  } else if constexpr (std::is_enum_v<T>) {
    return encode_enum(out, value);
  } else if constexpr (duration_type<T>) {
    return encode_scalar(out, value.count());
  } else if constexpr (time_type<T>) {
    return encode_time(out, value);
  } else if constexpr (std::same_as<T, bytes>) {
    std::string text;
    append_base64(text, value.data);
    out.character('"');
    out.text(text);
    out.character('"');
    return true;
  } else {
    static_assert(std::same_as<T, std::monostate>);
    out.text("null");
    return true;
  }
}

template <class T>
bool encode_value(json_writer& out, const T& value) {
  static_assert(
    json_type<T>,
    "sluice: this type has no JSON form. Use bool, integers, double, float, std::string, enums, "
    "std::optional, std::vector, std::array, std::set, std::tuple, std::variant, maps, std::chrono times "
    "and durations, sluice::bytes, and plain structs of these, or specialise sluice::codec::adapter for it");
  if constexpr (adapted_type<T>) {
    return encode_adapted(out, value);
  } else if constexpr (optional_type<T> || pointer_type<T>) {
    if (value)
      return encode_value(out, *value);
    out.text("null");
    return true;
  } else if constexpr (variant_type<T>) {
    return encode_variant(out, value);
  } else if constexpr (tuple_type<T>) {
    return encode_tuple(out, value, std::make_index_sequence<std::tuple_size_v<T>>{});
  } else if constexpr (map_type<T>) {
    return encode_map(out, value);
  } else if constexpr (fixed_array_type<T> || list_type<T>) {
    return encode_list(out, value);
  } else if constexpr (std::same_as<T, json_text>) {
    return out.any(value.text);
  } else if constexpr (struct_type<T>) {
    return encode_struct<false>(out, value, std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});
  } else {
    return encode_scalar(out, value);
  }
}

} // namespace detail

/// Appends `value` to `out` as JSON. On failure, `out` is as before and the message names
/// the path: "priced.total: JSON has no number for NaN" (`errc::internal`: the fault is
/// with the program, not with what it was given).
template <class T>
result<void> encode(const T& value, std::string& out) {
  auto size_before = out.size();
  json_writer writer{out};
  if (detail::encode_value(writer, value))
    return {};
  out.resize(size_before);
  return fail(errc::internal, root_label<T>() + writer.error().path + ": " + writer.error().message);
}

} // namespace sluice::codec
