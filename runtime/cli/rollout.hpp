#pragma once

#include "runtime/cli/command.hpp"

#include <cstdint>
#include <functional>
#include <string>

namespace sluice::cli {

/// Waits until a version of a flow runs or is known not to, and says which. Failures show the
/// real reason: what the cluster says and the last words of a host that crashed.
int wait_for_version(const environment& env, client::control_client& head, const std::string& flow,
                     std::uint64_t version, std::chrono::milliseconds timeout);

/// Shows how the batches of a version go on until they have ended; 0 if all are complete. Ctrl-C ends the waiting,
/// not the flow. `on_end` gets the flow that has completed or failed, with the counts of its batches.
int wait_for_end(const environment& env, client::control_client& head, const std::string& flow,
                 std::uint64_t version, const std::function<void(const client::api::Flow&)>& on_end);

} // namespace sluice::cli
