#pragma once

#include "actors/host/host_protocol.hpp"
#include "actors/node/host_launcher_port.hpp"

#include <caf/fwd.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

namespace sluice::testing {

/// A host process that only pretends: its replicas start, run and drain after times that the
/// seed chooses. What a flow does is told by its arguments:
///
///     "exit"   the process ends with code 3 before it says hello
///     "fail"   each replica fails in its setup
///     "crash"  the process is killed by a signal 50 ms after its replicas run
struct sim_host {
  node_id node;
  host_id id;
  flow_name flow;
  flow_version version;
  std::map<replica_id, host::replica_report> replicas;
};

/// What a simulated host is told and does; the launcher owns the data.
struct sim_host_script {
  sim_host* host = nullptr;
  node::host_observer to;
  bool fails = false;
  std::function<std::chrono::milliseconds(int, int)> between; ///< a time the seed chooses
  std::function<void()> on_running;
  std::uint64_t revision = 0;
};

/// Spawns the replicas' side of a simulated host. The caller ends it as a crash would.
host::handle spawn_sim_host(caf::actor_system& sys, std::shared_ptr<sim_host_script> script);

} // namespace sluice::testing
