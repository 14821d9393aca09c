#pragma once

#include "runtime/run_options.hpp"

#include <sluice/flow_spec.hpp>
#include <sluice/processor/request_body.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice::runtime {

struct local_options {
  flow_spec spec;
  std::map<processor_name, processor_code> bodies;
  std::filesystem::path state_dir; ///< made with mode 0700
  std::vector<queue_feed> feeds;
  std::vector<std::string> requeues;   ///< queues whose dead letters are put back first
  std::string http = "127.0.0.1:8000"; ///< where routes are served, if the flow has any
  bool restart = false;                ///< batches that were interrupted begin anew

  std::filesystem::path access_log_dir; ///< of answered requests; empty = none

  /// Waits for SIGINT or SIGTERM for so long. Tests bring their own; empty = the real ones.
  std::function<std::optional<int>(std::chrono::milliseconds)> wait_for_signal;
  std::function<void()> wake = [] {}; ///< ends such a wait; any thread
  bool install_handlers = true;       ///< of crashes and SIGPIPE; tests keep theirs
};

/// `$SLUICE_HOME` or `~/.sluice`, then `local/<flow>`.
std::filesystem::path default_state_dir(const flow_name& flow);

/// Runs the whole system in this process: the embedded queue under `state_dir`, and every processor with
/// `num_replicas` replicas. Ends when all that can come has come, after the first signal with a drain, after the
/// second at once. Returns the exit code: 0 all done, 1 failed, 2 asked wrongly, 7 all done but for records that became
/// dead letters, 130 drained after Ctrl-C.
int run_local(local_options opts);

/// Prints what waits in a queue of `state_dir`, one record per line. Returns the exit code.
int peek_local(const std::filesystem::path& state_dir, const queue_name& name);

} // namespace sluice::runtime
