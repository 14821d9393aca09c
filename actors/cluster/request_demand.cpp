#include "actors/cluster/request_demand.hpp"

#include <algorithm>

namespace sluice::cluster {

request_demand demand_of(const cluster_state& state, const flow_name& flow, const processor_name& processor) {
  request_demand out;
  for (const auto& [id, node] : state.nodes) {
    // What a node that is gone had waiting has gone with it.
    if (!node.report || phase_of(state, node) == node_phase::dead
        || phase_of(state, node) == node_phase::left)
      continue;
    for (const auto& load : node.report->requests) {
      if (load.flow != flow || load.processor != processor)
        continue;
      out.waiting += load.waiting;
      out.ongoing += load.ongoing;
      out.wait_oldest = std::max(out.wait_oldest, load.wait_oldest);
      if (!load.sink_error.empty())
        out.sink_error = load.sink_error;
    }
  }
  return out;
}

} // namespace sluice::cluster
