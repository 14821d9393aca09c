#pragma once

#include "actors/node/host_state.hpp"
#include "actors/node/resource_port.hpp"

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

/// All hosts of one node as data: which ones the cluster wants, how each stands, and
/// the report that says so. Pure; the actor in `node.cpp` carries out the actions.
namespace sluice::node {

/// The agent looks at its hosts this often.
constexpr std::chrono::milliseconds tick_interval{250};

/// A tick that comes this much late means that the agent itself stood still.
constexpr std::chrono::milliseconds sleep_threshold{1000};

/// One host per flow and version.
struct host_key {
  flow_name flow;
  flow_version version;

  friend auto operator<=>(const host_key&, const host_key&) = default;
  friend bool operator==(const host_key&, const host_key&) = default;
};

/// What a host is to run once the process that it has is gone.
struct next_order {
  flow_order order;
  std::vector<host::replica_order> replicas;
};

struct host_entry {
  flow_order order;
  host_state host;
  std::optional<next_order> next; ///< the wish names another program under the same key
  std::optional<std::pair<time_point, std::chrono::nanoseconds>> cpu_last; ///< of the running process
  double cpu_used = 0;
};

struct node_state {
  // fixed
  bool isolated = true;                    ///< see `host_launcher_port::isolated`
  std::uint64_t host_memory_bytes_max = 0; ///< of a host whose processors reserve none; 0 = no limit

  std::uint64_t revision = 0; ///< of the newest `desired_state` seen
  bool is_stopping = false;   ///< wishes are no longer heard
  std::map<host_key, host_entry> hosts;
  std::optional<time_point> looked_at;
  std::optional<std::pair<time_point, std::chrono::nanoseconds>> cpu_last; ///< of the machine
  double cpu_used = 0;
  std::uint64_t memory_used_bytes = 0;
};

struct node_action {
  host_key key;
  host_action what;
};
using node_actions = std::vector<node_action>;

/// Makes the wish the node's own. A lower revision than the newest seen changes
/// nothing, and nothing does once the node stops.
node_actions apply(node_state& state, const desired_state& wish, const moment& at);

/// Stops every host, each with its drain, whatever the cluster wants from now on.
node_actions begin_stop(node_state& state, const moment& at);

/// Begins what waits for the old process of the host to be gone, if it is.
void begin_next(node_state& state, const host_key& key, const moment& at, node_actions& out);

/// Applies an event to one host; nothing if the host is not known.
template <class Event>
node_actions apply_to(node_state& state, const host_key& key, const Event& what, const moment& at) {
  node_actions out;
  if (auto found = state.hosts.find(key); found != state.hosts.end())
    for (auto& each : apply(found->second.host, what, at))
      out.push_back({key, std::move(each)});
  begin_next(state, key, at, out);
  return out;
}

/// The host whose current process is `id`.
std::optional<host_key> find(const node_state& state, host_id id);

/// Notices when the agent stood still since the last look (a stopped process, a
/// starved machine) and forgives the hosts what they could not tell meanwhile.
/// Called before anything that is due is looked at.
void note_time(node_state& state, time_point now);

/// Takes what was measured of a host's process and returns its `event::tick`.
event::tick measure(host_entry& entry, const std::optional<process_sample>& sample, time_point now);
void measure(node_state& state, const machine_sample& sample, time_point now);

/// When the next host needs a look, or nothing.
std::optional<time_point> next_due(const node_state& state);

/// What a host may use: the sum its replicas reserve, not below
/// `limits::host_memory_bytes_min`; `bytes_max` if one of them reserves nothing and as
/// the upper bound. 0 = no limit.
std::uint64_t memory_limit(const flow_order& order, const std::vector<host::replica_order>& replicas,
                           std::uint64_t bytes_max);

/// How all hosts stand at `now`; those that are down appear once more.
node_report make_report(const node_state& state, const node_info& self, time_point now);

/// Forgets hosts that are down. Returns true if there was one.
bool forget_down(node_state& state);

} // namespace sluice::node
