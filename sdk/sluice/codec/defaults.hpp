#pragma once

#include <sluice/codec/encode.hpp>

#include <boost/pfr/core.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

/// Which fields of a struct may be missing: those with a member initialiser.
///
/// C++ does not tell whether there is one. What can be seen is its effect: an `= 0` writes to memory that a
/// field without it leaves alone, and a string or list that is not empty after construction was given something.
/// An initialiser that says no more than "empty" has no effect that could be seen; such a field counts as
/// having none.
namespace sluice::codec {

namespace detail {

/// Keeps the optimiser from knowing what stands in `memory`.
inline void escape(void* memory) noexcept { asm volatile("" : : "g"(memory) : "memory"); }

/// Which fields a default-initialised `T` writes to: a scalar without a member initialiser
/// leaves the memory as it was, which is how `= 0` can be told from nothing.
template <class T, std::size_t... I>
std::array<bool, sizeof...(I)> written_fields(unsigned char pattern, std::index_sequence<I...>) {
  alignas(T) unsigned char memory[sizeof(T)];
  std::memset(memory, pattern, sizeof memory);
  escape(memory);
  auto object =
    ::new (static_cast<void*>(memory)) T; // not T{}: that would set what has no initialiser to zero
  escape(memory);
  auto is_written = [&](const auto& field) {
    auto first = reinterpret_cast<const unsigned char*>(&field);
    return std::any_of(first, first + sizeof field, [&](unsigned char byte) { return byte != pattern; });
  };
  std::array<bool, sizeof...(I)> written{is_written(boost::pfr::get<I>(*object))...};
  std::destroy_at(object);
  return written;
}

template <class Field>
bool differs_from_empty(const Field& value) {
  std::string with;
  std::string without;
  bool with_ok = encode(value, with).has_value();
  bool without_ok = encode(Field{}, without).has_value();
  return with_ok != without_ok || with != without;
}

} // namespace detail

/// Says `static constexpr bool sluice_defaults = true`: any field may be missing and keeps what it has.
template <class T>
constexpr bool is_defaulted() noexcept {
  if constexpr (requires { T::sluice_defaults; })
    return T::sluice_defaults;
  else
    return false;
}

/// Fields that must be present: those without a default that can be told from emptiness.
template <class T>
const std::array<bool, boost::pfr::tuple_size_v<T>>& required_fields() {
  static const auto required = []<std::size_t... I>(std::index_sequence<I...> indices) {
    [[maybe_unused]] const T defaults{};
    std::array<bool, sizeof...(I)> needed{};
    if constexpr (sizeof...(I) > 0 && !is_defaulted<T>()) {
      auto once = detail::written_fields<T>(0xa5, indices);
      auto again = detail::written_fields<T>(0x5a, indices);
      auto has_default = [&]<std::size_t At>(std::integral_constant<std::size_t, At>) {
        using field = boost::pfr::tuple_element_t<At, T>;
        if constexpr (optional_type<field> || pointer_type<field>)
          return true;
        else if constexpr (std::is_trivially_default_constructible_v<field>)
          return once[At] || again[At];
        else
          return detail::differs_from_empty(boost::pfr::get<At>(defaults));
      };
      needed = {!has_default(std::integral_constant<std::size_t, I>{})...};
    }
    return needed;
  }
  (std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});
  return required;
}

} // namespace sluice::codec
