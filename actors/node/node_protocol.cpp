#include "actors/node/node_protocol.hpp"

namespace sluice::node {

std::string_view to_string(host_phase phase) noexcept {
  switch (phase) {
  case host_phase::fetching:
    return "fetching";
  case host_phase::starting:
    return "starting";
  case host_phase::running:
    return "running";
  case host_phase::backing_off:
    return "backing_off";
  case host_phase::crash_loop:
    return "crash_loop";
  case host_phase::stopping:
    return "stopping";
  case host_phase::down:
    return "down";
  }
  return "unknown";
}

} // namespace sluice::node
