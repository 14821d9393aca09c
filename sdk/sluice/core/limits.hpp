#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// Every bound of the system, named, with its reason. A full one pushes back on
/// who fills it; none is passed over silently.
namespace sluice::limits {

using namespace std::chrono_literals;

// Records
constexpr std::size_t record_size_bytes_max = 16u << 20; ///< one payload; larger belongs in an object store
constexpr std::size_t block_count_max = 4096;            ///< records per request: bounds one transaction
constexpr std::size_t block_size_bytes_max = 4u << 20; ///< target of a block; one larger record travels alone

// Links
constexpr std::size_t frame_size_bytes_max = 32u << 20; ///< believed from a peer before allocating
constexpr std::size_t link_window_bytes = 64u << 20;    ///< unsent bytes per link before requests are refused
constexpr auto handshake_deadline = 5s;                 ///< accept to hello
constexpr auto ping_interval = 500ms;
constexpr auto silence_timeout = 4s; ///< a link between nodes that says nothing for this long is cut
constexpr std::size_t hello_size_bytes_max = 1024;     ///< believed from a peer that has not said who it is
constexpr std::size_t join_size_bytes_max = 16u << 10; ///< join request and grant: a CSR, two certificates
constexpr std::size_t goodbye_text_bytes_max = 512;    ///< why a link was closed or refused
constexpr std::size_t handshakes_pending_max = 256;    ///< per listener; the oldest gives way to a new one
constexpr auto link_linger = 1s;                       ///< a closing link's time to hand over what was sent
constexpr auto reconnect_delay_min = 200ms;            ///< so a process knocks at most 5 times a second
constexpr auto reconnect_delay_max = 2s;

// Membership
constexpr auto heartbeat_interval = 500ms;
constexpr auto suspect_after = 1500ms; ///< silence until a node is suspect: no new work
constexpr auto dead_after = 4s;        ///< silence until its work goes elsewhere

// Delivery
constexpr auto lease_visibility = 30s;  ///< unrenewed lease until redelivery
constexpr auto retry_delay_min = 200ms; ///< first retry; doubles, full jitter
constexpr auto retry_delay_max = 30s;
constexpr std::uint32_t attempts_max_default = 5;
constexpr std::size_t error_text_bytes_max = 4096; ///< kept per failed attempt

// Hosts
constexpr std::size_t variables_count_max = 256;       ///< of one flow; they travel with each order to a node
constexpr std::size_t variables_bytes_max = 64u << 10; ///< names and values; far below what the kernel takes
constexpr std::size_t variables_file_bytes_max = 1u << 20; ///< with its comments
constexpr std::uint32_t host_restarts_max = 5;             ///< ends in a row, then crash loop
constexpr auto host_restart_window = 60s;                  ///< service for so long makes up for all ends
constexpr auto host_backoff_min = 100ms;
constexpr auto host_backoff_max = 5min;
constexpr std::size_t crash_log_lines_max = 200;
constexpr std::size_t log_file_bytes_max = 8u << 20;  ///< then rotated
constexpr std::size_t log_files_max = 4;              ///< per host
constexpr std::size_t log_line_bytes_max = 16u << 10; ///< a longer line is cut
constexpr auto drain_timeout = 30s;
/// How long a drained replica waits for what has begun, if one call may take `timeout`.
constexpr std::chrono::nanoseconds drain_max(std::chrono::nanoseconds timeout) {
  return timeout > drain_timeout ? timeout : drain_timeout;
}
constexpr auto host_start_deadline = 10s;  ///< launch to hello, then killed
constexpr auto host_terminate_grace = 5s;  ///< SIGTERM to SIGKILL
constexpr auto host_silence_timeout = 10s; ///< a host, or its link, that says nothing for this long is hung
constexpr auto host_hang_grace = 400ms;    ///< on top of a processor's timeout, before its host is killed
constexpr std::uint64_t host_memory_bytes_min =
  64u << 20; ///< no limit of a host is below this: the runtime needs room
constexpr std::size_t dead_host_logs_kept_max = 5; ///< per flow and node
constexpr std::size_t host_ends_kept_max = 100;    ///< ends a node remembers while its head is away
constexpr auto artifact_fetch_backoff_max = 30s;
constexpr auto describe_deadline = 10s;                   ///< `BINARY --describe` answers within
constexpr std::size_t describe_size_bytes_max = 4u << 20; ///< of its output

// Flows
constexpr std::uint32_t replicas_max = 10000;   ///< per processor: a typo must not ask for millions
constexpr std::uint32_t concurrency_max = 1024; ///< calls at once per replica; each sync one is a thread
constexpr std::uint32_t attempts_max = 1000;    ///< more is a loop, not a retry
constexpr double cpus_max = 1024;               ///< per replica
constexpr std::size_t processors_max = 1000;    ///< per flow
constexpr std::size_t flow_spec_bytes_max = 4u << 20; ///< believed from `--describe`

// HTTP: what the public listener believes, waits for and keeps
constexpr std::size_t http_line_bytes_max = 8u << 10;           ///< request line, then 414
constexpr std::size_t http_headers_bytes_max = 16u << 10;       ///< header block, then 431
constexpr std::size_t http_fields_max = 100;                    ///< header fields, then 431
constexpr std::uint64_t http_body_bytes_max_default = 1u << 20; ///< then 413; per route up to
constexpr std::uint64_t http_body_bytes_max = 16u << 20;        ///< what fits into one frame of a link
constexpr std::size_t http_chunk_extension_bytes_max = 1024;    ///< per body
constexpr auto http_head_deadline = 10s;                        ///< absolute, from the first moment, then 408
constexpr auto http_body_deadline = 30s;                        ///< on top of which a body has to come in at
constexpr std::uint32_t http_body_rate_min = 500;               ///< bytes per second
constexpr auto http_idle_timeout = 15s;                         ///< keep-alive without a request
constexpr auto http_write_deadline = 30s;                       ///< a client that does not read its answer
constexpr std::uint32_t http_requests_per_connection_max = 1000000; ///< then closed, so that load moves
constexpr std::size_t http_connections_max = 12000;
constexpr std::size_t http_connections_per_client_max = 256; ///< of one address that is not loopback
constexpr auto http_request_timeout_default = 30s;           ///< of a route whose processor names none
constexpr std::size_t http_gzip_bytes_min = 1024;            ///< a shorter answer is not worth it
constexpr auto websocket_ping_interval = 20s;
constexpr std::size_t websocket_unsent_bytes_max = 1u << 20; ///< a client that reads slower is closed
constexpr std::uint32_t websocket_connections_max_default =
  10'000; ///< per replica; what one public listener takes
constexpr std::size_t room_name_bytes_max = 256;
constexpr std::size_t rooms_per_connection_max = 100; ///< that it is in at once

// Batches
constexpr std::uint64_t batch_split_bytes_min = 4u << 10;     ///< of the source; each costs a commit or two
constexpr std::uint64_t batch_split_bytes_default = 8u << 20; ///< what a crash repeats, per thread
constexpr std::uint64_t batch_split_bytes_max = 1u << 30;
constexpr std::uint64_t batch_splits_aim = 64;     ///< a small file is cut finer, so that all can help
constexpr std::uint64_t batch_splits_max = 50'000; ///< of one run: they are planned in one commit
constexpr std::size_t batch_queue_result_bytes_max = 16u << 20; ///< of a split into a queue: one commit

// Control
constexpr std::size_t artifact_size_bytes_max = 512u << 20;
constexpr std::size_t artifact_chunk_bytes = 1u << 20;
constexpr std::size_t events_kept_max = 10000;     ///< oldest are dropped from the head's store
constexpr std::size_t flow_versions_kept_max = 10; ///< rollback reaches this far

} // namespace sluice::limits
