#pragma once

#include "actors/queue/queue_protocol.hpp"
#include "actors/queue/queue_store_port.hpp"
#include "actors/queue/queues_state.hpp"

#include <caf/actor_system.hpp>

#include <functional>
#include <memory>
#include <string>

/// The embedded durable queues of a head.
///
/// An append or commit is answered once it is on disk; many of them share one sync.
/// What is leased is known in memory only and guarded by the epoch: after a restart
/// every record that was not settled is ready again.
namespace sluice::queue {

struct options {
  /// Runs the store's work, and on its thread what that wakes (`inline_executor`). Must be stopped, with all its
  /// work done, before the actor system goes.
  std::shared_ptr<store_runner_port> store;
  bounds limits;
  std::function<wall_time()> wall_clock; ///< for ages and dates people see
  jitter_source jitter;                  ///< numbers from [0, 1); called by the actor only

  /// Called once, on the actor's thread, when the store cannot be opened or its last
  /// sync failed. All requests are refused from then on; the process should end and
  /// be started anew. May be empty.
  std::function<void(failure)> on_broken;

  /// Gets a sentence for the operator when stored records are missing. May be empty.
  std::function<void(std::string)> report;

  /// Told when writes begin to fail, with the reason ("disk full: ..."), and with an empty text when they go well
  /// again. On the actor's thread. May be empty.
  std::function<void(const std::string&)> on_trouble = {};
};

/// Spawns the queue actor, which opens the store first; requests that come meanwhile
/// wait. The caller ends it with an exit message: requests that wait for the disk or
/// for records are then answered `errc::shutting_down`, a write under way goes on.
admin_handle spawn(caf::actor_system& sys, options opts);

} // namespace sluice::queue
