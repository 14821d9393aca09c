#pragma once

#include <sluice/core/executor.hpp>

#include <tl/expected.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace sluice {

/// What a coroutine came to: its value, or the exception that left it.
template <class T>
using outcome = tl::expected<T, std::exception_ptr>;

template <class T>
class async;

namespace detail {

/// What all coroutines of one `start` share. Used on its executor only.
class async_context {
public:
  explicit async_context(executor& where) noexcept : where_(where) {}

  executor& where() const noexcept { return where_; }

  /// Resumes `at`, and afterwards ends everything if it was given up meanwhile. Does nothing
  /// if that has happened before.
  static void resume(std::shared_ptr<async_context> self, std::coroutine_handle<> at) {
    if (self->is_abandoned_)
      return;
    self->is_running_ = true;
    at.resume();
    self->is_running_ = false;
    if (self->is_abandoned_)
      self->destroy();
  }

  /// Nobody will resume the coroutines any more: their frames go.
  void abandon() noexcept {
    is_abandoned_ = true;
    if (!is_running_)
      destroy();
  }

  /// Neither at its end nor given up.
  bool is_alive() const noexcept { return root_ != nullptr; }

  void begin(std::coroutine_handle<> root) noexcept { root_ = root; }
  /// The outermost frame ends by itself.
  void finish() noexcept { root_ = nullptr; }

private:
  void destroy() noexcept {
    if (auto root = std::exchange(root_, nullptr))
      root.destroy();
  }

  executor& where_;
  std::coroutine_handle<> root_;
  bool is_running_ = false;
  bool is_abandoned_ = false;
};

/// A coroutine that stands still. Whoever will resume it holds this; if all copies of the
/// pointer to it go without `resume`, the coroutine is given up and its frames end.
class suspension {
public:
  suspension(std::coroutine_handle<> at, std::shared_ptr<async_context> context) noexcept
    : at_(at), context_(std::move(context)) {}
  suspension(const suspension&) = delete;
  suspension& operator=(const suspension&) = delete;
  ~suspension() {
    if (at_)
      context_->abandon();
  }

  /// Goes on where it stood. Call on the executor, once.
  void resume() { async_context::resume(std::move(context_), std::exchange(at_, nullptr)); }

  /// It goes on some other way.
  void release() noexcept { at_ = nullptr; }

private:
  std::coroutine_handle<> at_;
  std::shared_ptr<async_context> context_;
};

/// A promise of ours: knows where its coroutine runs.
template <class Promise>
concept async_promise = requires(Promise& promise) {
  { promise.context } -> std::same_as<std::shared_ptr<async_context>&>;
};

template <class Promise>
constexpr void check_awaiting_coroutine() {
  static_assert(async_promise<Promise>,
                "sluice: co_await this only inside of a coroutine that returns sluice::async<...>");
}

/// The part of a promise that does not depend on the result.
///
/// Starting a child is not symmetric transfer but a plain call, and a child that ended
/// within that call makes its parent go on without having been suspended: without
/// optimisation, and under sanitizers, g++ 12 makes no tail call of a transfer, and a loop
/// over coroutines that do not wait would use up the stack.
struct promise_base {
  struct at_end {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      promise_base& promise = self.promise();
      promise.is_done = true;
      return promise.is_in_first_run ? std::noop_coroutine() : promise.continuation;
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  at_end final_suspend() const noexcept { return {}; }

  std::shared_ptr<async_context> context;
  std::coroutine_handle<> continuation;
  bool is_in_first_run = false;
  bool is_done = false;
};

template <class T>
struct async_promise_of : promise_base {
  async<T> get_return_object() noexcept;
  void unhandled_exception() noexcept { result = tl::unexpected{std::current_exception()}; }
  template <class Value = T> // so that `co_return {};` is a T
  void return_value(Value&& value) {
    result.emplace(std::forward<Value>(value));
  }

  std::optional<outcome<T>> result;
};

template <>
struct async_promise_of<void> : promise_base {
  async<void> get_return_object() noexcept;
  void unhandled_exception() noexcept { result = tl::unexpected{std::current_exception()}; }
  void return_void() noexcept { result.emplace(); }

  std::optional<outcome<void>> result;
};

/// Runs a child to its end and gives its outcome without throwing.
template <class T>
class outcome_awaiter {
public:
  explicit outcome_awaiter(std::coroutine_handle<async_promise_of<T>> child) noexcept : child_(child) {}

  bool await_ready() const noexcept { return false; }

  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> parent) {
    check_awaiting_coroutine<Promise>();
    auto& promise = child_.promise();
    promise.context = parent.promise().context;
    promise.continuation = parent;
    promise.is_in_first_run = true;
    child_.resume();
    promise.is_in_first_run = false;
    return !promise.is_done;
  }

  outcome<T> await_resume() { return std::move(*child_.promise().result); }

private:
  std::coroutine_handle<async_promise_of<T>> child_;
};

/// The same, throwing what left the child.
template <class T>
class value_awaiter : public outcome_awaiter<T> {
public:
  using outcome_awaiter<T>::outcome_awaiter;

  T await_resume() {
    outcome<T> got = outcome_awaiter<T>::await_resume();
    if (!got)
      std::rethrow_exception(got.error());
    if constexpr (!std::is_void_v<T>)
      return std::move(*got);
  }
};

} // namespace detail

