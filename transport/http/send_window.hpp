#pragma once

#include <sluice/processor/request_body.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>

namespace sluice::http {

/// How much somebody has sent that the client has not taken, so that a fast writer waits for a slow reader.
/// The writer adds on any thread, the connection takes on its own.
class send_window {
public:
  void add(std::size_t bytes) noexcept { waiting_ += bytes; }
  std::size_t waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }
  /// Nobody reads any more.
  bool closed() const noexcept { return closed_.load(); }

  /// Calls `resume` once: now if there is room or nobody reads any more, else as soon as that is so.
  void when_writable(std::function<void()> resume) {
    {
      std::lock_guard lock{mutex_};
      if (waiting_.load() >= stream_window_bytes && !closed_.load()) {
        resume_ = std::move(resume);
        return;
      }
    }
    resume();
  }

  /// The socket took bytes.
  void taken(std::size_t bytes) {
    std::function<void()> resume;
    {
      std::lock_guard lock{mutex_};
      if ((waiting_ -= bytes) < stream_window_bytes)
        resume.swap(resume_);
    }
    if (resume)
      resume();
  }

  void close() {
    std::function<void()> resume;
    {
      std::lock_guard lock{mutex_};
      closed_ = true;
      resume.swap(resume_);
    }
    if (resume)
      resume();
  }

  /// The writer is done: who waits need not be called.
  void forget() {
    std::function<void()> resume; // may hold the writer: goes after the lock
    std::lock_guard lock{mutex_};
    resume.swap(resume_);
  }

private:
  std::atomic<std::size_t> waiting_{0};
  std::atomic<bool> closed_{false};
  std::mutex mutex_;
  std::function<void()> resume_;
};

} // namespace sluice::http
