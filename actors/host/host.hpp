#pragma once

#include "actors/batch/batch_port.hpp"
#include "actors/host/host_protocol.hpp"
#include "actors/ingress/target_port.hpp"
#include "actors/queue/queue_protocol.hpp"
#include "actors/replica/flight_recorder_port.hpp"
#include "actors/replica/replica_port.hpp"

#include <sluice/flow_spec.hpp>
#include <sluice/io/registry.hpp>
#include <sluice/processor/request_body.hpp>

#include <caf/actor_system.hpp>

#include <map>
#include <memory>

namespace sluice::host {

/// What batches need beside; a flow without any needs none.
struct batch_options {
  std::shared_ptr<batch::environment_port> environment;
  std::uint64_t run = 1;        ///< of this flow; a higher one begins its batches anew
  bool takes_up_failed = false; ///< a run that failed goes on
};

struct options {
  host_id id;
  node_id node;
  flow_spec flow;
  std::map<processor_name, processor_code> bodies; ///< one for each processor of `flow`
  queue::handle queue;
  node_handle owner; ///< gets `host_report`
  std::shared_ptr<const connector_registry> connectors;
  std::shared_ptr<replica::threads_port> threads;
  std::shared_ptr<replica::flight_recorder_port> recorder; ///< may be none
  std::shared_ptr<ingress::local_targets> targets;         ///< replicas that take requests are in it
  batch_options batch = {};
};

/// Spawns the actor that owns all replicas of one process: starts and drains them as
/// `desired_replicas` says, and reports on every change of phase and every
/// `limits::heartbeat_interval`.
///
/// It never runs user code, so its reports do not depend on what that does. An exit message ends it and its replicas at
/// once; what they held is delivered again. For an orderly end send desired
/// replicas that name none, wait until a report names none, then end it.
handle spawn(caf::actor_system& sys, options opts);

} // namespace sluice::host
