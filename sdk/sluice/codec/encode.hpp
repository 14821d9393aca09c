#pragma once

#include <sluice/codec/time_text.hpp>
#include <sluice/codec/types.hpp>
#include <sluice/core/result.hpp>

#include <boost/pfr/core.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

namespace sluice::codec {

namespace detail {

/// `{"id":` for the first field and `,"id":` for the others, made by the compiler.
template <class T, std::size_t I>
inline constexpr auto member_opening_v = [] {
  constexpr auto name = field_names_v<T>[I];
  std::array<char, name.size() + 4> text{};
  text[0] = I == 0 ? '{' : ',';
  text[1] = '"';
  std::copy(name.begin(), name.end(), text.begin() + 2);
  text[name.size() + 2] = '"';
  text[name.size() + 3] = ':';
  return text;
}();

template <class T>
bool encode_value(json_writer& out, const T& value);

template <class T>
bool encode_enum(json_writer& out, T value) {
  for (const auto& entry : enum_entries_v<T>)
    if (entry.value == value) {
      out.character('"');
      out.text(entry.name);
      out.character('"');
      return true;
    }
  using number = std::underlying_type_t<T>;
  return out.refuse("no enumerator of " + std::string{type_name<T>()} + " has the value "
                    + std::to_string(static_cast<number>(value)));
}

template <class T, std::size_t I, class Fields>
bool encode_field(json_writer& out, const Fields& fields) {
  constexpr auto& opening = member_opening_v<T, I>;
  out.text({opening.data() + (I == 0 ? 1 : 0), opening.size() - (I == 0 ? 1 : 0)});
  if (encode_value(out, std::get<I>(fields)))
    return true;
  out.error().under_field(field_names_v<T>[I]);
  return false;
}

template <class T, std::size_t... I>
bool encode_struct(json_writer& out, const T& value, std::index_sequence<I...>) {
  if (!out.enter('{'))
    return false;
  if constexpr (sizeof...(I) > 0) {
    auto fields = boost::pfr::structure_tie(value);
    if (!(encode_field<T, I>(out, fields) && ...))
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

template <class T>
bool encode_map(json_writer& out, const T& value) {
  if (!out.enter('{'))
    return false;
  bool first = true;
  for (const auto& [key, item] : value) {
    if (!std::exchange(first, false))
      out.character(',');
    if (!out.string(key))
      return out.refuse("a key is " + out.error().message);
    out.character(':');
    if (!encode_value(out, item)) {
      out.error().under_field(key);
      return false;
    }
  }
  out.leave('}');
  return true;
}

template <class T>
bool encode_value(json_writer& out, const T& value) {
  static_assert(
    json_type<T>,
    "sluice: this type has no JSON form. Use bool, integers, double, float, std::string, enums, "
    "std::optional, std::vector, std::array, std::set, maps with std::string keys, std::chrono times "
    "and durations, sluice::bytes, and plain structs of these");
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
  } else if constexpr (std::same_as<T, bytes>) {
    std::string text;
    append_base64(text, value.data);
    out.character('"');
    out.text(text);
    out.character('"');
    return true;
  } else if constexpr (optional_type<T>) {
    if (value)
      return encode_value(out, *value);
    out.text("null");
    return true;
  } else if constexpr (duration_type<T>) {
    return encode_value(out, value.count());
  } else if constexpr (time_type<T>) {
    std::string text;
    if (!append_time(text, to_moment(value)))
      return out.refuse("a time outside of the years 0 to 9999");
    return out.string(text);
  } else if constexpr (map_type<T>) {
    return encode_map(out, value);
  } else if constexpr (fixed_array_type<T> || sequence_type<T> || set_type<T>) {
    return encode_list(out, value);
  } else {
    return encode_struct(out, value, std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});
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
