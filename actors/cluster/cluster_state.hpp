#pragma once

#include "actors/cluster/cluster_protocol.hpp"
#include "actors/cluster/cluster_store_port.hpp"
#include "actors/cluster/failure_detector.hpp"
#include "actors/cluster/rollout_policy.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace sluice::cluster {

/// When an event happens: `now` decides, `wall` is only shown.
struct moment {
  time_point now;
  std::chrono::system_clock::time_point wall;
};

/// Bounds of the cluster's decisions; the defaults are what runs in production.
struct state_limits {
  detector_limits detector;
  std::chrono::nanoseconds restart_grace =
    std::chrono::seconds{10}; ///< for nodes known from before; links reconnect sooner
  std::chrono::nanoseconds resend_after =
    std::chrono::seconds{1}; ///< a node that has not seen its newest order
  std::chrono::nanoseconds unseen_after =
    std::chrono::seconds{2}; ///< a host that runs has named all its replicas by then
  std::chrono::nanoseconds retry_delay_min = std::chrono::seconds{1}; ///< replace a failed replica; doubles
  std::chrono::nanoseconds retry_delay_max = std::chrono::seconds{60};
  std::chrono::nanoseconds update_stall_max =
    std::chrono::minutes{5}; ///< an update none of whose replicas comes up for this long is given up
  std::chrono::nanoseconds forget_gone_after =
    std::chrono::hours{1}; ///< dead and left nodes stay in sight that long
  std::chrono::nanoseconds crash_loop_memory =
    std::chrono::minutes{30}; ///< a flow does not move to a node where it crash-looped within this
  std::size_t answers_kept_max = 1000;
  std::size_t versions_kept_max = limits::flow_versions_kept_max;
  std::size_t deleted_kept_max = 1000; ///< names of deleted flows whose numbers go on where they were
  std::uint32_t replicas_per_processor_max = 1000;
};

// ---- data -----------------------------------------------------------------------

/// A node, by `liveness` of the detector, `drain_requested` and `has_left`:
///
///      1 (none)   -> alive     register
///      2 alive    -> suspect   silence or link lost (failure_detector 1)
///      3 suspect  -> alive     heard
///      4 suspect  -> dead      silence (failure_detector 3): leases back, replicas lost
///      5 dead     -> alive     heard or register: lost replicas not yet replaced are adopted
///      6 alive    -> draining  drain request: replicas drain, others are started elsewhere
///      7 draining -> drained   its last replica is gone
///      8 draining, drained -> alive   resume request
///      9 any      -> left      it stops on purpose: as 4, without blame
///     10 left     -> alive     register
///     11 dead, left -> (none)  forget_gone_after
///
/// A node that is both suspect or dead and draining shows as suspect or dead, and as
/// draining again after 3 or 5. Only `alive` ones get new replicas.
struct node_record {
  stored_node stored;
  bool has_left = false;
  bool has_registered = false;                     ///< since the head started: there is an agent to send to
  bool is_connected = false;                       ///< has registered and is neither dead nor left
  time_point gone_at;                              ///< valid while dead or left
  std::shared_ptr<const node::node_report> report; ///< newest of this incarnation
  std::set<replica_id> replicas;                   ///< bound to it, lost ones too

  // What it was last told.
  std::uint64_t sent_revision = 0;
  time_point sent_at;
  std::vector<std::pair<replica_id, host::replica_goal>> sent;
  std::shared_ptr<const ingress::route_table> sent_routes;
  bool must_send = true;
  node_phase shown = node_phase::alive; ///< last phase an event told of
};

/// One replica. Bound to its node for life: work that moves gets a new id, so that one
/// id never runs twice, whoever comes back.
struct replica_record {
  stored_replica stored;
  bool is_lost =
    false; ///< its node is dead or left; dropped once replaced, adopted if the node returns first
  bool is_presumed =
    false; ///< ran when the head ended and its node has not reported yet: it goes on getting requests
  std::optional<host::replica_report> report; ///< newest, none while its host does not run it
  std::uint64_t drain_revision = 0; ///< of the first order that told its node to drain it; 0 = none yet
  time_point drain_sent_at;         ///< valid with `drain_revision`
  std::optional<time_point> up_since;
};

/// Patience with replicas of one processor that fail.
struct retry_record {
  std::uint32_t failures = 0;
  std::optional<time_point> retry_at;
  node_id node; ///< where the last one failed
};

/// A crash loop of a flow's host on one node, remembered so that it is not walked into again.
struct crash_loop_record {
  flow_version version;
  incarnation started; ///< of the node
  time_point seen_at;  ///< last
};

/// How far an update has come, to see that it goes on at all.
struct update_progress {
  flow_version target;
  std::uint32_t up_count_max = 0;
  time_point since; ///< when it last got further
};

