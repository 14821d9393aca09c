#pragma once

#include <sluice/async.hpp>
#include <sluice/processor/request_body.hpp>

#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

/// Waiting for a client that reads slower than it is written to.
namespace sluice::processor {

/// Blocks until there is room, or nobody reads any more. Returns false if that takes longer than `patience`.
/// `To` has `when_writable`.
template <class To>
bool wait_until_writable(To& to, std::optional<std::chrono::milliseconds> patience = {}) {
  struct latch {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
  };
  auto room = std::make_shared<latch>(); // it may be called late
  to.when_writable([room] {
    std::lock_guard lock{room->mutex};
    room->open = true;
    room->changed.notify_one();
  });
  std::unique_lock lock{room->mutex};
  const auto is_open = [&] { return room->open; };
  if (patience)
    return room->changed.wait_for(lock, *patience, is_open);
  room->changed.wait(lock, is_open);
  return true;
}

/// Only to be awaited: goes on when there is room, or nobody reads any more. `To` has `when_writable` and
/// `waiting_bytes`.
template <class To>
class [[nodiscard]] writable_awaiter {
public:
  explicit writable_awaiter(std::shared_ptr<To> to) noexcept : to_(std::move(to)) {}

  bool await_ready() const { return to_->waiting_bytes() <= stream_window_bytes; }

  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    sluice::detail::check_awaiting_coroutine<Promise>();
    auto context = self.promise().context;
    auto suspended = std::make_shared<sluice::detail::suspension>(self, context);
    to_->when_writable([suspended, &where = context->where()]() mutable {
      where.post([suspended = std::move(suspended)] { suspended->resume(); });
    });
  }

  void await_resume() const noexcept {}

private:
  std::shared_ptr<To> to_;
};

} // namespace sluice::processor
