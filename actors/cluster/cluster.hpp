#pragma once

#include "actors/cluster/cluster_protocol.hpp"
#include "actors/cluster/cluster_state.hpp"
#include "actors/cluster/cluster_store_port.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <caf/fwd.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>

namespace sluice::cluster {

struct options {
  std::string cluster_id;
  std::function<std::chrono::system_clock::time_point()> wall_clock; ///< only for what people see
  std::chrono::milliseconds tick_interval{
    250}; ///< between two judgements of silence; bounds what detection adds
  state_limits limits;
  /// Told which artifacts the kept versions of all flows name: at the start, and when some
  /// fell out. Called on the actor's thread, must not block. May be empty.
  std::function<void(std::set<artifact_id>)> on_artifacts;
  /// Called once, when the store is broken: the head must end. As above. May be empty.
  std::function<void(const failure&)> on_broken = {};
  std::function<void(const std::string&)> report = {}; ///< a line for the head's log; may be empty
};

/// Loads the state and spawns the cluster actor of the head, of which there is one.
///
/// The caller owns it and ends it with an exit message; it keeps `store` until then.
/// It monitors the agents of nodes and needs no order at shutdown: all it knows is on
/// disk before anybody is told. Fails with what `store_port::load` fails with.
///
/// When the store cannot be written, requests fail with `unavailable` and change nothing, what
/// the nodes do goes on, and changes that the cluster itself has decided (a dead
/// node's replicas) are carried out as soon as they can be stored; the log says when that begins and ends. A defect ends the actor with
/// an error that says what was thrown: whoever monitors it should end the head.
result<handle> spawn(caf::actor_system& sys, options opts, std::shared_ptr<store_port> store,
                     queue::handle queue);

} // namespace sluice::cluster
