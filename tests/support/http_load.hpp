#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

/// Load for an HTTP server on loopback: many keep-alive connections on one thread, each with one request at a
/// time, at as little cost per request as a client can have. For benchmarks, and for tests of what a
/// change of the cluster does to requests under way. A closed loop (the next request when the answer is there) says how much a
/// server can do; its latency is that of a server that is always full. An open one says what a server adds to a request.
namespace sluice::testing {

struct load_options {
  std::vector<std::uint16_t> ports; ///< connections go to them in turn
  std::size_t connections = 1;
  /// Whole requests, HTTP/1.1 without "Connection: close"; each connection sends them in turn.
  std::vector<std::string> requests;
  /// Not empty: opens a WebSocket on each connection, and `requests` are frames, each answered by one.
  std::string opening = {};
  std::chrono::nanoseconds warm_up{0};  ///< what ends within it is not counted
  std::chrono::nanoseconds duration{0}; ///< after the warm-up; 0 = until stopped
  std::chrono::nanoseconds pause{0};    ///< between an answer and the next request of a connection
  /// Not 0: an open loop. So many requests a second fall due, at even distances, however fast the server answers; each goes to the
  /// connection that has been free longest, waits for one if there is none, and is timed from when it was due.
  double per_s = 0;
};

struct load_report {
  std::uint64_t count = 0; ///< complete answers
  /// By index of the request: answers by status; 0 = the connection ended with the request under way.
  std::vector<std::map<unsigned, std::uint64_t>> by_status;
  std::string first_failure;   ///< status line and body of the first answer that was not 2xx
  std::vector<float> taken_us; ///< of each answer, sorted
  double seconds = 0;
  double own_cpu_s = 0; ///< processor time of the load itself

  double per_s() const { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }
  /// @param part 0.5 = the median; 0 without answers
  double quantile_us(double part) const;
  /// Answers to this request that were not 2xx, lost ones included.
  std::uint64_t failed(std::size_t request) const;
};

/// Runs until the duration is over or `stop` is set; then waits for what is under way, at most 10 s. A connection that the
/// server ends is opened again. `progress` counts answers meanwhile. Throws `std::runtime_error` if it cannot connect.
load_report run_load(const load_options& options, const std::atomic<bool>& stop,
                     std::atomic<std::uint64_t>& progress);
load_report run_load(const load_options& options);

/// A socket connected to a port of this machine. Throws `std::runtime_error`.
int connect_to_loopback(std::uint16_t port);
/// The same, with an open WebSocket. @param opening its request
int connect_websocket(std::uint16_t port, const std::string& opening);

/// As many open files as this process may have. Returns that number.
std::size_t raise_descriptor_limit();

} // namespace sluice::testing
