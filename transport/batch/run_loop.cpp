#include "transport/batch/run_loop.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace sluice::batch {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds look_again{100};

class run_loop final : public loop_executor {
  using timers =
    std::map<std::pair<clock::time_point, std::uint64_t>, std::function<void()>>; ///< by when, and which

public:
  explicit run_loop(http::client_port* client) : client_(client) {}

  void post(std::function<void()> work) override {
    std::lock_guard lock{mutex_};
    if (is_closed_)
      return;
    due_.push_back(std::move(work));
    changed_.notify_one();
  }

  void post_after(std::chrono::nanoseconds delay, std::function<void()> work) override {
    set_timer(delay, std::move(work));
  }

  std::uint64_t set_timer(std::chrono::nanoseconds delay, std::function<void()> work) override {
    std::lock_guard lock{mutex_};
    if (is_closed_)
      return 0;
    const auto id = ++timer_last_;
    const auto [at, added] = later_.emplace(std::pair{clock::now() + delay, id}, std::move(work));
    place_of_.emplace(id, at);
    changed_.notify_one();
    return id;
  }

  void cancel_timer(std::uint64_t timer) noexcept override {
    timers::node_type gone; // ends without the lock: its end may post, and cancel others
    std::lock_guard lock{mutex_};
    const auto found = place_of_.find(timer);
    if (found == place_of_.end())
      return;
    gone = later_.extract(found->second);
    place_of_.erase(found);
  }

  void close() override {
    decltype(due_) due; // dropped without the lock: what ends may post
    decltype(later_) later;
    std::lock_guard lock{mutex_};
    is_closed_ = true;
    due.swap(due_);
    later.swap(later_);
    place_of_.clear();
  }

  http::client_port* http_client() noexcept override { return client_; }

  void run(const std::function<bool()>& ready) override {
    while (!ready()) {
      if (auto work = next())
        work();
    }
  }

private:
  /// The next piece, or none when nothing was due for a while.
  std::function<void()> next() {
    std::unique_lock lock{mutex_};
    if (due_.empty() && (later_.empty() || later_.begin()->first.first > clock::now())) {
      auto until = clock::now() + look_again;
      if (!later_.empty())
        until = std::min(until, later_.begin()->first.first);
      changed_.wait_until(lock, until);
    }
    // In turns, so that neither what is posted nor timers of no time keep the other waiting. One timer at a time: what runs
    // may call the next one off.
    const bool is_timer_due = !later_.empty() && later_.begin()->first.first <= clock::now();
    const bool takes_timer = is_timer_due && (due_.empty() || !took_timer_);
    took_timer_ = takes_timer;
    if (takes_timer) {
      auto taken = later_.extract(later_.begin());
      place_of_.erase(taken.key().second);
      return std::move(taken.mapped());
    }
    if (due_.empty())
      return {};
    auto work = std::move(due_.front());
    due_.pop_front();
    return work;
  }

  http::client_port* client_;
  std::mutex mutex_;
  bool is_closed_ = false;
  std::condition_variable changed_;
  std::deque<std::function<void()>> due_;
  timers later_;
  std::unordered_map<std::uint64_t, timers::iterator> place_of_; ///< of each timer, in `later_`
  std::uint64_t timer_last_ = 0;
  bool took_timer_ = false;
};

} // namespace

std::shared_ptr<loop_executor> make_run_loop(http::client_port* client) {
  return std::make_shared<run_loop>(client);
}

} // namespace sluice::batch
