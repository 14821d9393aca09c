#pragma once

namespace sluice::daemon {

/// SIGTERM, SIGINT and, unless it was ignored before, SIGHUP as an event to wait for. Blocks them in the thread that makes it,
/// so make it before any other thread; those inherit the mask.
class stop_signal {
public:
  stop_signal();
  ~stop_signal();
  stop_signal(const stop_signal&) = delete;
  stop_signal& operator=(const stop_signal&) = delete;

  /// Waits for a signal or for `raise`.
  void wait();

  /// Ends `wait` from any thread, as a signal would.
  void raise();

private:
  int signal_fd_ = -1;
  int event_fd_ = -1;
};

} // namespace sluice::daemon
