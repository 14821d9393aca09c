#pragma once

#include <sluice/flow_spec.hpp>
#include <sluice/processor/guard.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// What may be said of a processor when it is added to a flow, and what holds if it is not said.
///
/// There is no autoscaler yet: `min_replicas`, `autoscale`, `target_ongoing_requests` and `target_connections` are checked,
/// kept with the flow and shown, but nothing acts on them. A processor has `num_replicas` until `sluice scale` says another
/// number, from 0 to `max_replicas`.
namespace sluice {

/// Of a coroutine that does not say how many of it run side by side: it waits for others most of the time.
constexpr std::uint32_t async_concurrency_default = 100;

/// How a consumer is fed and run. Set by name: `{.source = sluice::queue("orders"), ...}`.
///
/// Option          | Meaning                                              | Default
/// --------------- | ---------------------------------------------------- | -------
/// source          | where records come from, required                    | -
/// sink            | where results go, required unless there are none     | empty
/// num_replicas    | copies to begin with                                 | 1, moved into min..max
/// min_replicas    | for the autoscaler: never fewer; 0 = down to zero    | 1, or num_replicas if lower
/// max_replicas    | never more; 1 with a file or pulse source            | num_replicas or min_replicas
/// autoscale       | for the autoscaler, which is not there yet           | true
/// num_cpus        | reserved per replica; fractions are fine             | 1.0
/// memory_bytes    | reserved per replica; 0 = none                       | 0
/// node_labels     | {{"gpu", "1"}}: only on nodes started with all these | none
/// num_concurrency | records at once per replica, 1 to 1,024              | 1; of a coroutine 100
/// timeout         | per record; 0 = none                                 | 0
/// max_attempts    | deliveries of a record until it is a dead letter     | 5
/// batch_size      | records per pull, up to 4096                         | 500
/// log_level       | what `sluice::log` writes: trace, debug, info, warn, error | info
struct consumer_options {
  io_spec source = {};
  io_spec sink = {};
  std::optional<std::uint32_t> num_replicas = {};
  std::optional<std::uint32_t> min_replicas = {};
  std::optional<std::uint32_t> max_replicas = {};
  bool autoscale = processor_spec{}.autoscale;
  double num_cpus = processor_spec{}.num_cpus;
  std::uint64_t memory_bytes = processor_spec{}.memory_bytes;
  std::map<std::string, std::string> node_labels = {};
  std::optional<std::uint32_t> num_concurrency = {};
  std::chrono::milliseconds timeout = processor_spec{}.timeout;
  std::uint32_t max_attempts = processor_spec{}.max_attempts;
  std::uint32_t batch_size = processor_spec{}.batch_size;
  std::string log_level = processor_spec{}.log_level;
};

/// How an endpoint is reached and run. Options that are not in the table are those of a consumer.
///
/// Option                  | Meaning                                                       | Default
/// ----------------------- | ------------------------------------------------------------- | -------
/// route                   | "/orders/{id}"; a last "{rest...}" takes the rest; required.  | -
///                         | Not /openapi.json or /docs, which the ingress answers         |
/// method                  | get, post, put, patch, delete_                                | get
/// num_cpus                | reserved per replica                                          | 0.1
/// num_concurrency         | requests at once per replica, 1 to 1,024                      | 1; of a coroutine 100
/// timeout                 | per request, then 504; 0 = 30 s                               | 0
/// target_ongoing_requests | per replica; for the autoscaler, which is not there yet       | half of num_concurrency, at least 2
/// max_queued_requests     | waiting per ingress, then 503                                 | 1000
/// rate_limit              | requests per second and ingress, then 429; 0 = any            | 0
/// rate_burst              | of them at once; 0 = those of one second                      | 0
/// body_bytes_max          | of a request, then 413; up to 16 MiB                          | 1 MiB
/// cors_origins            | other sites whose pages may read and write; "*" = any           | none
/// guard                   | who may use it: `bearer_token_from_env`, `api_key_from_env`   | everybody
/// errors                  | {{409, "taken"}, {404, "no such note"}}: what its code throws | none are documented
struct endpoint_options {
  std::string route = {};
  sluice::method method = http_spec{}.method;
  std::optional<std::uint32_t> num_replicas = {};
  std::optional<std::uint32_t> min_replicas = {};
  std::optional<std::uint32_t> max_replicas = {};
  bool autoscale = processor_spec{}.autoscale;
  double num_cpus = 0.1;
  std::uint64_t memory_bytes = processor_spec{}.memory_bytes;
  std::map<std::string, std::string> node_labels = {};
  std::optional<std::uint32_t> num_concurrency = {};
  std::chrono::milliseconds timeout = processor_spec{}.timeout;
  std::optional<std::uint32_t> target_ongoing_requests = {};
  std::uint32_t max_queued_requests = http_spec{}.max_queued_requests;
  std::uint64_t body_bytes_max = http_spec{}.body_bytes_max;
  double rate_limit = http_spec{}.rate_limit;
  std::uint32_t rate_burst = http_spec{}.rate_burst;
  std::vector<std::string> cors_origins = {};
  std::optional<route_guard> guard = {};
  std::vector<documented_error> errors = {};
  std::string log_level = processor_spec{}.log_level;
};

/// How a collector is reached and run: as an endpoint, with POST or GET, and a sink, which is required.
struct collector_options {
  std::string route = {};
  sluice::method method = sluice::method::post;
  io_spec sink = {};
  std::optional<std::uint32_t> num_replicas = {};
  std::optional<std::uint32_t> min_replicas = {};
  std::optional<std::uint32_t> max_replicas = {};
  bool autoscale = processor_spec{}.autoscale;
  double num_cpus = 0.1;
  std::uint64_t memory_bytes = processor_spec{}.memory_bytes;
  std::map<std::string, std::string> node_labels = {};
  std::optional<std::uint32_t> num_concurrency = {};
  std::chrono::milliseconds timeout = processor_spec{}.timeout;
  std::optional<std::uint32_t> target_ongoing_requests = {};
  std::uint32_t max_queued_requests = http_spec{}.max_queued_requests;
  std::uint64_t body_bytes_max = http_spec{}.body_bytes_max;
  double rate_limit = http_spec{}.rate_limit;
  std::uint32_t rate_burst = http_spec{}.rate_burst;
  std::vector<std::string> cors_origins = {};
  std::optional<route_guard> guard = {};
  std::vector<documented_error> errors = {};
  std::string log_level = processor_spec{}.log_level;
};

/// How a WebSocket is reached and run. Options that are not in the table are those of an endpoint.
///
/// Option                    | Meaning                                                     | Default
/// ------------------------- | ----------------------------------------------------------- | -------
/// route                     | "/chat/{room}"; required                                    | -
/// num_concurrency           | messages in user code at once per replica, 1 to 1,024       | 1; of a coroutine 100
/// timeout                   | per message, then closed with 1011; 0 = none                | 0
/// send_timeout              | that a function, not a coroutine, waits in `send` for a client | 5 s
///                           | with more than 1 MiB unread, then closed with 1013; up to 1 h |
/// max_connections           | per replica, then 503                                       | 10,000
/// target_connections        | per replica; for the autoscaler, which is not there yet     | 1,000
/// message_bytes_max         | of a client, then closed with 1009; up to 16 MiB            | 1 MiB
/// max_queued_requests       | that wait for a replica per ingress, then 503               | 1000
/// rate_limit                | connections opened per second and ingress, then 429         | 0
/// cors_origins              | other web sites whose pages may connect; "*" = any          | none
struct websocket_options {
  std::string route = {};
  std::optional<std::uint32_t> num_replicas = {};
  std::optional<std::uint32_t> min_replicas = {};
  std::optional<std::uint32_t> max_replicas = {};
  bool autoscale = processor_spec{}.autoscale;
  double num_cpus = 0.1;
  std::uint64_t memory_bytes = processor_spec{}.memory_bytes;
  std::map<std::string, std::string> node_labels = {};
  std::optional<std::uint32_t> num_concurrency = {};
  std::chrono::milliseconds timeout = processor_spec{}.timeout;
  std::chrono::milliseconds send_timeout = std::chrono::seconds{5};
  std::uint32_t max_connections = http_spec{}.max_connections;
  std::uint32_t target_connections = 1000;
  std::uint64_t message_bytes_max = http_spec{}.body_bytes_max;
  std::uint32_t max_queued_requests = http_spec{}.max_queued_requests;
  double rate_limit = http_spec{}.rate_limit;
  std::uint32_t rate_burst = http_spec{}.rate_burst;
  std::vector<std::string> cors_origins = {};
  std::optional<route_guard> guard = {};
  std::string log_level = processor_spec{}.log_level;
};

/// How a batch is fed and run.
///
/// Option          | Meaning                                                           | Default
/// --------------- | ----------------------------------------------------------------- | -------
/// source          | a file, or what is in a queue when it begins; required            | -
/// sink            | where results go, required unless there are none                  | empty
/// num_replicas    | copies                                                            | 1
/// num_cpus        | reserved per replica; fractions are fine                          | 1.0
/// memory_bytes    | reserved per replica; 0 = none                                    | 0
/// num_concurrency | splits at once per replica, of a coroutine records; 1 to 1,024    | 1; of a coroutine 100
/// timeout         | per record; 0 = none                                              | 0
/// max_attempts    | tries of a record that throws; of a split whose process dies      | 5
/// max_rejected    | records that may fail for good; one more fails the batch          | 0
/// rejected        | file in which those are listed with their errors                  | beside the sink, or the source
/// split_bytes     | of the source, done or repeated as one; from 4 KiB                | by its size, up to 8 MiB; queue: 1 MiB
/// node_labels     | {{"gpu", "1"}}: only on nodes started with all these                | none
/// log_level       | trace, debug, info, warn, error                                   | info
struct batch_options {
  io_spec source = {};
  io_spec sink = {};
  std::uint32_t num_replicas = 1;
  double num_cpus = processor_spec{}.num_cpus;
  std::uint64_t memory_bytes = processor_spec{}.memory_bytes;
  std::map<std::string, std::string> node_labels = {};
  std::optional<std::uint32_t> num_concurrency = {};
  std::chrono::milliseconds timeout = processor_spec{}.timeout;
  std::uint32_t max_attempts = processor_spec{}.max_attempts;
  std::uint64_t max_rejected = batch_spec{}.max_rejected;
  std::string rejected = {};
  std::uint64_t split_bytes = batch_spec{}.split_bytes;
  std::string log_level = processor_spec{}.log_level;
};

} // namespace sluice
