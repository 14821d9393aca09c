#pragma once

#include <sluice/codec/decode.hpp>
#include <sluice/codec/utf8.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

/// Values that stand alone as text, such as a parameter of a path or a field of a query.
namespace sluice::codec {

namespace detail {

template <class T>
constexpr bool is_text_type() noexcept {
  if constexpr (adapted_type<T>)
    return is_text_type<typename adapter<T>::form>();
  else if constexpr (optional_type<T>)
    return is_text_type<typename T::value_type>();
  else
    return std::same_as<
             T,
             bool> || integer_type<T> || floating_type<T> || std::same_as<T, std::string> || std::is_enum_v<T> || time_type<T> || duration_type<T> || std::same_as<T, bytes>;
}

} // namespace detail

/// Has a form as plain text: bool ("true", "false"), integers and floating point as JSON writes them,
/// std::string, enums by name, times in ISO 8601, durations as the count of their unit, bytes in base64,
/// types whose adapter has such a form, and std::optional of these.
template <class T>
concept text_type = detail::is_text_type<T>();

namespace detail {

/// Whether a text is written like a number of JSON, with nothing around it.
bool is_number_text(std::string_view text);

template <class T>
bool read_text(json_reader& in, std::string_view text, T& out) {
  if constexpr (adapted_type<T>) {
    typename adapter<T>::form form{};
    return read_text(in, text, form) && adapt(in, std::move(form), out);
  } else if constexpr (std::same_as<T, bool>) {
    out = text == "true";
    return out || text == "false" || refuse_token(in, "true or false", text);
  } else if constexpr (integer_type<T> || floating_type<T>) {
    return is_number_text(text) ? decode_value(in, out) : refuse_token(in, expected_label<T>(), text);
  } else if constexpr (duration_type<T>) {
    typename T::rep count{};
    if (!read_text(in, text, count))
      return false;
    out = T{count};
    return true;
  } else if constexpr (optional_type<T>) {
    return read_text(in, text, out.emplace());
  } else if constexpr (std::same_as<T, std::string>) {
    if (!is_utf8(text))
      return in.refuse("expected text in UTF-8");
    out.assign(text);
    return true;
  } else {
    return parse_token(in, text, out);
  }
}

} // namespace detail

namespace detail {

/// Whether the JSON of a value is a string, if it is there.
template <class T>
constexpr bool is_string_form() noexcept {
  if constexpr (adapted_type<T>)
    return is_string_form<typename adapter<T>::form>();
  else if constexpr (optional_type<T>)
    return is_string_form<typename T::value_type>();
  else
    return std::same_as<T, std::string> || std::is_enum_v<T> || time_type<T> || std::same_as<T, bytes>;
}

/// Whether the JSON of a value is a number or a truth value, if it is there.
template <class T>
constexpr bool is_value_form() noexcept {
  if constexpr (optional_type<T>)
    return is_value_form<typename T::value_type>();
  else
    return kind_of<T>() == json_kind::number || kind_of<T>() == json_kind::boolean;
}

} // namespace detail

/// Names of the fields of a record by what their JSON is, for what brings text without types. A field that may be one
/// or another is in none of the lists.
struct field_kinds {
  std::vector<std::string_view> text; ///< a string
  std::vector<std::string_view>
    text_with_empty; ///< those where no text at all is a value: a std::string that must be there
  std::vector<std::string_view> values; ///< a number, `true` or `false`
};

template <class T>
field_kinds field_kinds_of() {
  field_kinds found;
  if constexpr (struct_type<T>)
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      auto add = [&]<class Field>(std::string_view name, bool is_required, const Field*) {
        if (detail::is_string_form<Field>())
          found.text.push_back(name);
        else if (detail::is_value_form<Field>())
          found.values.push_back(name);
        if (is_required && std::same_as<Field, std::string>)
          found.text_with_empty.push_back(name);
      };
      (add(field_names_v<T>[I], required_fields<T>()[I],
           static_cast<const boost::pfr::tuple_element_t<I, T>*>(nullptr)),
       ...);
    }
  (std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});
  return found;
}

/// Reads a value from text that is it as a whole, blanks included. The error has no path: the caller knows
/// where the text came from. An optional is never empty: text that is there is a value.
template <text_type T>
tl::expected<T, decode_error> from_text(std::string_view text) {
  tl::expected<T, decode_error> value{tl::in_place};
  json_reader reader{text};
  if (detail::read_text(reader, text, *value))
    return value;
  decode_error error;
  error.message = std::move(reader.error().message);
  return tl::unexpected{std::move(error)};
}

} // namespace sluice::codec
