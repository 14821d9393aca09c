#pragma once

#include "actors/ingress/latency_histogram.hpp"

#include <sluice/core/ids.hpp>
#include <sluice/flow_spec.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::ingress {

/// One replica that takes requests.
struct route_target {
  replica_id replica;
  flow_version version;
  node_id node;
  std::string address; ///< "host:port" of that node's link, for other nodes
  flow_name flow = {}; ///< the route's

  friend bool operator==(const route_target&, const route_target&) = default;
};

/// One route and all replicas behind it. While an update runs they are of two versions; if it
/// changes the route there are two entries.
struct route_entry {
  flow_name flow;
  processor_name processor;
  pattern kind = pattern::endpoint;
  http_spec http; ///< of the newest version that has a replica here
  std::uint32_t num_concurrency = 1;
  std::chrono::milliseconds timeout{0}; ///< 0 = `limits::http_request_timeout_default`
  std::string output_type;
  bool is_failed = false;            ///< no replica comes up: requests are refused at once
  bool is_draining = false;          ///< its flow takes no new work: requests are refused
  std::vector<route_target> targets; ///< none: requests wait for one until their deadline

  friend bool operator==(const route_entry&, const route_entry&) = default;
};

/// Another place where clients connect.
struct ingress_node {
  node_id node;
  std::string address; ///< "host:port" of its link, for other nodes

  friend bool operator==(const ingress_node&, const ingress_node&) = default;
};

/// All routes of the cluster. Level-triggered: complete every time, a part of
/// `node::desired_state`.
struct route_table {
  std::vector<route_entry> routes;
  std::vector<ingress_node> nodes = {}; ///< all that may have members of rooms; none without a WebSocket

  friend bool operator==(const route_table&, const route_table&) = default;
};

/// What the ingress of one node knows of the requests for one processor: gauges of the moment, and counters
/// since the node started. A part of `node::node_report`.
struct processor_load {
  flow_name flow;
  processor_name processor;
  std::uint32_t waiting = 0; ///< in the queue here, while all replicas are busy
  std::uint32_t ongoing = 0; ///< at replicas, from here
  std::chrono::milliseconds wait_oldest{0};
  std::uint64_t answered_total = 0;
  std::uint64_t client_errors_total = 0;      ///< 4xx
  std::uint64_t server_errors_total = 0;      ///< 5xx, and answers that broke off
  std::uint64_t turned_away_total = 0;        ///< queue full, or deadline passed in it; server errors as well
  std::uint64_t room_messages_lost_total = 0; ///< did not get to another node; counted per node
  latency_histogram latency = {};             ///< from the whole request to its answer
  std::string sink_error = {}; ///< why a queue did not take what a collector made last; empty = it did

  friend bool operator==(const processor_load&, const processor_load&) = default;
};

} // namespace sluice::ingress
