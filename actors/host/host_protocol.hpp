#pragma once

#include "actors/message.hpp"

#include <sluice/core/ids.hpp>
#include <sluice/flow_spec.hpp>

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::host {

/// Where one replica stands; numbered chart in `replica_state.hpp`.
enum class replica_phase : std::uint8_t { starting, running, draining, down, failed };

std::string_view to_string(replica_phase phase) noexcept;

/// What a node wants of one replica.
enum class replica_goal : std::uint8_t { run, drain };

/// Where a run of a batch stands; of `failed` and `done` nothing more comes.
enum class batch_phase : std::uint8_t { running, done, failed };

std::string_view to_string(batch_phase phase) noexcept;

/// How far a batch has come, all its replicas together and over all restarts, as far as the one that reports
/// knows.
struct batch_report {
  std::uint64_t run = 0;
  batch_phase phase = batch_phase::running;
  std::uint64_t source_bytes = 0;
  std::uint64_t done_bytes = 0; ///< of the source
  std::uint64_t records_in = 0;
  std::uint64_t records_out = 0;
  std::uint64_t rejected = 0;
  std::chrono::milliseconds took{0}; ///< since it began
  std::string error;                 ///< why it failed

  friend bool operator==(const batch_report&, const batch_report&) = default;
};

/// Counters since the replica started.
struct replica_report {
  replica_id id;
  processor_name processor;
  replica_phase phase = replica_phase::starting;
  std::uint64_t processed_total = 0;         ///< records whose results are confirmed
  std::uint64_t failed_total = 0;            ///< attempts that ended in an error
  std::uint32_t in_flight = 0;               ///< taken from the source, not settled
  std::chrono::milliseconds busy_longest{0}; ///< age of the oldest call into user code
  std::string last_error;
  bool exhausted = false;                 ///< its source ended and everything of it is settled
  std::uint64_t stale_total = 0;          ///< records somebody else had taken over before they were settled
  std::optional<batch_report> batch = {}; ///< of a batch, once it is known
  /// `last_error` is of what does not work at the moment and is tried again. For who runs in the same process: it is not
  /// sent over links.
  bool retrying = false;
};

struct replica_order {
  replica_id id;
  processor_name processor;
  replica_goal goal = replica_goal::run;
};

/// All replicas a host should have. What is not named is drained, then down.
/// Level-triggered: sent on every change and again on every reconnect.
struct desired_replicas {
  using actor_message = void;
  std::uint64_t revision = 0;
  std::vector<replica_order> replicas;
};

/// How all replicas of a host stand. Sent on every change of phase and at least
/// every `limits::heartbeat_interval`.
struct host_report {
  using actor_message = void;
  host_id host;
  std::uint64_t revision = 0; ///< of the newest `desired_replicas` seen
  std::vector<replica_report> replicas;
};

/// The node's view of a host process.
using handle = caf::typed_actor<caf::reacts_to<desired_replicas>>;

/// A host's view of its node.
using node_handle = caf::typed_actor<caf::reacts_to<host_report>>;

} // namespace sluice::host
