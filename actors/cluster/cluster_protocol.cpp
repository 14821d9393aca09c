#include "actors/cluster/cluster_protocol.hpp"

namespace sluice::cluster {

std::string_view to_string(node_phase phase) noexcept {
  switch (phase) {
  case node_phase::alive:
    return "alive";
  case node_phase::suspect:
    return "suspect";
  case node_phase::draining:
    return "draining";
  case node_phase::drained:
    return "drained";
  case node_phase::dead:
    return "dead";
  case node_phase::left:
    return "left";
  }
  return "unknown";
}

std::string_view to_string(flow_phase phase) noexcept {
  switch (phase) {
  case flow_phase::starting:
    return "starting";
  case flow_phase::running:
    return "running";
  case flow_phase::updating:
    return "updating";
  case flow_phase::degraded:
    return "degraded";
  case flow_phase::failed:
    return "failed";
  case flow_phase::draining:
    return "draining";
  case flow_phase::drained:
    return "drained";
  case flow_phase::deleting:
    return "deleting";
  case flow_phase::completed:
    return "completed";
  }
  return "unknown";
}

} // namespace sluice::cluster