/// A flow:
///
///      1 (none)   -> starting  first submit
///      2 starting -> running   all replicas of `target` are up: `current` = `target`
///      3 starting -> failed    a host crash-loops or a replica fails, none is up
///      4 failed   -> starting, running   it recovers, or another submit
///      5 running  -> updating  submit or rollback: `target` differs from `current`
///      6 updating -> running   all of `target` up, none of the others left
///      7 updating -> degraded  `target` fails, or none of it comes up for `update_stall_max`:
///                              `target` = `current`, the new replicas drain
///      8 running  -> degraded  some replica fails or cannot be placed
///      9 degraded -> running   none does any more; degraded -> updating: next submit or rollback
///     10 degraded -> failed    no replica is up and some fail
///     11 any      -> draining  drain request
///     12 draining -> drained   the last replica is gone
///     13 draining, drained -> starting, running, updating   resume request or submit
///     14 any      -> deleting  delete request: as 11
///     15 deleting -> (none)    the last replica is gone
///     16 starting, running, degraded, updating -> completed   all processors are batches, and are done: as 11
///     17 the same -> failed    all are batches, and one has failed for good: as 11
///     18 completed, failed -> starting, updating   the next submit: another run
struct flow_record {
  stored_flow stored;
  std::map<flow_version, std::shared_ptr<const stored_version>> versions;
  std::map<processor_name, retry_record> retries;
  std::map<processor_name, unplaced> waiting;
  std::map<node_id, crash_loop_record> crash_loops;     ///< of `target`
  std::map<processor_name, host::batch_report> batches; ///< of `target`, the newest that was reported
  std::optional<update_progress> progress; ///< while an update is under way; begins anew with the head
  flow_phase phase = flow_phase::starting;
  std::string detail;
  std::optional<std::pair<flow_phase, flow_version>> told; ///< by the newest event about how it goes
};

/// All the cluster knows, apart from the text of past events. A value: copy it to try
/// a change.
struct cluster_state {
  state_limits limits;
  failure_detector detector;
  std::map<node_id, node_record> nodes;
  std::map<flow_name, flow_record> flows;
  std::map<flow_name, flow_version> deleted; ///< the newest number each had
  flow_version deleted_floor;                ///< as high as those of all others
  std::map<replica_id, replica_record> replicas;
  std::shared_ptr<const ingress::route_table> routes; ///< as in the newest orders; null = none ever
  std::deque<stored_answer> answers;
  std::uint64_t replica_id_last = 0;
  std::uint64_t event_id_last = 0;
  std::uint64_t revision_last = 0; ///< begins above all that were given out before the head started
};

// ---- events and actions ---------------------------------------------------------

struct tick {};

struct node_registers {
  node::node_info info;
};

/// The agent of this incarnation is out of reach.
struct link_lost {
  node_id node;
  incarnation started;
};

using event = std::variant<tick, node_registers, std::shared_ptr<const node::node_report>, node_leaves,
                           link_lost, host_ended, submit_request, scale_request, drain_flow_request,
                           drain_node_request, rollback_request, delete_flow_request>;

struct send_desired {
  node_id node;
  node::desired_state state;
};

/// Leases go back to their queues. With `seqs`, only these records of `queue`.
struct release_leases {
  queue::owner_id owner;
  bool failed = false; ///< counts an attempt
  std::string error;
  queue_name queue{};
  std::vector<std::uint64_t> seqs{};
};

using action = std::variant<send_desired, release_leases>;

/// What an event leads to. `changes` must be on disk before `actions` are carried out
/// and before the request is answered.
struct decision {
  std::optional<failure> refused; ///< of a request or registration: nothing was changed
  submit_reply reply;             ///< of submit and rollback
  change_set changes;
  std::vector<action> actions;
};

/// Begins where the last head ended: nodes are expected back, replicas are taken as theirs
/// until they say otherwise. Fails with `corrupt` if one row names another that is not there.
result<cluster_state> restore(const stored_state& stored, const state_limits& limits, time_point now);

/// Takes one event and says what to do. Pure. Level-triggered: whatever the event, all that is
/// wanted is compared with all that is there.
decision apply(cluster_state& state, const event& what, moment at);

/// Makes the next orders go to all nodes again, for a shell that could not carry out actions.
void resend_all(cluster_state& state);

/// Where a node stands, for people.
node_phase phase_of(const cluster_state& state, const node_record& node);

/// How a replica does and, unless it is up, why, in words.
std::pair<replica_health, std::string> health_of(const cluster_state& state, const replica_record& replica);

/// The words of `health_of` and when its host is started again, if it waits. Another text each second.
std::string describe(const cluster_state& state, const replica_record& replica);

/// True while the replica's host waits in a crash loop.
bool is_in_crash_loop(const cluster_state& state, const replica_record& replica);

/// What one replica of `processor` in `version` reserves.
replica_need need_of(const stored_version& version, const processor_name& processor);

} // namespace sluice::cluster
