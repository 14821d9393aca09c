#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

/// Every bound of the system, named, with its reason. A full one pushes back on
/// who fills it; none is passed over silently.
namespace sluice::limits {

using namespace std::chrono_literals;

// Records
constexpr std::size_t record_size_bytes_max = 16u << 20;  ///< one payload; larger belongs in an object store
constexpr std::size_t block_count_max = 4096;             ///< records per request: bounds one transaction
constexpr std::size_t block_size_bytes_max = 4u << 20;    ///< target size of a block; one larger record travels alone

// Links
constexpr std::size_t frame_size_bytes_max = 32u << 20;   ///< believed from a peer, before anything is allocated
constexpr std::size_t link_window_bytes = 64u << 20;      ///< unsent bytes per link before requests are refused
constexpr auto handshake_deadline = 5s;                   ///< accept to hello
constexpr auto ping_interval = 500ms;
constexpr auto silence_timeout = 6s;                      ///< a link that says nothing for this long is cut

// Membership
constexpr auto heartbeat_interval = 500ms;
constexpr auto suspect_after = 1500ms;                    ///< silence until a node is suspect: no new work
constexpr auto dead_after = 4s;                           ///< silence until its work goes elsewhere

// Delivery
constexpr auto lease_visibility = 30s;                    ///< unrenewed lease until redelivery
constexpr auto retry_delay_min = 200ms;                   ///< first retry; doubles, full jitter
constexpr auto retry_delay_max = 30s;
constexpr std::uint32_t attempts_max_default = 5;
constexpr std::size_t error_text_bytes_max = 4096;        ///< kept per failed attempt

// Hosts
constexpr std::uint32_t host_restarts_max = 5;            ///< within the window, then crash loop
constexpr auto host_restart_window = 60s;
constexpr auto host_backoff_min = 100ms;
constexpr auto host_backoff_max = 5min;
constexpr std::size_t crash_log_lines_max = 200;
constexpr std::size_t log_file_bytes_max = 8u << 20;      ///< then rotated
constexpr std::size_t log_files_max = 4;                  ///< per host
constexpr std::size_t log_line_bytes_max = 16u << 10;     ///< a longer line is cut
constexpr auto drain_timeout = 30s;

// Control
constexpr std::size_t artifact_size_bytes_max = 512u << 20;
constexpr std::size_t artifact_chunk_bytes = 1u << 20;
constexpr std::size_t events_kept_max = 10000;            ///< oldest are dropped from the head's store
constexpr std::size_t flow_versions_kept_max = 10;        ///< rollback reaches this far

} // namespace sluice::limits
