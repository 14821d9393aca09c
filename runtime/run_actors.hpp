#pragma once

#include "transport/process/unique_fd.hpp"

#include <caf/actor_system_config.hpp>

#include <chrono>
#include <optional>

namespace sluice::runtime {

/// How the actor system of a flow's process is set up.
///
/// Few threads: user code has its own, and actors only turn messages into messages. The
/// `sharing` policy, because idle workers of the other sleep between polls.
struct actor_config : caf::actor_system_config {
  actor_config();
};

/// How long the end of a process waits for calls into user code.
constexpr std::chrono::milliseconds threads_end_max{1000};

/// A write that cannot be done fails, be it for a reader that is gone (SIGPIPE) or the size of a file (SIGXFSZ); it does not
/// end the process.
void ignore_write_signals();

/// Blocks SIGINT and SIGTERM for this thread and all that it will make; they are then taken by
/// `ending_signals`.
void block_ending_signals();

/// SIGINT and SIGTERM as something to wait for, and a way to end the wait. Throws when the process has no
/// descriptor left.
class ending_signals {
public:
  ending_signals();

  /// One thread. Returns the number of a signal, or nothing once it was woken or `wait_max` is over;
  /// `milliseconds::max()` = never.
  std::optional<int> wait(std::chrono::milliseconds wait_max);

  /// Ends the wait that is under way, or the next one. Any thread.
  void wake() noexcept;

private:
  process::unique_fd signals_;
  process::unique_fd wakes_;
};

} // namespace sluice::runtime
