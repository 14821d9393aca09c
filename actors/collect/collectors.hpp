#pragma once

#include "actors/collect/collector_port.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <sluice/core/ids.hpp>

#include <caf/actor_system.hpp>
#include <caf/typed_actor.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

namespace sluice::collect {

/// Who writes the results of this process's collectors to queues: an actor for each processor and queue.
///
/// Made and owned by who runs the HTTP server, with whose requests the results come: the process that has the clients also
/// hears first what is stored, and none of it passes the host again, which may be gone by then. Any thread.
class collectors {
public:
  /// @param sys outlives `close`
  /// @param queue the queue actor, or the peer that stands for it
  /// @param incarnation differs from that of every other process, and every other run of this one
  collectors(caf::actor_system& sys, queue::handle queue, std::uint64_t incarnation);
  ~collectors() { close(); }
  collectors(const collectors&) = delete;
  collectors& operator=(const collectors&) = delete;

  /// None once it is closed.
  collector_ptr find(const flow_name& flow, const processor_name& processor, const queue_name& queue);

  /// Gives up what waits still. Requests may be on their way here until the threads that bring them have ended: so those own this.
  void close();

private:
  using key = std::tuple<flow_name, processor_name, queue_name>;

  caf::actor_system& sys_;
  const std::uint64_t incarnation_;
  std::mutex mutex_; ///< guards all below
  queue::handle queue_;
  bool is_closed_ = false;
  std::map<key, std::weak_ptr<collector_port>> open_;
  std::vector<caf::actor_addr> actors_; ///< those that may live
  std::uint64_t made_ = 0;
};

} // namespace sluice::collect
