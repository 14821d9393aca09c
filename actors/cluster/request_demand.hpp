#pragma once

#include "actors/cluster/cluster_state.hpp"

#include <sluice/core/ids.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace sluice::cluster {

/// How many requests a processor has to do with at this moment, over all nodes that are heard: what an autoscaler would
/// hold against `target_ongoing_requests` of all replicas. So far it is only shown.
struct request_demand {
  std::uint32_t waiting = 0; ///< at ingresses, while all replicas are busy
  std::uint32_t ongoing = 0; ///< at replicas
  std::chrono::milliseconds wait_oldest{0};
  std::string sink_error = {}; ///< why a queue did not take what was made last; of any node
};

/// Pure; as of each node's last report.
request_demand demand_of(const cluster_state& state, const flow_name& flow, const processor_name& processor);

} // namespace sluice::cluster
