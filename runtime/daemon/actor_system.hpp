#pragma once

#include <caf/actor_system_config.hpp>

namespace sluice::daemon {

/// How CAF is set up in every Sluice process. `sharing`: the default, work stealing,
/// sleeps between polls, which costs a link round trip 300 µs (ARCHITECTURE.md).
struct actor_config : caf::actor_system_config {
  actor_config();
};

} // namespace sluice::daemon
