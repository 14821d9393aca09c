#pragma once

#include "actors/cluster/cluster_protocol.hpp"

#include <sluice/core/result.hpp>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice::cluster {

/// A node the head knows, seen or not since it started.
struct stored_node {
  node::node_info info;
  bool drain_requested = false;
  bool gone = false; ///< dead or left: nobody waits for it after a restart
};

/// One submit. Never changes.
struct stored_version {
  flow_name flow;
  flow_version version;
  artifact_id artifact;
  std::uint64_t artifact_size_bytes = 0;
  std::vector<std::string> args;
  flow_variables env = {};
  flow_spec spec;
  std::chrono::system_clock::time_point submitted_at;
};

/// How many replicas each processor should have.
using scale_map = std::map<processor_name, std::uint32_t>;

/// How a flow of batches ended.
struct flow_end {
  bool is_complete = false; ///< false = a batch failed
  std::string detail;
  std::map<processor_name, host::batch_report> batches;
};

/// What is wanted of a flow.
struct stored_flow {
  flow_name name;
  flow_version current;   ///< the last one that ran completely; 0 = none yet
  flow_version target;    ///< the one that should run
  flow_version counted;   ///< the newest number given out
  scale_map scale;        ///< for `target`
  scale_map scale_before; ///< for `current`, while an update is under way
  bool draining = false;
  bool deleting = false;
  std::string update_error;    ///< why the last update was given up
  std::optional<flow_end> end; ///< of `target`: nothing of it runs any more
};

/// The newest version number a flow of this name had when it was deleted: the next one goes on from there.
/// Replicas, hosts and the runs of batches are told apart by these numbers, and outlive the flow.
struct deleted_flow {
  flow_name name;
  flow_version counted;
};

/// One replica, bound to one node for its life.
struct stored_replica {
  replica_id id;
  flow_name flow;
  processor_name processor;
  flow_version version;
  node_id node;
  host::replica_goal goal = host::replica_goal::run;
};

/// The answer to a request that must not be done twice.
struct stored_answer {
  std::uint64_t number = 0; ///< grows by one per answer
  std::string request_id;
  submit_reply reply;
};

/// Everything that survives the head.
struct stored_state {
  std::uint64_t openings = 1; ///< how often the store was opened, this time included
  std::uint64_t replica_id_last = 0;
  std::vector<stored_node> nodes;
  std::vector<stored_flow> flows;
  std::vector<deleted_flow> deleted;
  flow_version deleted_floor; ///< no deleted flow that is not in `deleted` had a higher number
  std::vector<stored_version> versions;
  std::vector<stored_replica> replicas;
  std::vector<stored_answer> answers; ///< oldest first
  std::vector<event_view> events;     ///< oldest first
};

/// Changes that are stored together or not at all. A row replaces the one of the
/// same key; forgetting what is not there is no failure. First everything is forgotten
/// that is to be, then the rows are written.
struct change_set {
  std::vector<stored_node> nodes;
  std::vector<stored_flow> flows;
  std::vector<stored_version> versions;
  std::vector<stored_replica> replicas;
  std::vector<stored_answer> answers;
  std::vector<event_view> events;
  std::vector<deleted_flow> deleted;
  std::optional<flow_version> deleted_floor;
  std::optional<std::uint64_t> replica_id_last;

  std::vector<node_id> nodes_forgotten;
  std::vector<flow_name> flows_forgotten; ///< with their versions
  std::vector<flow_name> deleted_forgotten;
  std::vector<std::pair<flow_name, flow_version>> versions_forgotten;
  std::vector<replica_id> replicas_forgotten;
  std::uint64_t answers_forgotten_to = 0; ///< all numbers up to this one
  std::uint64_t events_forgotten_to = 0;  ///< all ids up to this one

  bool empty() const noexcept { return only_events() && events.empty() && events_forgotten_to == 0; }

  /// Nothing that anybody acts on: may wait for the next write.
  bool only_events() const noexcept {
    return nodes.empty() && flows.empty() && versions.empty() && replicas.empty() && answers.empty()
           && deleted.empty() && !deleted_floor && !replica_id_last && nodes_forgotten.empty()
           && flows_forgotten.empty() && deleted_forgotten.empty() && versions_forgotten.empty()
           && replicas_forgotten.empty() && answers_forgotten_to == 0;
  }

  /// Makes one set of these changes and the `later` ones that stores the same.
  void append(change_set&& later);
};

/// Durable memory of the cluster actor. Implemented by SQLite (`transport/store`) and
/// by a fake in memory.
///
/// Called by the cluster actor only, and on its thread: rows are small and changes rare
/// (a few per submit or node failure), so a synchronous write of some milliseconds is
/// simpler than a thread and cannot reorder. A disk that hangs for longer delays the
/// actor's tick, which the failure detector recognises as the head's own pause.
class store_port {
public:
  virtual ~store_port() = default;

  /// Reads all and counts one more opening. Fails with `corrupt` when a row does not
  /// match its checksum, with `unsupported` when a newer program wrote it.
  virtual result<stored_state> load() = 0;

  /// Stores the changes and syncs them to disk. On failure nothing of them is stored;
  /// the caller may try again, unless the store is broken.
  virtual result<void> write(const change_set& changes) = 0;

  /// Why everything is refused, once it is: a sync failed, and nobody knows what is on disk. The process has to
  /// be started anew.
  virtual std::optional<failure> broken() const = 0;
};

} // namespace sluice::cluster
