#include "runtime/daemon/host_links.hpp"

#include "runtime/daemon/identity.hpp"
#include "transport/peer/peer.hpp"
#include "transport/process/host_environment.hpp"

#include <sluice/core/version.hpp>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>

#include <atomic>

namespace sluice::daemon {

/// Keeps a connector until its one attempt is over.
struct host_links::attempt {
  std::unique_ptr<link::connector> connector;
  std::atomic<bool> finished{false};
};

void host_links::forget_finished() {
  attempts_.remove_if([](const std::shared_ptr<attempt>& one) { return one->finished.load(); });
}

ingress::target_ptr host_links::reach(const flow_name& flow, flow_version version, replica_id replica) const {
  std::lock_guard guard{callers_->mutex};
  auto found = callers_->all.find({flow, version});
  if (found == callers_->all.end() || !found->second->is_open())
    return nullptr;
  return found->second->target_for(replica);
}

void host_links::connect(const node::launch_order& order, process::unique_fd socket,
                         const node::host_observer& to) {
  link::link_options options;
  options.self = {.role = link::peer_role::node,
                  .cluster_id = {}, // the inherited socket is the proof
                  .name = node_.value,
                  .started = make_incarnation(),
                  .sluice_version = SLUICE_VERSION};
  options.timing.handshake_deadline = limits::host_start_deadline; // the program may be slow to load
  options.timing.silence_timeout = limits::host_silence_timeout;
  options.expect_role = link::peer_role::host;
  auto mine = std::make_shared<attempt>();
  auto caller = std::make_shared<peer::request_caller>();
  mine->connector = link::make_fd_connector(io_, socket.release(), link::fd_end::parent, std::move(options));
  {
    std::lock_guard guard{callers_->mutex};
    forget_finished();
    attempts_.push_back(mine);
    // One host per flow and version: this one takes the place of those before, which have ended.
    std::erase_if(callers_->all, [](const auto& each) { return each.second->has_closed(); });
    callers_->all[{order.flow.flow, order.flow.version}] = caller;
  }
  auto host = order.host;
  auto unreachable = [to, host](const failure& why) {
    caf::anon_send(to, node::host_unreachable{host, why.message});
  };
  std::weak_ptr<attempt> done = mine;
  mine->connector->connect([callers = callers_, &sys = sys_, id = node_, queues = queue_, host, to,
                            unreachable, done, caller](result<link::connection_ptr> made) {
    if (auto one = done.lock())
      one->finished = true;
    if (!made) {
      {
        std::lock_guard guard{callers->mutex};
        std::erase_if(callers->all, [&](const auto& each) { return each.second == caller; });
      }
      return unreachable(made.error());
    }
    peer::options peer;
    peer.local.host_owner = to;
    peer.local.queue = queues;
    peer.established = std::move(*made);
    peer.acts_as = queue::owner_id{id, host, {}};
    peer.on_down = unreachable;
    peer.beside = caller;
    caf::anon_send(to, node::host_connected{host, peer::spawn(sys, std::move(peer))});
  });
}

} // namespace sluice::daemon