/// The result type of a coroutine: `sluice::async<priced> price(order in) { ... co_return ...; }`.
///
/// Nothing runs until it is awaited (or given to `start`), which may be done once. It
/// runs on the executor of who awaits it and is resumed there only, so that coroutines of
/// one replica never run at the same time. An exception that leaves it is thrown by
/// `co_await`. Destroying one that is not finished ends it where it stands.
template <class T = void>
class [[nodiscard]] async {
public:
  using promise_type = detail::async_promise_of<T>;
  using value_type = T;

  explicit async(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  async(async&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  async& operator=(async&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~async() {
    if (handle_)
      handle_.destroy();
  }

  /// @pre not moved from, not awaited before
  detail::value_awaiter<T> operator co_await() && noexcept { return detail::value_awaiter<T>{handle_}; }

  /// For `start`: awaits without throwing. @pre as for `co_await`
  detail::outcome_awaiter<T> as_outcome() noexcept { return detail::outcome_awaiter<T>{handle_}; }

private:
  std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <class T>
async<T> async_promise_of<T>::get_return_object() noexcept {
  return async<T>{std::coroutine_handle<async_promise_of<T>>::from_promise(*this)};
}

inline async<void> async_promise_of<void>::get_return_object() noexcept {
  return async<void>{std::coroutine_handle<async_promise_of<void>>::from_promise(*this)};
}

/// The outermost coroutine of a `start`; its frame goes by itself at its end.
struct root_coroutine {
  struct promise_type {
    root_coroutine get_return_object() noexcept {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

    std::shared_ptr<async_context> context;
  };

  std::coroutine_handle<promise_type> handle;
};

// g++ warns of frames that hold types without linkage, although a coroutine made from such
// a type has none either.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

template <class T, class Done>
root_coroutine run_root(async<T> work, Done done, std::shared_ptr<async_context> context) {
  auto awaiter = work.as_outcome();
  outcome<T> got = co_await awaiter;
  context->finish();
  done(std::move(got));
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

template <class T, class Done>
std::shared_ptr<async_context> launch(async<T> work, executor& where, Done done) {
  auto context = std::make_shared<async_context>(where);
  auto root = run_root<T, Done>(std::move(work), std::move(done), context).handle;
  root.promise().context = context;
  context->begin(root);
  async_context::resume(context, root);
  return context;
}

} // namespace detail

/// A coroutine that was started. Copies stand for the same one; when all go, it runs on. Use on its executor.
class started {
public:
  explicit started(std::shared_ptr<detail::async_context> context) noexcept : context_(std::move(context)) {}

  bool is_running() const noexcept { return context_->is_alive(); }

  /// Ends it where it stands: its locals are destroyed, what it waits for is given up, `done` is not called. One
  /// that runs right now ends when it waits next. Nothing happens after its end.
  void cancel() noexcept { context_->abandon(); }

private:
  std::shared_ptr<detail::async_context> context_;
};

/// Runs `work` on `where` and then calls `done(outcome<T>)` there, exactly once, possibly
/// before this returns. Call on `where`, which must outlive the work. `done` must not throw.
///
/// When it is cancelled, or when `where` drops what was posted to it (it shuts down), the coroutine ends where it
/// stands, its locals are destroyed, and `done` is not called.
template <class T, std::invocable<outcome<T>> Done>
started start(async<T> work, executor& where, Done done) {
  return started{detail::launch<T, Done>(std::move(work), where, std::move(done))};
}

/// What `sleep` returns; only to be awaited.
class [[nodiscard]] sleep_awaiter {
public:
  explicit sleep_awaiter(std::chrono::nanoseconds delay) noexcept : delay_(delay) {}
  /// One that is awaited stays where it is.
  sleep_awaiter(sleep_awaiter&& other) noexcept : delay_(other.delay_) {}
  sleep_awaiter& operator=(sleep_awaiter&&) = delete;
  /// Ends with the coroutine that waits, if that is given up: the timer goes, too.
  ~sleep_awaiter() {
    if (timer_ == 0)
      return;
    if (const auto where = where_.lock()) // where frames end that were on their way to it, it may be gone
      where->cancel_timer(timer_);
  }

  bool await_ready() const noexcept { return false; }

  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    detail::check_awaiting_coroutine<Promise>();
    auto context = self.promise().context;
    auto suspended = std::make_shared<detail::suspension>(self, context);
    auto& where = context->where();
    where_ = where.weak_from_this();
    try {
      timer_ = where.set_timer(delay_, [suspended] { suspended->resume(); });
    } catch (...) {
      suspended->release(); // the exception resumes it
      throw;
    }
  }

  void await_resume() noexcept { timer_ = 0; }

private:
  std::chrono::nanoseconds delay_;
  std::weak_ptr<executor> where_;
  std::uint64_t timer_ = 0; ///< that is set
};

namespace detail {

/// A wait as the clock counts it: not below zero, and at most a year, so that adding it to a time never overflows.
template <class Rep, class Period>
constexpr std::chrono::nanoseconds bounded_wait(std::chrono::duration<Rep, Period> wait) noexcept {
  using seconds = std::chrono::duration<double>;
  constexpr std::chrono::nanoseconds longest = std::chrono::hours{24 * 365};
  if (!(std::chrono::duration_cast<seconds>(wait) < seconds{longest}))
    return longest;
  return wait > wait.zero() ? std::chrono::ceil<std::chrono::nanoseconds>(wait) : std::chrono::nanoseconds{0};
}

} // namespace detail

/// `co_await sluice::sleep(200ms);` lets others run on this replica for that long. Zero or
/// less lets them run once.
template <class Rep, class Period>
sleep_awaiter sleep(std::chrono::duration<Rep, Period> delay) noexcept {
  return sleep_awaiter{detail::bounded_wait(delay)};
}

} // namespace sluice
