#pragma once

#include "transport/link/asio_link.hpp"
#include "transport/peer/request_relay.hpp"
#include "transport/process/unique_fd.hpp"
#include "actors/node/host_launcher_port.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <caf/fwd.hpp>

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace sluice::daemon {

/// A node's ends of the links to its hosts: for each new host, says hello over the socket it
/// inherited and spawns the peer that stands for it. The peers end with their links.
///
/// A host reaches the queues through here, always as itself: the peer stamps node and
/// host id on every lease request.
class host_links {
public:
  /// `io` and `sys` must outlive it.
  host_links(caf::actor_system& sys, const link::io_thread& io, node_id node, queue::handle queue)
    : sys_(sys), io_(io), node_(std::move(node)), queue_(std::move(queue)) {}

  /// Where requests for a replica of this flow go; none while its host is not connected. Any thread.
  ingress::target_ptr reach(const flow_name& flow, flow_version version, replica_id replica) const;

  /// Called by the launcher for a process that just started; does not block. Any thread.
  void connect(const node::launch_order& order, process::unique_fd socket, const node::host_observer& to);

private:
  struct attempt;
  /// Outlives the rest: a link that is being made may tell of its end a last time.
  struct open_callers {
    std::mutex mutex; ///< of the attempts, too
    std::map<std::pair<flow_name, flow_version>, std::shared_ptr<peer::request_caller>> all;
  };

  void forget_finished();

  caf::actor_system& sys_;
  const link::io_thread& io_;
  const node_id node_;
  const queue::handle queue_;
  const std::shared_ptr<open_callers> callers_ = std::make_shared<open_callers>();
  std::list<std::shared_ptr<attempt>> attempts_;
};

} // namespace sluice::daemon
