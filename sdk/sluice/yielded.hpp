#pragma once

#include <concepts>
#include <type_traits>

namespace sluice::detail {

/// Structs that g++ 12 destroys twice when a `co_yield` makes them: an aggregate that is a temporary there.
/// Such a value needs a name of its own.
template <class T>
concept needs_name = std::is_aggregate_v<T> && !std::is_trivially_destructible_v<T>;

/// Breaks the build, where otherwise memory would break.
template <class Given, class T>
constexpr void check_yielded() {
  static_assert(std::same_as<std::remove_cvref_t<Given>, T>,
                "sluice: co_yield a value of the coroutine's type");
  static_assert(std::is_lvalue_reference_v<Given>,
                "sluice: give the struct a name and co_yield that; g++ 12 destroys a temporary one twice");
}

} // namespace sluice::detail
