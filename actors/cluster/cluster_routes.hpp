#pragma once

#include "actors/cluster/cluster_state.hpp"

#include <string>

/// Which requests go to which replicas, as part of what every node is told. Private to this folder.
namespace sluice::cluster {

/// All routes of all flows and the replicas behind them: those that run, are to go on running and
/// are on a node that is not gone.
///
/// Of a flow in the middle of an update both versions' routes are in the table as long as both have replicas. A
/// route that the versions share is one entry with the replicas of both. Without any replica the route of
/// the target version is there all the same: requests wait for the first one.
ingress::route_table routes_of(const cluster_state& state);

/// Says which processor of `spec` wants a route that another flow has; empty if none does. Flows that drain or
/// are being deleted keep theirs until they are gone.
std::string route_conflict(const cluster_state& state, const flow_spec& spec);

} // namespace sluice::cluster
