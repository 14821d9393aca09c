#pragma once

#include <sluice/codec/bytes.hpp>
#include <sluice/codec/json_writer.hpp>
#include <sluice/codec/reflect.hpp>

#include <chrono>
#include <concepts>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <type_traits>

/// Which C++ types have a JSON form, and which form. Looks at one level only; what a type
/// contains is checked when it is read or written.
namespace sluice::codec {

namespace detail {

template <class T, template <class...> class Template>
inline constexpr bool is_instance_of = false;
template <class... Args, template <class...> class Template>
inline constexpr bool is_instance_of<Template<Args...>, Template> = true;

template <class T>
inline constexpr bool is_std_array = false;
template <class T, std::size_t N>
inline constexpr bool is_std_array<std::array<T, N>> = true;

template <class T>
inline constexpr bool is_time = false;
template <class Duration>
inline constexpr bool is_time<std::chrono::time_point<std::chrono::system_clock, Duration>> = true;

template <class T>
concept character = std::same_as<T, char> || std::same_as<T, wchar_t> || std::same_as<
  T, char8_t> || std::same_as<T, char16_t> || std::same_as<T, char32_t>;

template <class T>
concept container = requires(T value, const T& constant) {
  typename T::value_type;
  constant.begin();
  constant.end();
  value.clear();
};

} // namespace detail

template <class T>
concept optional_type = detail::is_instance_of<T, std::optional>;
template <class T>
concept integer_type = std::integral<T> && !std::same_as<T, bool> && !detail::character<T>;
template <class T>
concept floating_type = std::same_as<T, double> || std::same_as<T, float>;
template <class T>
concept duration_type = detail::is_instance_of<T, std::chrono::duration>;
template <class T>
concept time_type = detail::is_time<T>;
template <class T>
concept fixed_array_type = detail::is_std_array<T>;
/// std::vector, deque, list.
template <class T>
concept sequence_type =
  detail::container<T> && !std::same_as<T, std::string> && requires(T value, typename T::value_type item) {
  value.push_back(std::move(item));
};
/// std::map, unordered_map with string keys.
template <class T>
concept map_type = detail::container<T> && requires(T value, std::string key) {
  requires std::same_as<typename T::key_type, std::string>;
  typename T::mapped_type;
  value.insert_or_assign(std::move(key), typename T::mapped_type{});
};
/// std::set, unordered_set.
template <class T>
concept set_type = detail::container<T> && requires(T value, typename T::value_type item) {
  requires std::same_as<typename T::key_type, typename T::value_type>;
  value.insert(std::move(item));
};
/// A plain struct: its fields are members of a JSON object.
template <class T>
concept struct_type = std::is_class_v<T> && std::is_aggregate_v<T> && !fixed_array_type<
                        T> && !std::same_as<T, raw> && !std::same_as<T, bytes>;

/// Has a JSON form, as far as the type itself goes.
template <class T>
concept json_type = std::same_as<T, bool> || integer_type<T> || floating_type<T> || std::is_enum_v<T> || std::
  same_as<T, std::string> || std::same_as<T, bytes> || optional_type<T> || duration_type<T> || time_type<
    T> || fixed_array_type<T> || sequence_type<T> || map_type<T> || set_type<T> || struct_type<T>;

/// Says `static constexpr bool sluice_strict = true`: unknown members are refused.
template <class T>
constexpr bool is_strict() noexcept {
  if constexpr (requires { T::sluice_strict; })
    return T::sluice_strict;
  else
    return false;
}

/// What a type is called towards people: "order", "list of item", "integer".
template <class T>
std::string type_label() {
  if constexpr (std::same_as<T, bool>)
    return "boolean";
  else if constexpr (integer_type<T>)
    return "integer";
  else if constexpr (floating_type<T>)
    return "number";
  else if constexpr (optional_type<T>)
    return type_label<typename T::value_type>();
  else if constexpr (time_type<T>)
    return "time";
  else if constexpr (duration_type<T>)
    return "duration";
  else if constexpr (map_type<T>)
    return "map of " + type_label<typename T::mapped_type>();
  else if constexpr (fixed_array_type<T> || sequence_type<T> || set_type<T>)
    return "list of " + type_label<typename T::value_type>();
  else if constexpr (std::same_as<T, std::string>)
    return "string";
  else
    return std::string{type_name<T>()};
}

/// What an error says was expected.
template <class T>
std::string expected_label() {
  if constexpr (optional_type<T>) {
    return expected_label<typename T::value_type>();
  } else if constexpr (std::is_enum_v<T>) {
    constexpr std::size_t shown_max = 12;
    std::string text = "one of ";
    std::size_t shown = 0;
    for (const auto& entry : enum_entries_v<T>) {
      if (shown == shown_max)
        return text += ", ...";
      text.append(shown++ == 0 ? "" : ", ").append(entry.name);
    }
    return text;
  } else if constexpr (time_type<T>) {
    return "time in ISO 8601 such as 2024-05-01T12:34:56Z";
  } else if constexpr (std::same_as<T, bytes>) {
    return "string in base64";
  } else if constexpr (duration_type<T>) {
    return expected_label<typename T::rep>();
  } else if constexpr (fixed_array_type<T> || sequence_type<T> || set_type<T>) {
    return "array";
  } else if constexpr (map_type<T> || struct_type<T>) {
    return "object";
  } else {
    return type_label<T>();
  }
}

/// How a document of this type is called at the front of an error's path: a struct by its
/// name in lower case, everything else "value".
template <class T>
std::string root_label() {
  if constexpr (!struct_type<T>)
    return "value";
  std::string name{type_name<T>()};
  for (char& c : name)
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
  return name;
}

} // namespace sluice::codec
