#pragma once

#include <sluice/processor/request_body.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// An exchange that keeps what it is told. The client reads nothing until the test says `take`, and goes
/// when it says `cancel`. Any thread.
class recorded_exchange final : public exchange {
public:
  explicit recorded_exchange(
    request in, std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max())
    : exchange(std::move(in), deadline) {}

  void respond(response answer) noexcept override {
    std::lock_guard lock{mutex_};
    ++end_count_;
    answer_ = std::move(answer);
  }

  void refuse(failure why) noexcept override {
    std::lock_guard lock{mutex_};
    ++end_count_;
    refused_ = std::move(why);
  }

  void begin(response head) noexcept override {
    std::lock_guard lock{mutex_};
    began_ = true;
    waiting_bytes_ += head.body.size();
    streamed_ += head.body;
    head.body.clear();
    answer_ = std::move(head);
    changed_.notify_all();
  }

  bool write(std::string part) noexcept override {
    std::lock_guard lock{mutex_};
    if (gone_)
      return false;
    waiting_bytes_ += part.size();
    streamed_ += part;
    ++write_count_;
    changed_.notify_all();
    return true;
  }

  std::size_t waiting_bytes() const noexcept override {
    std::lock_guard lock{mutex_};
    return waiting_bytes_;
  }

  void when_writable(std::function<void()> resume) noexcept override {
    {
      std::lock_guard lock{mutex_};
      if (!gone_ && waiting_bytes_ > stream_window_bytes) {
        resume_ = std::move(resume);
        changed_.notify_all();
        return;
      }
    }
    resume();
  }

  void finish() noexcept override {
    std::lock_guard lock{mutex_};
    ++end_count_;
    finished_ = true;
  }

  void when_cancelled(std::function<void()> stop) noexcept override {
    {
      std::lock_guard lock{mutex_};
      if (!gone_) {
        stop_.push_back(std::move(stop));
        return;
      }
    }
    stop();
  }

  // ---- the client's side

  /// Reads all that waits.
  void take() {
    std::function<void()> resume;
    {
      std::lock_guard lock{mutex_};
      waiting_bytes_ = 0;
      resume.swap(resume_);
    }
    if (resume)
      resume();
  }

  /// Goes away, or the deadline passes.
  void cancel() {
    std::function<void()> resume;
    std::vector<std::function<void()>> stop;
    {
      std::lock_guard lock{mutex_};
      gone_ = true;
      resume.swap(resume_);
      stop.swap(stop_);
    }
    if (resume)
      resume();
    for (auto& each : stop)
      each();
  }

  /// Blocks until the writer waits for room, for at most ten seconds.
  bool wait_until_writer_waits() {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, std::chrono::seconds{10}, [&] { return resume_ != nullptr; });
  }

  std::size_t end_count() const { return locked(end_count_); }
  std::optional<response> answer() const { return locked(answer_); }
  std::optional<failure> refused() const { return locked(refused_); }
  bool began() const { return locked(began_); }
  bool finished() const { return locked(finished_); }
  std::string streamed() const { return locked(streamed_); }
  std::size_t write_count() const { return locked(write_count_); }

private:
  template <class T>
  T locked(const T& value) const {
    std::lock_guard lock{mutex_};
    return value;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t end_count_ = 0;
  std::optional<response> answer_;
  std::optional<failure> refused_;
  bool began_ = false;
  bool finished_ = false;
  bool gone_ = false;
  std::string streamed_;
  std::size_t write_count_ = 0;
  std::size_t waiting_bytes_ = 0;
  std::function<void()> resume_;
  std::vector<std::function<void()>> stop_;
};

} // namespace sluice
