#pragma once

#include <sluice/processor/request_body.hpp>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {

/// The client's end of a request, noted down. What became of it outlives the exchange.
struct exchange_log {
  std::optional<response> answer; ///< by `respond` or `begin`
  std::optional<failure> refused;
  std::string streamed; ///< all parts
  std::vector<std::string> parts;
  bool finished = false; ///< by `finish`
  bool dropped = false;  ///< went without an end
  int ends = 0;          ///< must be 1 in the end
};

/// An exchange for tests. Safe to use from any thread; `wait_ended` blocks until its end.
class logged_exchange final : public exchange {
public:
  explicit logged_exchange(request in = {}, std::chrono::steady_clock::time_point deadline =
                                              std::chrono::steady_clock::time_point::max())
    : exchange(std::move(in), deadline), shared_(std::make_shared<shared>()) {}
  ~logged_exchange() override {
    end([](exchange_log& log) { log.dropped = log.ends == 0; }, false);
  }

  void respond(response answer) noexcept override {
    status = static_cast<std::uint16_t>(answer.status);
    end([&](exchange_log& log) { log.answer = std::move(answer); });
  }
  void refuse(failure why) noexcept override {
    end([&](exchange_log& log) { log.refused = std::move(why); });
  }
  void begin(response head) noexcept override {
    status = static_cast<std::uint16_t>(head.status);
    is_streaming = true;
    std::lock_guard lock{shared_->mutex};
    shared_->log.streamed = head.body;
    shared_->log.answer = std::move(head);
  }
  bool write(std::string part) noexcept override {
    std::lock_guard lock{shared_->mutex};
    if (cancelled_)
      return false;
    shared_->log.streamed += part;
    if (hold)
      waiting_ += part.size();
    shared_->log.parts.push_back(std::move(part));
    return true;
  }
  std::size_t waiting_bytes() const noexcept override {
    std::lock_guard lock{shared_->mutex};
    return waiting_;
  }
  void when_writable(std::function<void()> resume) noexcept override {
    {
      std::lock_guard lock{shared_->mutex};
      if (waiting_ > stream_window_bytes && !cancelled_) {
        resume_ = std::move(resume);
        return;
      }
    }
    resume();
  }
  void finish() noexcept override {
    end([](exchange_log& log) { log.finished = true; });
  }
  void when_cancelled(std::function<void()> stop) noexcept override {
    {
      std::lock_guard lock{shared_->mutex};
      if (!cancelled_) {
        stop_ = std::move(stop);
        return;
      }
    }
    stop();
  }

  /// The client takes all that was written.
  void take_all() {
    std::function<void()> resume;
    {
      std::lock_guard lock{shared_->mutex};
      waiting_ = 0;
      resume = std::exchange(resume_, nullptr);
    }
    if (resume)
      resume();
  }

  /// The client goes away.
  void cancel() {
    std::function<void()> resume;
    std::function<void()> stop;
    {
      std::lock_guard lock{shared_->mutex};
      cancelled_ = true;
      resume = std::exchange(resume_, nullptr);
      stop = std::exchange(stop_, nullptr);
    }
    if (resume)
      resume();
    if (stop)
      stop();
  }

  struct shared {
    std::mutex mutex;
    std::condition_variable changed;
    exchange_log log;
  };

  /// Its log so far.
  static exchange_log log_of(const std::shared_ptr<shared>& from) {
    std::lock_guard lock{from->mutex};
    return from->log;
  }
  static exchange_log wait_ended(const std::shared_ptr<shared>& from) {
    std::unique_lock lock{from->mutex};
    from->changed.wait(lock, [&] { return from->log.ends > 0; });
    return from->log;
  }
  std::shared_ptr<shared> log() const { return shared_; }

  bool hold = false; ///< the client takes nothing until `take_all`

private:
  template <class F>
  void end(F note, bool counts = true) {
    std::lock_guard lock{shared_->mutex};
    note(shared_->log);
    if (counts || shared_->log.dropped)
      ++shared_->log.ends;
    shared_->changed.notify_all();
  }

  std::shared_ptr<shared> shared_;
  std::size_t waiting_ = 0;
  bool cancelled_ = false;
  std::function<void()> resume_;
  std::function<void()> stop_;
};

} // namespace sluice::testing
