#pragma once

#include "actors/cluster/cluster_protocol.hpp"
#include "actors/node/artifact_port.hpp"
#include "actors/node/host_launcher_port.hpp"
#include "actors/node/log_store_port.hpp"
#include "actors/node/node_protocol.hpp"
#include "actors/node/resource_port.hpp"

#include <caf/actor_system.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

/// The agent of a worker: it has the hosts run that the cluster wants, watches them,
/// starts them again with back-off, and reports. When the head is out of reach
/// everything goes on running, and the head is told on the next connect.
///
/// The report goes out every `limits::heartbeat_interval` from this actor. Two things
/// keep user load from delaying it: user code runs in hosts only, which run at a lower
/// priority than the node process (`transport/process`), and nothing on the node's own
/// scheduler may block.
namespace sluice::node {

/// The link to the head is there, again or for the first time: the agent registers
/// and reports. `head` stands for it until the next such message.
struct head_connected {
  using actor_message = void;
  cluster::node_facing_handle head;
};

/// The link to the head is gone. Nothing is sent until it is back.
struct head_lost {
  using actor_message = void;
};

/// Drains and stops every host, then tells the head that the node leaves. Answered
/// when no host is left: at most `limits::drain_timeout` + `limits::host_terminate_grace`
/// later, unless a process cannot be killed. A second request joins the first.
/// (The answer is `with<void>`: to `with<unit_t>` a typed caller gets `unexpected_response`.)
struct stop_request {
  using actor_message = void;
};

/// The agent as its own process sees it: the cluster's `handle`, a launcher's
/// `host_observer`, and the link's owner.
using agent_handle =
  handle::extend<caf::reacts_to<host::host_report>, caf::reacts_to<host_started>,
                 caf::reacts_to<host_connected>, caf::reacts_to<host_unreachable>,
                 caf::reacts_to<launch_failed>, caf::reacts_to<host_exited>, caf::reacts_to<head_connected>,
                 caf::reacts_to<head_lost>, caf::replies_to<stop_request>::with<void>>;

struct options {
  node_info info;

  // Ports; all but `logs` are required. They must outlive the actor.
  std::shared_ptr<host_launcher_port> launcher;
  std::shared_ptr<artifact_port> artifacts;
  std::shared_ptr<resource_port> resources;
  std::shared_ptr<log_store_port> logs; ///< none: log requests fail with `unsupported`

  /// Of a host whose processors reserve no memory, and the bound of the others; 0 = none.
  std::uint64_t host_memory_bytes_max = 0;

  std::function<std::chrono::system_clock::time_point()> wall_clock; ///< for display
  std::function<std::uint64_t()> random;                             ///< 64 random bits
  /// Told which artifacts this node's hosts need whenever that has changed. Called on the
  /// actor's thread, must not block. May be empty.
  std::function<void(std::set<artifact_id>)> on_artifacts;
  std::function<void(std::string)> notice; ///< lines for the node's own log; may be empty

  /// Takes over the routes of the cluster, on the agent's thread, whenever they differ from those before;
  /// before hosts hear of what else is wanted, so that a replica that drains gets nothing new. May be
  /// empty; must not block.
  std::function<void(const ingress::route_table&)> routes = {};
  /// What this node's ingress knows of its requests; asked on the agent's thread for each report. May be empty.
  std::function<std::vector<ingress::processor_load>()> requests = {};
};

/// Spawns the agent. The caller ends it with an exit message, best after a
/// `stop_request`; hosts that still run then are left to the launcher's destructor.
/// Should the agent fail, it goes down with an error: the process should end with it.
agent_handle spawn(caf::actor_system& sys, options opts);

} // namespace sluice::node
