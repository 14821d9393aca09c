#pragma once

#include <sluice/processor/request_body.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace sluice::http {

/// How much somebody has sent that the client has not taken, so that a fast writer waits for a slow reader.
/// The writer adds on any thread, the connection takes on its own.
class send_window {
public:
  void add(std::size_t bytes) noexcept { waiting_ += bytes; }
  std::size_t waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }
  /// Nobody reads any more.
  bool closed() const noexcept { return closed_.load(); }

  /// Calls each `resume` once: now if there is room or nobody reads any more, else as soon as that is so.
  void when_writable(std::function<void()> resume) {
    {
      std::lock_guard lock{mutex_};
      if (waiting_.load() >= stream_window_bytes && !closed_.load()) {
        waiting_for_room_.push_back(std::move(resume));
        return;
      }
    }
    resume();
  }

  /// The socket took bytes.
  void taken(std::size_t bytes) {
    waiters ready;
    {
      std::lock_guard lock{mutex_};
      if ((waiting_ -= bytes) < stream_window_bytes)
        ready.swap(waiting_for_room_);
    }
    for (auto& resume : ready)
      resume();
  }

  void close() {
    waiters ready;
    {
      std::lock_guard lock{mutex_};
      closed_ = true;
      ready.swap(waiting_for_room_);
    }
    for (auto& resume : ready)
      resume();
  }

  /// The writer is done: who waits need not be called.
  void forget() {
    waiters gone; // may hold the writer: go after the lock
    std::lock_guard lock{mutex_};
    gone.swap(waiting_for_room_);
  }

private:
  /// A WebSocket has several: whose turn it is, and coroutines that send to it.
  using waiters = std::vector<std::function<void()>>;

  std::atomic<std::size_t> waiting_{0};
  std::atomic<bool> closed_{false};
  std::mutex mutex_;
  waiters waiting_for_room_;
};

} // namespace sluice::http
