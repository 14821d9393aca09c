#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace sluice::process {

/// One thread for work that may block on a disk, in order, with a bounded queue.
class work_thread {
public:
  explicit work_thread(std::size_t queue_count_max)
    : queue_count_max_(queue_count_max), thread_([this] { run(); }) {}

  /// Finishes the piece at work; what waits is dropped.
  ~work_thread() {
    {
      std::lock_guard guard{mutex_};
      stopped_ = true;
      queue_.clear();
    }
    changed_.notify_one();
    thread_.join();
  }
  work_thread(const work_thread&) = delete;
  work_thread& operator=(const work_thread&) = delete;

  /// Returns false when the queue is full or the thread stops; `work` will not run then.
  bool post(std::function<void()> work) {
    {
      std::lock_guard guard{mutex_};
      if (stopped_ || queue_.size() >= queue_count_max_)
        return false;
      queue_.push_back(std::move(work));
    }
    changed_.notify_one();
    return true;
  }

private:
  void run() {
    std::unique_lock guard{mutex_};
    for (;;) {
      changed_.wait(guard, [this] { return stopped_ || !queue_.empty(); });
      if (stopped_)
        return;
      auto work = std::move(queue_.front());
      queue_.pop_front();
      guard.unlock();
      work();
      work = nullptr; // what it holds goes without the lock
      guard.lock();
    }
  }

  std::size_t queue_count_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool stopped_ = false;
  std::thread thread_; // last: it uses all of the above
};

} // namespace sluice::process
