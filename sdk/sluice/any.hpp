#pragma once

#include <sluice/async_group.hpp>

#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice {

/// Who was first, and with what.
template <class T>
struct first_of {
  std::size_t index = 0; ///< of the argument
  T value;
};
template <>
struct first_of<void> {
  std::size_t index = 0;
};

namespace detail {

/// The first end among the children of an `any`.
template <class T>
struct any_group : group {
  using group::group;

  std::size_t index = 0;
  std::optional<outcome<T>> first;

  bool keep(std::size_t from, outcome<T> got) {
    index = from;
    first.emplace(std::move(got));
    return true;
  }
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

template <class T>
async<first_of<T>> run_any(std::vector<async<T>> works) {
  if (works.empty())
    throw std::invalid_argument{"sluice::any of nothing would wait for ever"};
  auto children = std::make_shared<any_group<T>>(works.size());
  group_awaiter waiting{children, [&works, to = children.get()](executor& where) {
                          for (std::size_t i = 0; i < works.size(); ++i)
                            to->launch(std::move(works[i]), where,
                                       [to, i](outcome<T> got) { return to->keep(i, std::move(got)); });
                        }};
  co_await waiting;
  auto& first = *children->first;
  if (!first)
    std::rethrow_exception(first.error());
  if constexpr (std::is_void_v<T>)
    co_return first_of<void>{children->index};
  else
    co_return first_of<T>{children->index, std::move(*first)};
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

} // namespace detail

/// Runs coroutines side by side until the first has ended, and gives its value and place; the others end where
/// they stand. An exception is an end, too, and is thrown. Throws std::invalid_argument if there are none.
template <class T>
async<first_of<T>> any(std::vector<async<T>> works) {
  return detail::run_any<T>(std::move(works));
}

/// The same for a number that is known: `auto first = co_await sluice::any(ask(a), ask(b));`.
template <class T, std::same_as<async<T>>... More>
async<first_of<T>> any(async<T> work, More... more) {
  std::vector<async<T>> works;
  works.reserve(1 + sizeof...(More));
  works.push_back(std::move(work));
  (works.push_back(std::move(more)), ...);
  return detail::run_any<T>(std::move(works));
}

} // namespace sluice
