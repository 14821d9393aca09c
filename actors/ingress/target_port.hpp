#pragma once

#include <sluice/core/ids.hpp>
#include <sluice/processor/request_body.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

namespace sluice::ingress {

/// Where the requests for one replica go: its own queue, in its process, or the link that leads to
/// it. Requests do not pass through a mailbox: at tens of thousands a second each hop costs.
class target_port {
public:
  virtual ~target_port() = default;

  /// Takes a request; the exchange learns what became of it, possibly before this returns.
  /// Never blocks. Any thread.
  ///
  /// Answering, refusing and dropping a request may bring the next one to this very function: not
  /// to be done under a lock that it takes.
  virtual void submit(exchange_ptr call) = 0;
};

using target_ptr = std::shared_ptr<target_port>;

/// The replicas of one process that take requests. Shared between the host actor, which adds
/// and removes them, and whoever brings requests. Any thread.
class local_targets {
public:
  void add(replica_id id, target_ptr target) {
    std::unique_lock lock{mutex_};
    targets_[id] = std::move(target);
  }
  void remove(replica_id id) {
    std::unique_lock lock{mutex_};
    targets_.erase(id);
  }
  /// None if it is not here (any more).
  target_ptr find(replica_id id) const {
    std::shared_lock lock{mutex_};
    auto found = targets_.find(id);
    return found == targets_.end() ? nullptr : found->second;
  }

private:
  mutable std::shared_mutex mutex_;
  std::map<replica_id, target_ptr> targets_;
};

} // namespace sluice::ingress
