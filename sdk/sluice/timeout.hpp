#pragma once

#include <sluice/async_group.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

namespace sluice {

/// What was waited for did not end in time.
class timeout_error : public std::runtime_error {
public:
  explicit timeout_error(std::chrono::nanoseconds after);
};

namespace detail {

template <class T>
struct timeout_group : group {
  using group::group;

  std::optional<outcome<T>> got;
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

inline async<> sleep_for_timeout(std::chrono::nanoseconds limit) { co_await sluice::sleep(limit); }

template <class T>
async<T> run_with_timeout(async<T> work, std::chrono::nanoseconds limit) {
  auto children = std::make_shared<timeout_group<T>>(2);
  group_awaiter waiting{children, [&work, limit, to = children.get()](executor& where) {
                          to->launch(std::move(work), where, [to](outcome<T> got) {
                            to->got.emplace(std::move(got));
                            return true;
                          });
                          to->launch(sleep_for_timeout(limit), where, [](outcome<void>) { return true; });
                        }};
  co_await waiting;
  if (!children->got)
    throw timeout_error{limit};
  auto& got = *children->got;
  if (!got)
    std::rethrow_exception(got.error());
  if constexpr (!std::is_void_v<T>)
    co_return std::move(*got);
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

} // namespace detail

/// Gives what `work` gives, or throws `timeout_error` if it has not ended after `limit`, when it ends where it
/// stands. What it does between two waits is not interrupted.
///
///     auto work = ask(city);
///     auto limited = sluice::timeout(std::move(work), 2s);
///     auto answer = co_await std::move(limited);
template <class T, class Rep, class Period>
async<T> timeout(async<T> work, std::chrono::duration<Rep, Period> limit) {
  return detail::run_with_timeout<T>(std::move(work), detail::bounded_wait(limit));
}

} // namespace sluice
