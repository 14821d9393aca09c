#pragma once

#include <sluice/async.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

/// Coroutines that tests run, and who runs them.
namespace sluice {

/// Counts its living copies, to see locals go.
struct tracked {
  explicit tracked(int& count) : count_(&count) { ++*count_; }
  tracked(const tracked& other) : count_(other.count_) { ++*count_; }
  tracked& operator=(const tracked&) = default;
  ~tracked() { --*count_; }
  int* count_;
};

inline async<int> immediate(int value) { co_return value; }

inline async<int> delayed(int value, std::chrono::nanoseconds by) {
  co_await sluice::sleep(by);
  co_return value;
}

inline async<> failing(bool wait) {
  if (wait)
    co_await sluice::sleep(std::chrono::milliseconds{1});
  throw std::runtime_error{"broken"};
}

inline async<> hold(tracked kept, std::chrono::nanoseconds by) {
  tracked local{kept};
  co_await sluice::sleep(by);
}

/// Starts and keeps what came of it.
template <class T>
struct run_of {
  run_of(async<T> work, executor& where)
    : started(start(std::move(work), where, [this](outcome<T> got) {
        ++done_count;
        result = std::move(got);
      })) {}
  int done_count = 0;
  outcome<T> result = tl::unexpected{std::exception_ptr{}};
  sluice::started started;
};

template <class T>
std::string message_of(const outcome<T>& result) {
  try {
    if (!result)
      std::rethrow_exception(result.error());
  } catch (const std::exception& e) {
    return e.what();
  }
  return "no exception";
}

} // namespace sluice
