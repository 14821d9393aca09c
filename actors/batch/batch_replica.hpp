#pragma once

#include "actors/batch/batch_port.hpp"
#include "actors/queue/queue_protocol.hpp"
#include "actors/replica/flight_recorder_port.hpp"
#include "actors/replica/replica_port.hpp"
#include "actors/replica/replica_protocol.hpp"

#include <sluice/flow_spec.hpp>
#include <sluice/processor/body.hpp>

#include <caf/actor_system.hpp>

#include <cstdint>
#include <memory>

namespace sluice::batch {

/// What one replica of a batch is made of. Everything pointed to is shared, because calls into it may
/// outlive the replica.
struct options {
  processor_spec processor;
  queue::consumer_id consumer;
  queue::owner_id owner; ///< its `replica` is this replica's id
  queue::handle queue;   ///< has the job and the splits, and is the sink if that is a queue
  std::uint64_t run = 1; ///< a higher one begins the batch anew
  bool takes_up_failed = false;
  body_factory make_body;
  std::shared_ptr<files_port> files;
  std::shared_ptr<environment_port> environment;
  std::shared_ptr<replica::threads_port> threads;
  std::shared_ptr<replica::flight_recorder_port> recorder; ///< may be none
  replica::owner_handle owner_actor;                       ///< gets `status`
};

/// Spawns one running copy of a batch: takes splits of the source, gives their records to user code and brings
/// the results where they belong. What is done is noted in the queues, so that any number of replicas, here or
/// elsewhere, share one batch, and one that dies costs the splits it was at.
///
/// User code runs on threads of its own, coroutines as well. The actor ends by itself after `drain`, with a
/// last `status`: what it was at is done again by another one. An exit message ends it at once.
replica::handle spawn(caf::actor_system& sys, options opts);

} // namespace sluice::batch
