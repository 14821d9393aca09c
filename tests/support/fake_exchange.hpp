#pragma once

#include <sluice/processor/request_body.hpp>
#include <sluice/processor/websocket_session.hpp>

#include <chrono>
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
  std::string body() const {
    return locked([&] { return answer_ ? answer_->body : std::string{}; });
  }
  int ends() const {
    return locked([&] { return ends_; });
  } ///< answers, refusals and finishes
  bool is_streaming() const {
    return locked([&] { return has_begun_ && ends_ == 0; });
  }
  bool is_upgraded() const {
    return locked([&] { return is_upgraded_; });
  }
  bool is_cut() const {
    return locked([&] { return is_gone_ && ends_ == 0; });
  }

private:
  friend class fake_exchange;
  mutable std::mutex mutex_;
  std::optional<response> answer_;
  std::optional<failure> refusal_;
  std::function<void()> stop_;
  int ends_ = 0;
  bool has_begun_ = false;
  bool is_gone_ = false;
  bool is_cancelled_ = false;
  bool is_upgraded_ = false;
  std::size_t waiting_bytes_ = 0;
};

/// A client's request: stands in for the HTTP server. Make it with `make`; `seen` stays.
class fake_exchange final : public exchange {
public:
  fake_exchange(request in, std::chrono::steady_clock::time_point deadline)
    : exchange(std::move(in), deadline), seen(std::make_shared<fake_answer>()) {}
  ~fake_exchange() override {
    std::lock_guard lock{seen->mutex_};
    seen->is_gone_ = true;
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
    std::lock_guard lock{seen->mutex_};
    ++seen->ends_;
    seen->answer_ = std::move(answer);
  }
  void refuse(failure why) noexcept override {
    std::lock_guard lock{seen->mutex_};
    ++seen->ends_;
    seen->refusal_ = std::move(why);
  }
  void begin(response head) noexcept override {
    std::lock_guard lock{seen->mutex_};
    seen->has_begun_ = true;
    seen->answer_ = std::move(head);
  }
  bool write(std::string part) noexcept override {
    std::lock_guard lock{seen->mutex_};
    if (seen->is_cancelled_ || !seen->answer_)
      return false;
    seen->answer_->body += part;
    return true;
  }
  std::size_t waiting_bytes() const noexcept override {
    std::lock_guard lock{seen->mutex_};
    return seen->waiting_bytes_;
  }
  void when_writable(std::function<void()> resume) noexcept override { resume(); }
  void finish() noexcept override {
    std::lock_guard lock{seen->mutex_};
    ++seen->ends_;
  }
  /// Set for a request that asks for a WebSocket.
  bool asks_for_upgrade = false;
  std::shared_ptr<websocket_session> session; ///< whose it is then
  bool upgrade(std::shared_ptr<websocket_session> whose) noexcept override {
    if (!asks_for_upgrade)
      return false;
    session = std::move(whose);
    std::lock_guard lock{seen->mutex_};
    ++seen->ends_;
    seen->is_upgraded_ = true;
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

  /// The client goes.
  void cancel() {
    std::function<void()> stop;
    {
      std::lock_guard lock{seen->mutex_};
      seen->is_cancelled_ = true;
      stop.swap(seen->stop_);
    }
    if (stop)
      stop();
  }
};

} // namespace sluice::test
