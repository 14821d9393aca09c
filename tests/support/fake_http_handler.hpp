#pragma once

#include "actors/ingress/http_port.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {

/// What a test decides and does for each request. The defaults allow everything and answer 200 with
/// "METHOD path?query body". Both functions are set before the server starts.
class fake_http_handler : public ingress::http_handler {
public:
  std::function<ingress::head_decision(request&)> on_decide = {};
  std::function<void(exchange_ptr)> on_handle = {};

  ingress::head_decision decide(request& head) override {
    return on_decide ? on_decide(head) : ingress::head_decision{};
  }

  void handle(exchange_ptr call, std::shared_ptr<const void>) override {
    {
      std::lock_guard lock{mutex_};
      handled_.push_back(call->in.path);
    }
    if (on_handle)
      return on_handle(std::move(call));
    const auto& in = call->in;
    auto text = std::string{to_string(in.method)} + " " + in.path + "?" + in.query + " " + in.body;
    call->respond({200, {{"Content-Type", "text/plain"}}, text});
  }

  /// Paths that reached `handle`, in order.
  std::vector<std::string> handled() const {
    std::lock_guard lock{mutex_};
    return handled_;
  }

private:
  mutable std::mutex mutex_;
  std::vector<std::string> handled_;
};

/// What callbacks put in, from any thread, and the test takes out, waiting for it.
template <class T>
class handover {
public:
  handover() = default;
  ~handover() {
    std::lock_guard lock{mutex_};
  } // what was put is not seen to be by the thread that destroys it else

  void put(T value) {
    std::lock_guard lock{mutex_};
    values_.push_back(std::move(value));
    changed_.notify_all();
  }

  /// The oldest; an empty T if none came in time.
  T take(std::chrono::seconds wait_max = std::chrono::seconds{30}) {
    std::unique_lock lock{mutex_};
    if (!changed_.wait_for(lock, wait_max, [&] { return !values_.empty(); }))
      return T{};
    auto value = std::move(values_.front());
    values_.pop_front();
    return value;
  }

  bool empty() const {
    std::lock_guard lock{mutex_};
    return values_.empty();
  }

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> values_;
};

} // namespace sluice::testing
