#pragma once

#include <sluice/async.hpp>
#include <sluice/yielded.hpp>

#include <coroutine>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

namespace sluice {

template <class T>
class stream;

namespace detail {

template <class T>
struct stream_promise : promise_base {
  /// Stands still with a value until the next one is asked for.
  struct at_yield {
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<stream_promise> self) const noexcept {
      return self.promise().hand_over();
    }
    void await_resume() const noexcept {}
  };
  struct at_stream_end {
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<stream_promise> self) const noexcept {
      self.promise().is_done = true;
      return self.promise().hand_over();
    }
    void await_resume() const noexcept {}
  };

  stream<T> get_return_object() noexcept;
  at_stream_end final_suspend() const noexcept { return {}; }
  at_yield yield_value(T value) requires(!needs_name<T>) {
    current.emplace(std::move(value));
    return {};
  }
  template <class Given>
  requires needs_name<T> at_yield yield_value(Given&& value) {
    check_yielded<Given&&, T>();
    current.emplace(value);
    return {};
  }
  void return_void() const noexcept {}
  void unhandled_exception() noexcept { error = std::current_exception(); }

  std::coroutine_handle<> hand_over() noexcept {
    is_pulled = false;
    return is_in_first_run ? std::noop_coroutine() : continuation;
  }

  std::optional<T> current;
  std::exception_ptr error;
  bool is_pulled = false; ///< somebody waits for the next value
};

template <class T>
class next_awaiter {
public:
  explicit next_awaiter(std::coroutine_handle<stream_promise<T>> producer) noexcept : producer_(producer) {}

  bool await_ready() const noexcept { return producer_.promise().is_done; }

  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> consumer) {
    check_awaiting_coroutine<Promise>();
    auto& promise = producer_.promise();
    if (promise.is_pulled)
      throw std::logic_error{"sluice::stream: next() while another one waits or was given up"};
    promise.context = consumer.promise().context;
    promise.continuation = consumer;
    promise.is_pulled = true;
    promise.is_in_first_run = true;
    producer_.resume();
    promise.is_in_first_run = false;
    return promise.is_pulled;
  }

  std::optional<T> await_resume() {
    auto& promise = producer_.promise();
    if (auto error = std::exchange(promise.error, nullptr))
      std::rethrow_exception(error);
    return std::exchange(promise.current, std::nullopt);
  }

private:
  std::coroutine_handle<stream_promise<T>> producer_;
};

} // namespace detail

/// The result type of a coroutine that gives values over time: it can both `co_yield` and `co_await`.
///
///     sluice::stream<price> watch(std::string id) {
///       for (;;) {
///         co_yield look_up(id);
///         co_await sluice::sleep(1s);
///       }
///     }
///
/// Runs only while somebody waits for the next value, on the executor of who waits, so that a slow reader slows
/// it down. An exception that leaves it is thrown by `next`; after that, and after its end, there are no more
/// values. Destroying it ends it where it stands. Whoever gives up a `next` half-way has given up the stream. A struct
/// that is yielded has a name: `price next{...}; co_yield next;`.
template <class T>
class [[nodiscard]] stream {
public:
  using promise_type = detail::stream_promise<T>;
  using value_type = T;

  explicit stream(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  stream(stream&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  stream& operator=(stream&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~stream() {
    if (handle_)
      handle_.destroy();
  }

  /// `while (auto value = co_await s.next())`: std::nullopt at the end. One at a time.
  detail::next_awaiter<T> next() noexcept { return detail::next_awaiter<T>{handle_}; }

private:
  std::coroutine_handle<promise_type> handle_;
};

template <class T>
inline constexpr bool is_stream = false;
template <class T>
inline constexpr bool is_stream<stream<T>> = true;

namespace detail {

template <class T>
stream<T> stream_promise<T>::get_return_object() noexcept {
  return stream<T>{std::coroutine_handle<stream_promise<T>>::from_promise(*this)};
}

} // namespace detail

} // namespace sluice
