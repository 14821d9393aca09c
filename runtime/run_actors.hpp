#pragma once

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

/// Blocks SIGINT and SIGTERM for this thread and all that it will make; they are then taken by
/// `wait_for_ending_signal`.
void block_ending_signals();

/// Waits for one of them. Returns its number, or nothing after `wait_max`.
std::optional<int> wait_for_ending_signal(std::chrono::milliseconds wait_max);

} // namespace sluice::runtime
