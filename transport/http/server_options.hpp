#pragma once

#include <sluice/core/limits.hpp>
#include <sluice/http/message.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::link {
class io_core;
} // namespace sluice::link

namespace sluice::http {

/// What the server believes, waits for and keeps. The defaults are those of the public listener;
/// each can be set for a test.
struct server_limits {
  std::size_t line_bytes_max = limits::http_line_bytes_max;
  std::size_t headers_bytes_max = limits::http_headers_bytes_max;
  std::size_t fields_max = limits::http_fields_max;
  std::size_t chunk_extension_bytes_max = limits::http_chunk_extension_bytes_max; ///< per body

  std::chrono::milliseconds handshake_deadline = limits::handshake_deadline; ///< TLS, from accept
  std::chrono::milliseconds head_deadline = limits::http_head_deadline;      ///< absolute
  std::chrono::milliseconds body_deadline = limits::http_body_deadline;      ///< plus what the rate allows
  std::uint32_t body_rate_min = limits::http_body_rate_min;                  ///< bytes per second
  std::chrono::milliseconds idle_timeout = limits::http_idle_timeout;
  std::chrono::milliseconds write_deadline = limits::http_write_deadline; ///< plus what the rate allows

  std::uint32_t requests_per_connection_max = limits::http_requests_per_connection_max;
  std::size_t connections_max = limits::http_connections_max;
  std::size_t connections_per_client_max = limits::http_connections_per_client_max;
  std::size_t answers_bytes_max =
    256u
    << 20; ///< made and not read by their clients, over all of them; then 503, and who reads slowly is cut
  double client_rate_max =
    0; ///< requests per second of one client (IPv4 address, IPv6 /64), then 429; 0 = any
  std::uint32_t client_burst_max = 0; ///< of them at once; 0 = those of one second, at least 1
  std::size_t gzip_bytes_min = limits::http_gzip_bytes_min;

  std::chrono::milliseconds websocket_ping_interval = limits::websocket_ping_interval; ///< unanswered: cut
};

/// One answered request. The texts are valid during the call only.
struct access_entry {
  std::string_view client; ///< "address:port"
  std::string_view method; ///< as sent
  std::string_view path;   ///< without the query, which may hold secrets
  std::string_view id;
  std::string_view processor;         ///< "flow/processor"; empty = no route
  unsigned status = 0;                ///< 0: the client went before its answer began
  std::uint64_t bytes_in = 0;         ///< of the request's body, as it came over the wire
  std::uint64_t bytes = 0;            ///< of the answer's body, as put on the wire
  std::chrono::microseconds taken{0}; ///< head read to answer handed to the socket
  std::uint64_t replica = 0;          ///< that answered, or had it last; 0 = none
  std::uint32_t attempts = 0;         ///< replicas that were given it
};

struct listen_address {
  std::string host = "127.0.0.1"; ///< numeric, or "localhost"
  std::uint16_t port = 0;         ///< 0 picks a free one
};

struct server_options {
  std::vector<listen_address> addresses = {{}};
  std::string address_hint =
    {}; ///< what helps against an address that cannot be listened on: ends such an error
  std::size_t threads = 1;
  /// The first of the threads, if the server is to share one that there is; stopped after the server. None: all are its own.
  std::shared_ptr<link::io_core> io = {};
  server_limits limits = {};

  /// PEM files, the certificate with its chain. Both or none; with them every address speaks TLS.
  std::string certificate_file = {};
  std::string key_file = {};

  bool gzip = true;

  /// Descriptors that this process may have. 0 = the soft limit at start (RLIMIT_NOFILE). At
  /// nine tenths of it accepting pauses.
  std::size_t descriptors_max = 0;

  /// Called on an io thread after each request; must not block. May be empty.
  std::function<void(const access_entry&)> on_access = {};
  /// Called on an io thread for what an operator should know (no descriptors left). May be empty.
  std::function<void(std::string_view)> on_trouble = {};
};

} // namespace sluice::http
