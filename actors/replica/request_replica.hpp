#pragma once

#include "actors/ingress/target_port.hpp"
#include "actors/queue/queue_protocol.hpp"
#include "actors/replica/flight_recorder_port.hpp"
#include "actors/replica/replica_protocol.hpp"
#include "actors/replica/request_port.hpp"

#include <sluice/flow_spec.hpp>
#include <sluice/io/sink.hpp>

#include <caf/actor_system.hpp>

#include <memory>

namespace sluice::replica {

/// What one replica of an endpoint or collector is made of. Everything pointed to is shared,
/// because calls into it may outlive the replica.
struct request_options {
  processor_spec processor;
  queue::consumer_id consumer;
  queue::owner_id owner; ///< its `replica` is this replica's id
  request_body_factory make_body;
  std::shared_ptr<sink> to; ///< collectors: none = the sink is a queue, or there is none
  std::shared_ptr<threads_port> threads;
  std::shared_ptr<ingress::local_targets> targets; ///< this replica is in it while it takes requests
  owner_handle owner_actor;                        ///< gets `status`
};

/// Spawns one running copy of a processor that answers requests.
///
/// The actor is its life only: it sets user code up, opens and closes the way for requests,
/// writes what collectors give to a sink of their own and answers them, and reports. What is to go to a queue goes back to who
/// has the client (`exchange::collect`). Requests go from the
/// router to user code without it, unless that is a coroutine. It ends as other replicas do: after
/// `drain`, or a failure, with a last `status`; an exit message ends it at once and drops
/// the requests it had.
handle spawn(caf::actor_system& sys, request_options opts);

} // namespace sluice::replica
