#pragma once

#include <sluice/async_group.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

namespace sluice {

namespace detail {

/// What the children of an `all` have come to so far.
template <class Values>
struct all_group : group {
  using group::group;

  Values values{};
  std::exception_ptr error;

  /// Keeps a child's value in `slot`; an exception is the end of all.
  template <class Slot, class T>
  bool keep(Slot& slot, outcome<T> got) {
    if (!got)
      error = got.error();
    else if constexpr (std::is_void_v<T>)
      slot.emplace();
    else
      slot.emplace(std::move(*got));
    return !got;
  }
};

// As in async.hpp.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

template <class... T, std::size_t... I>
async<std::tuple<value_of<T>...>> run_all(std::tuple<async<T>...> works, std::index_sequence<I...>) {
  using state = all_group<std::tuple<std::optional<value_of<T>>...>>;
  auto children = std::make_shared<state>(sizeof...(T));
  group_awaiter waiting{
    children, [&works, to = children.get()]([[maybe_unused]] executor& where) {
      (to->launch(std::move(std::get<I>(works)), where,
                  [to](outcome<T> got) { return to->keep(std::get<I>(to->values), std::move(got)); }),
       ...);
    }};
  if constexpr (sizeof...(T) > 0)
    co_await waiting;
  if (children->error)
    std::rethrow_exception(children->error);
  co_return std::tuple<value_of<T>...>{std::move(*std::get<I>(children->values))...};
}

template <class T>
async<std::vector<value_of<T>>> run_all_of(std::vector<async<T>> works) {
  using state = all_group<std::vector<std::optional<value_of<T>>>>;
  auto children = std::make_shared<state>(works.size());
  children->values.resize(works.size());
  group_awaiter waiting{children, [&works, to = children.get()](executor& where) {
                          for (std::size_t i = 0; i < works.size(); ++i)
                            to->launch(std::move(works[i]), where, [to, i](outcome<T> got) {
                              return to->keep(to->values[i], std::move(got));
                            });
                        }};
  if (!works.empty())
    co_await waiting;
  if (children->error)
    std::rethrow_exception(children->error);
  std::vector<value_of<T>> values;
  values.reserve(children->values.size());
  for (auto& value : children->values)
    values.push_back(std::move(*value));
  co_return values;
}

template <class T>
async<> without_value(async<T> work) {
  co_await std::move(work);
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

} // namespace detail

/// Runs coroutines side by side until all have ended, and gives what they gave, in the order of the arguments:
/// `auto [stock, price] = co_await sluice::all(look_up(id), quote(id));`. In the place of one that gives nothing
/// stands std::monostate; if none gives anything, there is nothing.
///
/// They take turns on the executor of who awaits; each starts in its turn and runs until it waits. The first
/// exception ends the others where they stand and is thrown.
template <class... T>
auto all(async<T>... works) {
  auto run =
    detail::run_all<T...>(std::tuple<async<T>...>{std::move(works)...}, std::index_sequence_for<T...>{});
  if constexpr ((std::is_void_v<T> && ...))
    return detail::without_value(std::move(run));
  else
    return run;
}

/// The same for any number: gives a vector, or nothing for coroutines that give nothing.
template <class T>
auto all(std::vector<async<T>> works) {
  auto run = detail::run_all_of<T>(std::move(works));
  if constexpr (std::is_void_v<T>)
    return detail::without_value(std::move(run));
  else
    return run;
}

} // namespace sluice
