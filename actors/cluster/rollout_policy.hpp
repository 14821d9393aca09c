#pragma once

#include "actors/cluster/placement_policy.hpp"

#include <sluice/core/ids.hpp>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace sluice::cluster {

/// How one replica does, from its own report and its host's.
enum class replica_health : std::uint8_t { starting, up, failing };

/// One replica of the flow that is counted on: its node is not dead.
struct member {
  replica_id id;
  processor_name processor;
  node_id node;
  bool is_target = false;   ///< of the version that should run
  bool is_draining = false; ///< told to drain, not gone yet
  bool must_go = false;     ///< its node drains, or it failed and is to be replaced
  replica_health health = replica_health::starting;
  bool host_loops = false; ///< its host is in a crash loop and waits long
};

/// How many replicas of one processor the target version should have.
struct want {
  processor_name processor;
  std::uint32_t count = 0;
  replica_need need;
  bool has_one_owner = false; ///< two replicas at once would read everything twice
};

/// What one node has left, and who of this flow could make room on it.
struct node_room {
  node_id node;
  double cpus_free = 0;
  std::uint64_t memory_bytes_free = 0;
  label_map labels = {};
};

/// Frees this much when it goes.
using need_map = std::map<replica_id, replica_need>;

/// A version that was in a crash loop on so many nodes is tried on no further one: it is the program and not
/// the node.
constexpr std::size_t crash_loop_nodes_max = 3;

struct rollout_input {
  std::vector<member> members;
  std::vector<want> wants;
  need_map needs;                                ///< of the members
  std::map<processor_name, node_id> failed_last; ///< where the last failed replica was
  std::set<node_id> looped;                      ///< where a host of the target was in a crash loop lately
};

struct new_replica {
  processor_name processor;
  node_id node;
};

struct unplaced {
  std::uint32_t count = 0;
  std::string reason;
};

struct rollout_plan {
  std::vector<new_replica> starts;
  std::vector<replica_id> drains;
  std::map<processor_name, unplaced> waiting;
  std::set<node_id> loops_left; ///< replicas leave these nodes because of a crash loop
  bool is_complete = false;     ///< the target runs as wanted and nothing else is left
};

/// Plans the next step of one flow towards its target version. Pure and
/// level-triggered: it looks at what there is, not at what was done before, so it may be
/// run at any time and any number of times. `nodes` are those that take work; the
/// plan's starts are subtracted from what they have free.
///
/// An update first starts the new replicas beside the old ones and drains the old ones
/// once all new ones are up. Where the new ones do not all fit it drains one old
/// replica at a time, on a node where that makes room for a new one, and waits until
/// the new one is up; a new version that would not fit even on nodes cleared of the old one
/// drains nothing.
///
/// While a host is in a crash loop, its replicas go where they fit and a host of the flow does well, or none has been
/// tried (on `crash_loop_nodes_max` nodes at most). Else they stay and wait with it.
///
/// A source that has one owner is passed on: its reader is drained first, once all that can run beside the old
/// version is up and there is room for the new reader, which starts when the old one is gone.
rollout_plan plan_rollout(const rollout_input& input, std::vector<node_room>& nodes);

} // namespace sluice::cluster
