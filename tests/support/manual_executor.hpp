#pragma once

#include <sluice/core/executor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
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
    set_timer(delay, std::move(work));
  }

  std::uint64_t set_timer(std::chrono::nanoseconds delay, std::function<void()> work) override {
    if (drops_work)
      return 0;
    due_.emplace(now_ + delay, entry{++last_, std::move(work)});
    return last_;
  }

  void cancel_timer(std::uint64_t timer) noexcept override {
    for (auto at = due_.begin(); at != due_.end(); ++at)
      if (at->second.id == timer) {
        const auto gone = due_.extract(at); // its end may cancel others
        return;
      }
  }

  /// Runs what is due, also what that makes due; returns how many pieces ran.
  std::size_t run() {
    std::size_t count = 0;
    while (!due_.empty() && due_.begin()->first <= now_) {
      auto next = std::move(due_.extract(due_.begin()).mapped());
      next.work();
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
  void drop_all() { const auto gone = std::exchange(due_, {}); }

  bool drops_work = false; ///< forget what is posted from now on

private:
  struct entry {
    std::uint64_t id;
    std::function<void()> work;
  };

  std::chrono::nanoseconds now_{0};
  std::uint64_t last_ = 0;
  std::multimap<std::chrono::nanoseconds, entry> due_;
};

} // namespace sluice
