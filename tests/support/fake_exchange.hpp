#pragma once

#include <sluice/processor/request_body.hpp>
#include <sluice/processor/websocket_session.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace sluice::test {

/// What a client has got of its request. Any thread.
class fake_answer {
  template <class F>
  auto locked(const F& f) const {
    std::lock_guard lock{mutex_};
    return f();
  }

public:
  /// Of a streamed one the head, without a body.
  std::optional<response> answer() const {
    return locked([&] { return answer_; });
  }
  std::optional<failure> refusal() const {
    return locked([&] { return refusal_; });
  }
  unsigned status() const {
    return locked([&] { return answer_ ? answer_->status : 0u; });
  }
  std::optional<errc> refused() const {
    return locked([&] { return refusal_ ? std::optional{refusal_->code} : std::nullopt; });
  }
  std::string refusal_text() const {
    return locked([&] { return refusal_ ? refusal_->message : std::string{}; });
  }
  /// All that came, streamed or not.
  std::string body() const {
    return locked([&] { return answer_ ? answer_->body + streamed_ : std::string{}; });
  }
  std::string streamed() const {
    return locked([&] { return streamed_; });
  }
  /// Parts after the head.
  std::size_t write_count() const {
    return locked([&] { return write_count_; });
  }
  int ends() const {
    return locked([&] { return ends_; });
  } ///< answers, refusals and finishes
  bool has_begun() const {
    return locked([&] { return has_begun_; });
  }
  bool is_streaming() const {
    return locked([&] { return has_begun_ && ends_ == 0; });
  }
  bool is_finished() const {
    return locked([&] { return has_begun_ && ends_ > 0; });
  }
  /// How often it was said that the sink has it.
  int sink_notices() const {
    return locked([&] { return sink_notices_; });
  }
  bool is_upgraded() const {
    return locked([&] { return is_upgraded_; });
  }
  /// What is to go to a queue; the exchange has ended with it.
  std::optional<queue_results> collected() const {
    return locked([&] { return collected_; });
  }
  /// The exchange was dropped without an end.
  bool is_cut() const {
    return locked([&] { return is_gone_ && ends_ == 0; });
  }

  /// Blocks until it is said that the sink has it.
  const fake_answer& wait_at_sink() const {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return sink_notices_ > 0; });
    return *this;
  }

  /// Blocks until it has ended or was cut.
  const fake_answer& wait_ended() const {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return ends_ > 0 || is_gone_; });
    return *this;
  }

private:
  friend class fake_exchange;

  void end() {
    ++ends_;
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::optional<response> answer_;
  std::optional<failure> refusal_;
  std::optional<queue_results> collected_;
  std::string streamed_;
  std::size_t write_count_ = 0;
  std::size_t waiting_bytes_ = 0;
  std::function<void()> stop_;
  std::function<void()> resume_;
  int ends_ = 0;
  int sink_notices_ = 0;
  bool has_begun_ = false;
  bool is_gone_ = false;
  bool is_cancelled_ = false;
  bool is_upgraded_ = false;
};

/// A client's request: stands in for the HTTP server, keeps what it is told. `seen` outlives it. Any thread.
class fake_exchange final : public exchange {
public:
  explicit fake_exchange(
    request in, std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max())
    : exchange(std::move(in), deadline), seen(std::make_shared<fake_answer>()) {}
  ~fake_exchange() override {
    std::lock_guard lock{seen->mutex_};
    seen->is_gone_ = true;
    seen->changed_.notify_all();
  }

  static std::shared_ptr<fake_exchange> make(method by, std::string path,
                                             std::chrono::steady_clock::time_point deadline = {},
                                             std::string body = {}) {
    request in;
    in.method = by;
    in.path = std::move(path);
    in.body = std::move(body);
    in.headers.add("Host", "localhost");
    return std::make_shared<fake_exchange>(std::move(in), deadline);
  }

  const std::shared_ptr<fake_answer> seen;

  void respond(response answer) noexcept override {
    status = static_cast<std::uint16_t>(answer.status);
    std::lock_guard lock{seen->mutex_};
    seen->answer_ = std::move(answer);
    seen->end();
  }
  void handed_to_sink() noexcept override {
    std::lock_guard lock{seen->mutex_};
    ++seen->sink_notices_;
    seen->changed_.notify_all();
  }
  void collect(queue_results results) noexcept override {
    std::lock_guard lock{seen->mutex_};
    seen->collected_ = std::move(results);
    seen->end();
  }
  void refuse(failure why) noexcept override {
    std::lock_guard lock{seen->mutex_};
    seen->refusal_ = std::move(why);
    seen->end();
  }
  void begin(response head) noexcept override {
    status = static_cast<std::uint16_t>(head.status);
    is_streaming = true;
    std::lock_guard lock{seen->mutex_};
    seen->has_begun_ = true;
    seen->streamed_ = std::exchange(head.body, {});
    seen->waiting_bytes_ += holds ? seen->streamed_.size() : 0;
    seen->answer_ = std::move(head);
  }
  bool write(std::string part) noexcept override {
    std::lock_guard lock{seen->mutex_};
    if (seen->is_cancelled_ || !seen->answer_)
      return false;
    seen->streamed_ += part;
    seen->waiting_bytes_ += holds ? part.size() : 0;
    ++seen->write_count_;
    return true;
  }
  std::size_t waiting_bytes() const noexcept override {
    std::lock_guard lock{seen->mutex_};
    return seen->waiting_bytes_;
  }
  void when_writable(std::function<void()> resume) noexcept override {
    {
      std::lock_guard lock{seen->mutex_};
      if (seen->waiting_bytes_ > stream_window_bytes && !seen->is_cancelled_) {
        seen->resume_ = std::move(resume);
        seen->changed_.notify_all();
        return;
      }
    }
    resume();
  }
  void finish() noexcept override {
    std::lock_guard lock{seen->mutex_};
    seen->end();
  }
  bool upgrade(std::shared_ptr<websocket_session> whose) noexcept override {
    if (!asks_for_upgrade)
      return false;
    session = std::move(whose);
    std::lock_guard lock{seen->mutex_};
    seen->is_upgraded_ = true;
    seen->end();
    return true;
  }
  void when_cancelled(std::function<void()> stop) noexcept override {
    {
      std::lock_guard lock{seen->mutex_};
      if (!seen->is_cancelled_) {
        seen->stop_ = std::move(stop);
        return;
      }
    }
    stop();
  }

  // ---- the client's side

  bool holds = false;                         ///< reads nothing until the test says `take`
  bool asks_for_upgrade = false;              ///< asks for a WebSocket
  std::shared_ptr<websocket_session> session; ///< whose it is then

  /// Reads all that waits.
  void take() {
    std::function<void()> resume;
    {
      std::lock_guard lock{seen->mutex_};
      seen->waiting_bytes_ = 0;
      resume.swap(seen->resume_);
    }
    if (resume)
      resume();
  }

  /// Goes away, or the deadline passes.
  void cancel() {
    std::function<void()> resume;
    std::function<void()> stop;
    {
      std::lock_guard lock{seen->mutex_};
      seen->is_cancelled_ = true;
      resume.swap(seen->resume_);
      stop.swap(seen->stop_);
    }
    if (resume)
      resume();
    if (stop)
      stop();
  }

  /// Blocks until the writer waits for room.
  void wait_until_writer_waits() {
    std::unique_lock lock{seen->mutex_};
    seen->changed_.wait(lock, [&] { return seen->resume_ != nullptr; });
  }
};

} // namespace sluice::test
