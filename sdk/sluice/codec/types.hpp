#pragma once

#include <sluice/codec/adapter.hpp>
#include <sluice/codec/bytes.hpp>
#include <sluice/codec/json_writer.hpp>
#include <sluice/codec/reflect.hpp>

#include <chrono>
#include <concepts>
#include <memory>
#include <new>
#include <optional>
#include <ratio>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

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
inline constexpr bool is_owning_pointer = false;
template <class T>
inline constexpr bool is_owning_pointer<std::unique_ptr<T>> = !std::is_array_v<T>;
template <class T>
inline constexpr bool is_owning_pointer<std::shared_ptr<T>> = !std::is_array_v<T>;

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

/// Has a form by its `adapter`, which comes before everything else.
template <class T>
concept adapted_type = requires {
  typename adapter<T>::form;
};
template <class T>
concept optional_type = detail::is_instance_of<T, std::optional>;
/// std::unique_ptr, std::shared_ptr: what they point to, or null.
template <class T>
concept pointer_type = detail::is_owning_pointer<T>;
template <class T>
concept variant_type = detail::is_instance_of<T, std::variant>;
template <class T>
concept integer_type = std::integral<T> && !std::same_as<T, bool> && !detail::character<T>;
template <class T>
concept floating_type = std::same_as<T, double> || std::same_as<T, float>;
template <class T>
concept duration_type = detail::is_instance_of<T, std::chrono::duration>;
template <class T>
concept time_type = detail::is_time<T> || std::same_as<T, std::chrono::year_month_day>;
/// std::array: a length of its own.
template <class T>
concept fixed_array_type = detail::is_std_array<T>;
/// std::pair, std::tuple: a type per element.
template <class T>
concept tuple_type = detail::is_instance_of<T, std::pair> || detail::is_instance_of<T, std::tuple>;
/// std::vector, deque, list.
template <class T>
concept sequence_type =
  detail::container<T> && !std::same_as<T, std::string> && requires(T value, typename T::value_type item) {
  value.push_back(std::move(item));
};
/// What the name of a member can stand for.
template <class T>
concept key_type = std::same_as<T, std::string> || integer_type<T> || std::is_enum_v<T>;
/// std::map, unordered_map.
template <class T>
concept map_type = detail::container<T> && requires(T value, typename T::key_type key) {
  requires key_type<typename T::key_type>;
  typename T::mapped_type;
  value.try_emplace(std::move(key));
};
/// std::set, unordered_set.
template <class T>
concept set_type = detail::container<T> && requires(T value, typename T::value_type item) {
  requires std::same_as<typename T::key_type, typename T::value_type>;
  value.insert(std::move(item));
};
template <class T>
concept list_type = sequence_type<T> || set_type<T>;
/// A plain struct: its fields are members of a JSON object.
template <class T>
concept struct_type =
  std::is_class_v<T> && std::is_aggregate_v<T> && !adapted_type<
    T> && !fixed_array_type<T> && !std::same_as<T, raw> && !std::same_as<T, bytes> && !std::same_as<T, json_text> && !std::same_as<T, std::monostate>;

/// Has a JSON form, as far as the type itself goes.
template <class T>
concept json_type = adapted_type<T> || std::same_as<T, bool> || integer_type<T> || floating_type<
  T> || std::is_enum_v<T> || std::same_as<T,
                                          std::
                                            string> || std::same_as<T,
                                                                    bytes> || std::same_as<T,
                                                                                           json_text> || std::
  same_as<T, std::monostate> || optional_type<T> || pointer_type<T> || variant_type<T> || duration_type<
    T> || time_type<T> || fixed_array_type<T> || tuple_type<T> || list_type<T> || map_type<T> || struct_type<T>;

/// Says `static constexpr bool sluice_strict = true`: unknown members are refused.
template <class T>
constexpr bool is_strict() noexcept {
  if constexpr (requires { T::sluice_strict; })
    return T::sluice_strict;
  else
    return false;
}

/// Which JSON a type is written as, as far as one word says it; `nothing` where it may be one or another.
template <class T>
constexpr json_kind kind_of() noexcept {
  if constexpr (adapted_type<T>)
    return kind_of<typename adapter<T>::form>();
  else if constexpr (std::same_as<T, std::monostate>)
    return json_kind::null;
  else if constexpr (std::same_as<T, bool>)
    return json_kind::boolean;
  else if constexpr (std::is_arithmetic_v<T> || duration_type<T>)
    return json_kind::number;
  else if constexpr (optional_type<T> || pointer_type<T> || variant_type<T> || std::same_as<T, json_text>)
    return json_kind::nothing;
  else if constexpr (std::is_enum_v<
                       T> || std::same_as<T, std::string> || std::same_as<T, bytes> || time_type<T>)
    return json_kind::string;
  else if constexpr (fixed_array_type<T> || tuple_type<T> || list_type<T>)
    return json_kind::array;
  else
    return json_kind::object;
}

/// Has no time of day: a date alone.
template <class T>
constexpr bool is_date() noexcept {
  if constexpr (std::same_as<T, std::chrono::year_month_day>)
    return true;
  else if constexpr (detail::is_time<T>)
    return std::ratio_equal_v<typename T::period, std::chrono::days::period>;
  else
    return false;
}

} // namespace sluice::codec
