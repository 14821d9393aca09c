#pragma once

#include <chrono>
#include <functional>

namespace sluice {

/// Where the coroutines of one replica run: one at a time, never two at once, so
/// that a processor's own state needs no lock. Implemented by the replica actor.
class executor {
public:
  virtual ~executor() = default;

  /// Runs `work` soon, after the current piece. May be called from any thread.
  virtual void post(std::function<void()> work) = 0;

  /// Runs `work` once `delay` has passed. May be called from any thread.
  virtual void post_after(std::chrono::nanoseconds delay, std::function<void()> work) = 0;
};

} // namespace sluice
