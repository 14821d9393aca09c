#pragma once

#include "actors/cluster/cluster_state.hpp"

#include <string>
#include <string_view>

/// The parts of `apply`, private to this folder: each changes the state and notes in a
/// `change` what has to be stored, done and told.
namespace sluice::cluster {

/// One event at work.
class change {
public:
  change(cluster_state& state, moment at) : state(state), at(at) {}

  cluster_state& state;
  moment at;
  decision out;
  bool needs_reconcile = true; ///< false: nothing that is compared has changed

  /// Adds a line to the event log.
  void tell(std::string_view severity, std::string subject, std::string text);

  void refuse(errc code, std::string message) { out.refused = failure{code, std::move(message)}; }

  void store(const node_record& node) { out.changes.nodes.push_back(node.stored); }
  void store(const flow_record& flow) { out.changes.flows.push_back(flow.stored); }

  /// Binds a new replica to a node.
  void start_replica(const flow_name& flow, const processor_name& processor, flow_version version,
                     const node_id& node);

  /// Tells a replica to drain; it stays until its node says that it is gone.
  void drain_replica(replica_record& replica);

  void forget_replica(replica_id id);

  /// Keeps only the newest version number the flow had.
  void forget_flow(const flow_name& name);
};

// cluster_nodes.cpp
void take(change& it, const node_registers& what);
void take(change& it, const std::shared_ptr<const node::node_report>& what);
void take(change& it, const node_leaves& what);
void take(change& it, const link_lost& what);
void take(change& it, const host_ended& what);
void take(change& it, const drain_node_request& what);
void judge_silence(change& it);

// cluster_flows.cpp
void take(change& it, const submit_request& what);
void take(change& it, const scale_request& what);
void take(change& it, const drain_flow_request& what);
void take(change& it, const rollback_request& what);
void take(change& it, const delete_flow_request& what);

// cluster_reconcile.cpp
void reconcile(change& it);

} // namespace sluice::cluster
