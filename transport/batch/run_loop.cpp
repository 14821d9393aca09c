#include "transport/batch/run_loop.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

namespace sluice::batch {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds look_again{100};

class run_loop final : public loop_executor {
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
    std::lock_guard lock{mutex_};
    if (is_closed_)
      return;
    later_.emplace(clock::now() + delay, std::move(work));
    changed_.notify_one();
  }

  void close() override {
    decltype(due_) due; // dropped without the lock: what ends may post
    decltype(later_) later;
    std::lock_guard lock{mutex_};
    is_closed_ = true;
    due.swap(due_);
    later.swap(later_);
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
    if (due_.empty() && (later_.empty() || later_.begin()->first > clock::now())) {
      auto until = clock::now() + look_again;
      if (!later_.empty())
        until = std::min(until, later_.begin()->first);
      changed_.wait_until(lock, until);
    }
    for (const auto now = clock::now(); !later_.empty() && later_.begin()->first <= now;) {
      due_.push_back(std::move(later_.begin()->second));
      later_.erase(later_.begin());
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
  std::multimap<clock::time_point, std::function<void()>> later_;
};

} // namespace

std::shared_ptr<loop_executor> make_run_loop(http::client_port* client) {
  return std::make_shared<run_loop>(client);
}

} // namespace sluice::batch
