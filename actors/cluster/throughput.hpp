#pragma once

#include "actors/node/node_protocol.hpp"

#include <chrono>
#include <deque>
#include <map>
#include <set>
#include <string>

namespace sluice::cluster {

/// Adds up what replicas report, per processor, over all replicas there have been.
///
/// A replica counts from 0 and its host may be started again, so a number that went
/// back is a new start and counts in full. What a replica has done before its first report is in the sums and not in
/// the rates. Pure; owned by the cluster actor.
class throughput {
public:
  using time_point = std::chrono::steady_clock::time_point;
  using key = std::pair<flow_name, processor_name>;

  /// What went wrong in one version of a flow: the next one begins without it.
  struct error_sum {
    std::uint64_t failed_total = 0;
    std::string last_error;
  };

  /// Rates are taken over this long.
  static constexpr std::chrono::seconds window{5};

  void add(const node::node_report& report);

  /// Notes where the sums stand; to be called about twice a second.
  void sample(time_point now);

  /// Over all versions.
  std::uint64_t processed_total(const key& processor) const;
  error_sum errors_of(const key& processor, flow_version version) const;
  double rate_per_s(const key& processor) const;

  /// Requests of a processor that ingresses have brought to an end.
  struct request_sum {
    std::uint64_t answered_total = 0;
    std::uint64_t client_errors_total = 0;      ///< 4xx
    std::uint64_t server_errors_total = 0;      ///< 5xx, and answers that broke off
    std::uint64_t turned_away_total = 0;        ///< found no room in time; server errors as well
    std::uint64_t room_messages_lost_total = 0; ///< did not get to another node; counted per node
    std::chrono::microseconds p50{0};           ///< of the window; 0 if nothing was answered in it
    std::chrono::microseconds p99{0};
  };
  request_sum requests_of(const key& processor) const;

  /// Forgets the processors of flows that are no more, and the errors of versions that are not.
  void keep_only(const std::map<flow_name, std::set<flow_version>>& flows);

  /// Forgets a node; its sums stay.
  void forget(const node_id& node) {
    seen_.erase(node);
    loads_seen_.erase(node);
  }

private:
  struct counters {
    std::uint64_t processed = 0;
    std::uint64_t failed = 0;
    std::string error; ///< its last
  };
  struct entry {
    std::uint64_t processed_total = 0;
    std::map<flow_version, error_sum> errors;
    std::deque<std::pair<time_point, std::uint64_t>> samples; ///< oldest first, covering the window
  };
  struct request_entry {
    ingress::processor_load total;
    std::deque<std::pair<time_point, ingress::latency_histogram>> samples; ///< as above
  };

  void add_requests(const node::node_report& report);

  std::map<key, entry> processors_;
  std::map<node_id, std::map<std::pair<host_id, replica_id>, counters>> seen_; ///< of the last report
  std::map<key, request_entry> requests_;
  std::map<node_id, std::map<key, ingress::processor_load>> loads_seen_; ///< likewise
};

} // namespace sluice::cluster
