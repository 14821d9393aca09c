#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

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

  /// The same, for what may be called off. Call on the executor. Returns what `cancel_timer` takes; 0 where it cannot be
  /// called off, and then runs.
  virtual std::uint64_t set_timer(std::chrono::nanoseconds delay, std::function<void()> work) {
    post_after(delay, std::move(work));
    return 0;
  }

  /// The work of a timer goes without running, if it has not run. On another thread than the executor's it stays until it is due.
  virtual void cancel_timer(std::uint64_t /*timer*/) noexcept {}

  /// What `sluice::http` calls are sent by; outlives the executor's coroutines. None where there is none.
  virtual http::client_port* http_client() noexcept { return nullptr; }
};

} // namespace sluice
