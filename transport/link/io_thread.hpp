#pragma once

#include <memory>

namespace sluice::link {

class io_core;

/// The one thread that does the reading, writing and timing of all links of a process, and on a small machine of its
/// HTTP connections too.
///
/// Made before, and destroyed after, every listener, connector and actor that uses it; stopped before the actor system
/// goes, whose actors it runs (`inline_executor`).
/// Connections may outlive it: they are closed by then and refuse to send.
class io_thread {
public:
  /// Starts the thread, which inherits the mask of signals.
  /// @param may_poll for a moment before it sleeps, where that is worth while. Not where user code needs the processor
  explicit io_thread(bool may_poll);
  io_thread() : io_thread(true) {}

  /// Stops it if `stop` was not called. Never on the thread itself.
  ~io_thread();
  io_thread(const io_thread&) = delete;
  io_thread& operator=(const io_thread&) = delete;

  /// Closes every link with `shutting_down`, gives each `limits::link_linger` to hand
  /// over what was sent, and ends the thread. Returns when no callback can run any
  /// more. Safe to repeat; never on the thread itself.
  void stop();

  /// For `transport/link`, and for `transport/http` beside it.
  const std::shared_ptr<io_core>& core() const noexcept { return core_; }

private:
  std::shared_ptr<io_core> core_;
};

} // namespace sluice::link
