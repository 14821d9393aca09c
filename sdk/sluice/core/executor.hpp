#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace sluice {

namespace http {
class client_port;
}

/// Where the coroutines of one replica run: one at a time, never two at once, so
/// that a processor's own state needs no lock. Implemented by the replica actor.
class executor : public std::enable_shared_from_this<executor> {
public:
  virtual ~executor() = default;

  /// Runs `work` soon, after the current piece. May be called from any thread.
  virtual void post(std::function<void()> work) = 0;

  /// Runs `work` once `delay` has passed. May be called from any thread.
  virtual void post_after(std::chrono::nanoseconds delay, std::function<void()> work) = 0;

  /// What `sluice::http` calls are sent by; outlives the executor's coroutines. None where there is none.
  virtual http::client_port* http_client() noexcept { return nullptr; }
};

} // namespace sluice
