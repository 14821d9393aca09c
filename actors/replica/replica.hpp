#pragma once

#include "actors/queue/queue_protocol.hpp"
#include "actors/replica/flight_recorder_port.hpp"
#include "actors/replica/replica_port.hpp"
#include "actors/replica/replica_protocol.hpp"

#include <sluice/flow_spec.hpp>
#include <sluice/io/sink.hpp>
#include <sluice/io/source.hpp>
#include <sluice/processor/body.hpp>

#include <caf/actor_system.hpp>

#include <memory>

namespace sluice::replica {

/// What one replica is made of. Everything pointed to is shared, because calls into it may
/// outlive the replica.
struct options {
  processor_spec processor;
  queue::consumer_id consumer;
  queue::owner_id owner; ///< its `replica` is this replica's id
  queue::handle queue;   ///< needed even where neither end is a queue: it buries records
  body_factory make_body;
  std::shared_ptr<source> from; ///< none: the source is the queue `processor.source` names
  std::shared_ptr<sink> to;     ///< none: the sink is a queue, or there is none
  std::shared_ptr<threads_port> threads;
  std::shared_ptr<flight_recorder_port> recorder; ///< for coroutines; may be none
  owner_handle owner_actor;                       ///< gets `status`
};

/// Spawns one running copy of a processor: takes records, gives them to user code, brings the
/// results to the sink and settles.
///
/// User code never runs on the actor's thread, unless it is a coroutine. The actor ends by
/// itself after `drain` or a failure that trying again cannot help, with a last `status`;
/// an exit message ends it at once, and what it held is delivered again. It never
/// waits for a call into user code that does not return.
handle spawn(caf::actor_system& sys, options opts);

} // namespace sluice::replica
