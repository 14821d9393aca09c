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

std::string reason_of(const host_status& host) {
  const bool runs = host.phase == host_phase::running;
  return host.detail.empty() && host.last_crash && !runs ? host.last_crash->reason : host.detail;
}

std::string wait_text(const host_status& host) {
  if (host.starts_in.count() <= 0)
    return {};
  return "; starts again in "
         + std::to_string(std::chrono::ceil<std::chrono::seconds>(host.starts_in).count()) + " s";
}

std::string describe(const host_status& host) { return reason_of(host) + wait_text(host); }

} // namespace sluice::node
