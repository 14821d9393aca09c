#pragma once

#include <boost/pfr/core.hpp>
#include <boost/pfr/tuple_size.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

/// Names of fields, enumerators and types, taken from what the compiler itself prints for
/// them, so that a user's struct needs no macro and no registration. Works on g++ 12 and
/// clang 14, whose texts differ; both end in the name.
namespace sluice::codec {

/// Enumerators outside of this range have no name: their number would have to be searched.
constexpr int enum_value_min = -16;
constexpr int enum_value_max = 127;

namespace detail {

#ifdef __clang__
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wundefined-var-template"
#pragma clang diagnostic ignored "-Wundefined-internal"
#endif

template <class T>
struct holder {
  const T value;
};

/// Never defined: only the addresses of its members are used, and only by the compiler.
template <class T>
extern const holder<T> fake;

/// clang 14 takes no address of a member as a template argument, but a struct around it.
template <class T>
struct pointer {
  const T* to;
};

// The result types are `auto` because a named one would be printed, too.
template <auto Pointer>
constexpr auto pretty_pointer() noexcept {
  return std::string_view{__PRETTY_FUNCTION__};
}

template <class T>
constexpr auto pretty_type() noexcept {
  return std::string_view{__PRETTY_FUNCTION__};
}

template <class E, E... Values>
constexpr auto pretty_values() noexcept {
  return std::string_view{__PRETTY_FUNCTION__};
}

constexpr bool is_identifier(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'
         || static_cast<unsigned char>(c) >= 0x80;
}

/// The last identifier of a text such as "... = (& fake<order>.value.order::id)]".
constexpr std::string_view last_identifier(std::string_view text) noexcept {
  auto end = text.size();
  while (end > 0 && !is_identifier(text[end - 1]))
    --end;
  auto begin = end;
  while (begin > 0 && is_identifier(text[begin - 1]))
    --begin;
  return text.substr(begin, end - begin);
}

template <class T, std::size_t I>
constexpr std::string_view field_name() noexcept {
  using field = std::remove_cvref_t<decltype(boost::pfr::get<I>(fake<T>.value))>;
  constexpr auto name = last_identifier(pretty_pointer<pointer<field>{&boost::pfr::get<I>(fake<T>.value)}>());
  static_assert(!name.empty() && !(name.front() >= '0' && name.front() <= '9'),
                "sluice: this field has no name that can be read; a C array must be a std::array");
  return name;
}

#ifdef __clang__
#pragma clang diagnostic pop
#endif

template <class T, std::size_t... I>
constexpr auto field_names(std::index_sequence<I...>) noexcept {
  return std::array<std::string_view, sizeof...(I)>{field_name<T, I>()...};
}

/// A printed value is "color::red", or "(color)7" where it has no name.
constexpr bool is_named(std::string_view text) noexcept {
  auto first = last_identifier(text).front();
  return !(first >= '0' && first <= '9');
}

/// Calls `use(text)` for each element of the printed list of values.
template <class Use>
constexpr void for_each_value(std::string_view pretty, Use use) {
  constexpr std::string_view lead = "Values = "; // then '{', or '<' with clang
  auto at = pretty.find(lead) + lead.size() + 1;
  int nesting = 0;
  auto begin = at;
  for (; at < pretty.size(); ++at) {
    char c = pretty[at];
    if (nesting == 0 && (c == ',' || c == '}' || c == '>')) {
      use(pretty.substr(begin, at - begin));
      if (c != ',')
        return;
      begin = at + 2;
    } else if (c == '(' || c == '<') {
      ++nesting;
    } else if (c == ')' || c == '>') {
      --nesting;
    }
  }
}

template <class E, int First, int... Offsets>
constexpr std::string_view pretty_range(std::integer_sequence<int, Offsets...>) noexcept {
  return pretty_values<E, static_cast<E>(First + Offsets)...>();
}

template <class E>
struct enum_scan {
  using number = std::underlying_type_t<E>;
  static constexpr int clamp_to_type(int value) noexcept {
    constexpr auto low = +std::numeric_limits<number>::min(); // `+`: an enum may count in bool
    constexpr auto high = +std::numeric_limits<number>::max();
    if (std::cmp_less(value, low))
      return static_cast<int>(low);
    return std::cmp_greater(value, high) ? static_cast<int>(high) : value;
  }
  static constexpr int first = clamp_to_type(enum_value_min);
  static constexpr int last = clamp_to_type(enum_value_max);
  static constexpr std::string_view text =
    pretty_range<E, first>(std::make_integer_sequence<int, last - first + 1>{});
};

} // namespace detail

/// Names of an aggregate's fields, in order of declaration.
template <class T>
inline constexpr auto
  field_names_v = detail::field_names<T>(std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});

template <class E>
struct enum_entry {
  E value;
  std::string_view name;
};

/// All named values of an enum within `enum_value_min` and `enum_value_max`, ascending.
template <class E>
inline constexpr auto enum_entries_v = [] {
  using scan = detail::enum_scan<E>;
  constexpr auto count = [] {
    std::size_t named = 0;
    detail::for_each_value(scan::text,
                           [&](std::string_view text) { named += detail::is_named(text) ? 1 : 0; });
    return named;
  }();
  std::array<enum_entry<E>, count> entries{};
  std::size_t at = 0;
  int value = scan::first;
  detail::for_each_value(scan::text, [&](std::string_view text) {
    if (detail::is_named(text))
      entries[at++] = {static_cast<E>(value), detail::last_identifier(text)};
    ++value;
  });
  return entries;
}();

/// Name of a type without namespaces and template arguments: "order".
template <class T>
constexpr std::string_view type_name() noexcept {
  auto text = detail::pretty_type<T>();
  text.remove_prefix(text.rfind("T = ") + 4);
  text = text.substr(0, text.find_first_of(";]"));
  if (text.ends_with('>')) {
    int nesting = 0;
    auto at = text.size();
    do {
      --at;
      nesting += text[at] == '>' ? 1 : text[at] == '<' ? -1 : 0;
    } while (at > 0 && nesting > 0);
    text = text.substr(0, at);
  }
  return detail::last_identifier(text);
}

} // namespace sluice::codec
