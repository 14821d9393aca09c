#pragma once

#include <sluice/core/ids.hpp>
#include <sluice/core/limits.hpp>
#include <sluice/core/result.hpp>
#include <sluice/http/message.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// How a processor is fed.
enum class pattern : std::uint8_t { consumer, endpoint, collector, websocket, batch };

std::string_view to_string(pattern value) noexcept;

/// A source or sink by kind and options, for example {"queue", {{"name", "orders"}}}.
/// What a kind accepts is decided by its connector; unknown options are refused.
struct io_spec {
  std::string kind;
  std::map<std::string, std::string> options;

  friend bool operator==(const io_spec&, const io_spec&) = default;
};

/// How an endpoint, collector or websocket is reached.
struct http_spec {
  std::string route; ///< "/orders/{id}"; a last "{rest...}" takes the rest of the path
  sluice::method method = sluice::method::get;
  std::uint64_t body_bytes_max = limits::http_body_bytes_max_default; ///< of a WebSocket: one message
  std::uint32_t max_queued_requests = 1000;                           ///< wait per ingress, then 503
  std::uint32_t target_ongoing_requests =
    2; ///< per replica, for an autoscaler: nothing reads it yet. WebSocket: connections
  std::uint32_t max_connections =
    limits::websocket_connections_max_default; ///< WebSocket: per replica, then 503
  double rate_limit = 0;                       ///< requests per second and ingress, then 429; 0 = any
  std::uint32_t rate_burst = 0;                ///< of them at once; 0 = those of one second, at least 1
  std::vector<std::string> cors_origins = {};  ///< allowed to read answers; "*" = any; empty = no CORS
  std::string openapi = {}; ///< JSON: {"operation":{...},"schemas":{"order":{...}}}; empty = not documented

  friend bool operator==(const http_spec&, const http_spec&) = default;
};

/// What a batch has beside source and sink.
struct batch_spec {
  std::uint64_t max_rejected = 0; ///< records that may fail for good; one more fails the batch
  std::string rejected = {};      ///< file they are written to; empty = beside the sink, or the source
  std::uint64_t split_bytes = 0;  ///< of the source, that are done or repeated as one; 0 = by its size
  std::string reduce_by = {};     ///< name of the key, for people; empty = no reduce step

  friend bool operator==(const batch_spec&, const batch_spec&) = default;
};

/// One processor as data: everything the cluster needs to place and feed it.
struct processor_spec {
  processor_name name;
  pattern kind = pattern::consumer;
  io_spec source;
  io_spec sink;
  std::uint32_t num_replicas = 1;
  std::uint32_t min_replicas = 1;
  std::uint32_t max_replicas = 1;
  bool autoscale = true; ///< for an autoscaler: nothing reads it yet
  double num_cpus = 1.0;
  std::uint64_t memory_bytes = 0;                      ///< reserved per replica; 0 = not reserved
  std::map<std::string, std::string> node_labels = {}; ///< runs only on nodes that have all of them
  std::uint32_t num_concurrency = 1;
  std::chrono::milliseconds timeout{0}; ///< per record; 0 = none
  std::uint32_t max_attempts = limits::attempts_max_default;
  std::uint32_t batch_size = 500; ///< records per pull
  std::string log_level = "info";
  std::string input_type; ///< for people
  std::string output_type;
  std::optional<http_spec> http = {};   ///< of all but consumers and batches
  std::optional<batch_spec> batch = {}; ///< of batches

  friend bool operator==(const processor_spec&, const processor_spec&) = default;
};

/// What one binary describes. Plain data: built by `flow`, carried by `--describe`,
/// stored by the head.
struct flow_spec {
  flow_name name;
  std::string sluice_version; ///< of the SDK it was built with
  std::vector<processor_spec> processors;

  friend bool operator==(const flow_spec&, const flow_spec&) = default;
};

/// True if all processors are batches: such a flow ends when they have.
bool ends_by_itself(const flow_spec& spec) noexcept;

/// True if the place in the processor's source has one owner: two replicas would read everything twice.
bool has_one_owner(const processor_spec& spec) noexcept;

/// Names the first mistake: processor, option and rule (`errc::invalid_argument`).
result<void> check(const flow_spec& spec);

/// The same for what a cluster asks on top: that paths are absolute, as each host has its own folder.
result<void> check_for_cluster(const flow_spec& spec);

/// The JSON of `--describe`: {"sluice":"<version>","flow":{...}}, indented.
std::string to_json(const flow_spec& spec);

/// Reads what `to_json` wrote; unknown members are ignored, missing options take
/// their defaults. Fails with the path of the first wrong member.
result<flow_spec> flow_spec_from_json(std::string_view text);

} // namespace sluice
