#pragma once

#include <sluice/core/executor.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <utility>

namespace sluice {

/// An executor whose time moves only when the test says so; work that is due at the same
/// time runs in the order it came. One thread.
class manual_executor : public executor {
public:
  void post(std::function<void()> work) override { post_after({}, std::move(work)); }

  void post_after(std::chrono::nanoseconds delay, std::function<void()> work) override {
    if (drops_work)
      return;
    due_.emplace(now_ + delay, std::move(work));
  }

  /// Runs what is due, also what that makes due; returns how many pieces ran.
  std::size_t run() {
    std::size_t count = 0;
    while (!due_.empty() && due_.begin()->first <= now_) {
      auto work = std::move(due_.extract(due_.begin()).mapped());
      work();
      ++count;
    }
    return count;
  }

  std::size_t advance(std::chrono::nanoseconds by) {
    now_ += by;
    return run();
  }

  std::size_t waiting_count() const noexcept { return due_.size(); }

  /// Forgets what was posted, as an executor does that shuts down.
  void drop_all() { due_.clear(); }

  bool drops_work = false; ///< forget what is posted from now on

private:
  std::chrono::nanoseconds now_{0};
  std::multimap<std::chrono::nanoseconds, std::function<void()>> due_;
};

} // namespace sluice
