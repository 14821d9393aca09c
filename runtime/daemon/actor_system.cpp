#include "runtime/daemon/actor_system.hpp"

#include <caf/atom.hpp>

#include <algorithm>
#include <cstddef>
#include <thread>

namespace sluice::daemon {

actor_config::actor_config() {
  // Few threads: node actors only route and decide, and idle threads cost memory.
  auto threads = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 2, 4);
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads", threads);
  set("scheduler.max-throughput", std::size_t{200});
}

} // namespace sluice::daemon
