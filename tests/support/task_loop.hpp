#pragma once

#include "transport/link/led_loop.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

namespace sluice::test {

/// A led loop whose turns are functions that a test gives it.
class task_loop {
public:
  ~task_loop() { end(); }

  void post(std::function<void()> task) {
    std::lock_guard lock{mutex_};
    tasks_.push_back(std::move(task));
    changed_.notify_one();
  }

  /// Waits until it is done, but not for what it leaves for after its turn.
  void run(std::function<void()> task) {
    std::promise<void> done;
    post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

  std::thread::id leader() {
    std::thread::id out;
    run([&] { out = std::this_thread::get_id(); });
    return out;
  }

  void end() {
    if (std::exchange(is_joined_, true))
      return;
    {
      std::lock_guard lock{mutex_};
      is_over_ = true;
      changed_.notify_one();
    }
    loop_.join();
  }

private:
  bool turn() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return is_over_ || !tasks_.empty(); });
    if (tasks_.empty())
      return false;
    auto task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    return true;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool is_over_ = false;
  bool is_joined_ = false;
  link::led_loop loop_{"test-loop", [this] { return turn(); }}; // last: its threads use the others
};

} // namespace sluice::test
