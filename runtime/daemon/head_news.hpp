#pragma once

#include "actors/cluster/cluster_protocol.hpp"

#include <mutex>
#include <string>
#include <vector>

namespace sluice::daemon {

/// The way of what parts of the head notice to the events of its cluster actor, which starts after them: what
/// comes before is kept until then. Any thread.
class head_news {
public:
  /// Severity as in `cluster::event_view`.
  void tell(std::string severity, std::string text);

  void begin(cluster::handle to);
  /// What comes later is dropped. Before the actor's system goes.
  void end();

private:
  std::mutex mutex_;
  bool is_over_ = false;
  cluster::handle to_;
  std::vector<cluster::head_event> early_;
};

} // namespace sluice::daemon
