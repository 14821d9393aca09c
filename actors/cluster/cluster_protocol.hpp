#pragma once

#include "actors/message.hpp"
#include "actors/node/node_protocol.hpp"

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <memory>

namespace sluice::cluster {

/// Where a node stands; numbered chart in `cluster_state.hpp`.
enum class node_phase : std::uint8_t { alive, suspect, draining, drained, dead, left };

std::string_view to_string(node_phase phase) noexcept;

/// Where a flow stands; numbered chart in `cluster_state.hpp`.
enum class flow_phase : std::uint8_t {
  starting,
  running,
  updating,
  degraded,
  failed,
  draining,
  drained,
  deleting,
  completed
};

std::string_view to_string(flow_phase phase) noexcept;

// ---- from nodes ---------------------------------------------------------------

/// Sent by a node on every (re)connect. The reply comes before the first
/// `desired_state`.
struct register_node {
  using actor_message = void;
  node::node_info info;
  node::handle agent;
};

struct registered {
  using actor_message = void;
  std::string cluster_id;
};

/// A node that stops on purpose: its work is placed elsewhere at once.
struct node_leaves {
  using actor_message = void;
  node_id node;
};

/// The link to a node is gone. Not yet a death: it may reconnect.
struct node_unreachable {
  using actor_message = void;
  node_id node;
  incarnation started;
};

/// A host process ended; its leases go back at once.
struct host_ended {
  using actor_message = void;
  node_id node;
  flow_name flow;
  node::crash_report report;
  bool expected = false; ///< stopped on purpose
};

/// The head as a node sees it; `transport/` stands in for it on other machines.
using node_facing_handle =
  caf::typed_actor<caf::replies_to<register_node>::with<registered>, caf::reacts_to<node::node_report>,
                   caf::reacts_to<node_leaves>, caf::reacts_to<node_unreachable>, caf::reacts_to<host_ended>>;

// ---- from the control service ---------------------------------------------------

/// Starts a flow or updates it in a rolling way. The artifact is already stored.
/// The same `request_id` again returns the first answer.
struct submit_request {
  using actor_message = void;
  std::string request_id;
  flow_spec spec;
  artifact_id artifact;
  std::uint64_t artifact_size_bytes = 0;
  std::vector<std::string> args;
  flow_variables env = {};
};

struct submit_reply {
  using actor_message = void;
  flow_version version;
  bool is_new = false; ///< the flow had no version before
};

struct scale_request {
  using actor_message = void;
  flow_name flow;
  processor_name processor;
  std::uint32_t replicas = 1;
};

/// Takes no new work. A drained flow keeps its place and can be resumed; a drained
/// node's replicas are placed elsewhere.
struct drain_flow_request {
  using actor_message = void;
  flow_name flow;
  bool resume = false;
};

struct drain_node_request {
  using actor_message = void;
  node_id node;
  bool resume = false;
};

/// Makes an older version current again, as a new rolling update. `to` 0 = the one before.
/// The same `request_id` again returns the first answer; empty = every request counts.
struct rollback_request {
  using actor_message = void;
  flow_name flow;
  flow_version to;
  std::string request_id;
};

/// Drains, then forgets the flow. Its queues stay.
struct delete_flow_request {
  using actor_message = void;
  flow_name flow;
};

/// Something of the head itself that belongs among the events.
struct head_event {
  using actor_message = void;
  std::string severity; ///< as in `event_view`
  std::string text;
};

struct view_request {
  using actor_message = void;
};

struct node_view {
  node::node_info info;
  node_phase phase = node_phase::alive;
  std::chrono::milliseconds heartbeat_age{0};
  double cpus_reserved = 0;
  std::uint64_t memory_reserved_bytes = 0;
  double cpu_used = 0;
  std::uint64_t memory_used_bytes = 0;
  std::vector<node::host_status> hosts;
};

struct replica_view {
  replica_id id;
  flow_name flow;
  processor_name processor;
  flow_version version;
  node_id node; ///< empty = not placed
  host::replica_report report;
  std::string detail; ///< why it is not placed or not running
};

/// The requests of an endpoint or collector, over all nodes.
struct request_view {
  std::uint32_t waiting = 0; ///< at ingresses, while all replicas are busy
  std::uint32_t ongoing = 0; ///< at replicas
  std::chrono::milliseconds wait_oldest{0};
  std::uint64_t answered_total = 0; ///< since the head started, like the next
  std::uint64_t client_errors_total = 0;
  std::uint64_t server_errors_total = 0;
  std::uint64_t turned_away_total = 0;        ///< found no room in time; server errors as well
  std::uint64_t room_messages_lost_total = 0; ///< to nodes out of reach, one by one
  std::chrono::microseconds p50{0};           ///< of the last 5 s
  std::chrono::microseconds p99{0};
};

struct processor_view {
  processor_spec spec;
  std::uint32_t replicas_desired = 0;
  std::uint32_t replicas_running = 0;
  std::uint64_t processed_total =
    0; ///< over all replicas there have been since the head started; of a batch, in this run
  std::uint64_t failed_total = 0; ///< in the version shown; so is `last_error`
  double rate_per_s = 0;          ///< over the last 5 s
  std::string last_error;
  std::optional<request_view> requests = {}; ///< of processors with a route
  std::optional<host::batch_report> batch;   ///< of a batch, once it has begun
};

struct flow_view {
  flow_name name;
  flow_phase phase = flow_phase::starting;
  flow_version current;
  flow_version target; ///< differs from current during an update
  std::string detail;  ///< why it is degraded or failed
  std::vector<flow_version> versions;
  artifact_id artifact;
  std::vector<std::string> env_names; ///< of the variables `target` was submitted with
  std::chrono::system_clock::time_point submitted_at;
  std::vector<processor_view> processors;
};

struct event_view {
  std::uint64_t id = 0;
  std::chrono::system_clock::time_point at;
  std::string severity; ///< "info", "warning", "error"
  std::string subject;  ///< "node/ab12", "flow/orders", "host/..."
  std::string text;
};

/// Everything there is to see, at one moment.
struct cluster_view {
  std::string cluster_id;
  std::chrono::system_clock::time_point started_at;
  std::vector<node_view> nodes;
  std::vector<flow_view> flows;
  std::vector<replica_view> replicas;
  std::vector<event_view> events; ///< oldest first
  std::string trouble = {};       ///< why the head cannot store its state; empty = it can
};

struct view_reply {
  using actor_message = void;
  std::shared_ptr<const cluster_view> view;
};

/// Finds the agent of a node, to read its logs.
struct agent_request {
  using actor_message = void;
  node_id node;
};

struct agent_reply {
  using actor_message = void;
  node::handle agent;
};

/// The cluster actor itself: what the head's control service asks on top.
using handle = node_facing_handle::extend<
  caf::replies_to<submit_request>::with<submit_reply>, caf::replies_to<scale_request>::with<void>,
  caf::replies_to<drain_flow_request>::with<void>, caf::replies_to<drain_node_request>::with<void>,
  caf::replies_to<rollback_request>::with<submit_reply>, caf::replies_to<delete_flow_request>::with<void>,
  caf::replies_to<view_request>::with<view_reply>, caf::replies_to<agent_request>::with<agent_reply>,
  caf::reacts_to<head_event>>;

} // namespace sluice::cluster
