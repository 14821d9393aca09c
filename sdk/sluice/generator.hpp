#pragma once

#include <sluice/yielded.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <iterator>
#include <optional>
#include <utility>

namespace sluice {

/// The result type of a coroutine that gives values one by one, each made when it is asked for:
/// `sluice::generator<line> split(document in) { ... co_yield ...; }`. A range that is walked once. A struct that is
/// yielded has a name: `line next{...}; co_yield next;`.
///
/// Runs on the thread that walks it; it can not `co_await`, for which there is `sluice::stream`. An exception that
/// leaves it is thrown where the next value is asked for. Destroying it ends it where it stands.
template <class T>
class [[nodiscard]] generator {
public:
  class promise_type {
  public:
    generator get_return_object() noexcept {
      return generator{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    std::suspend_always yield_value(T value) requires(!detail::needs_name<T>) {
      value_.emplace(std::move(value));
      return {};
    }
    template <class Given>
    requires detail::needs_name<T> std::suspend_always yield_value(Given&& value) {
      detail::check_yielded<Given&&, T>();
      value_.emplace(value);
      return {};
    }
    void return_void() const noexcept {}
    void unhandled_exception() { error_ = std::current_exception(); }

    template <class Awaited>
    void
    await_transform(Awaited&&) = delete; // sluice: a generator can not co_await; make it a sluice::stream

  private:
    friend generator;
    std::optional<T> value_;
    std::exception_ptr error_;
  };

  class iterator {
  public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    iterator() = default;
    explicit iterator(std::coroutine_handle<promise_type> at) noexcept : at_(at) {}

    T& operator*() const noexcept { return *at_.promise().value_; }
    T* operator->() const noexcept { return &*at_.promise().value_; }
    iterator& operator++() {
      generator::advance(at_);
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& at, std::default_sentinel_t) noexcept { return at.at_.done(); }

  private:
    std::coroutine_handle<promise_type> at_;
  };

  generator(generator&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  generator& operator=(generator&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~generator() {
    if (handle_)
      handle_.destroy();
  }

  /// Runs to the first value. @pre called once
  iterator begin() {
    advance(handle_);
    return iterator{handle_};
  }
  std::default_sentinel_t end() const noexcept { return {}; }

private:
  explicit generator(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}

  static void advance(std::coroutine_handle<promise_type> at) {
    at.resume();
    if (auto error = std::exchange(at.promise().error_, nullptr))
      std::rethrow_exception(error);
  }

  std::coroutine_handle<promise_type> handle_;
};

template <class T>
inline constexpr bool is_generator = false;
template <class T>
inline constexpr bool is_generator<generator<T>> = true;

} // namespace sluice
