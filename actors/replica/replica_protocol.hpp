#pragma once

#include "actors/host/host_protocol.hpp"
#include "actors/message.hpp"

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

namespace sluice::replica {

/// Takes nothing new, settles what it has, then ends. Repeating it has no effect.
struct drain {
  using actor_message = void;
};

/// How a replica stands. Sent on every change of phase, of `exhausted`, and every
/// `limits::heartbeat_interval`. After `down` or `failed` the actor ends.
struct status {
  using actor_message = void;
  host::replica_report report;
};

using handle = caf::typed_actor<caf::reacts_to<drain>>;

/// The host that owns replicas.
using owner_handle = caf::typed_actor<caf::reacts_to<status>>;

} // namespace sluice::replica
