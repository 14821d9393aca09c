#pragma once

#include "transport/link/link.hpp"
#include "transport/peer/wire.hpp"
#include "actors/cluster/cluster_protocol.hpp"
#include "actors/host/host_protocol.hpp"
#include "actors/node/node_protocol.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_actor.hpp>

#include <functional>
#include <memory>

namespace sluice::peer {

/// Who answers on this side. What is left empty is refused, so a host cannot speak
/// as a node and a node not as the head.
struct services {
  cluster::node_facing_handle cluster;
  node::handle node;
  host::handle host;
  host::node_handle host_owner;
  queue::handle queue;
  /// Reads from this side's artifact store; runs on the peer's actor, so it may
  /// read from disk but not wait for anything else.
  std::function<result<artifact_chunk>(const artifact_request&)> artifacts;
  /// Signs the next certificate of the node at the other end; runs on the peer's actor.
  std::function<result<certificate_grant>(const node_id&, const certificate_request&)> certificates;
};

/// Tells a peer that was spawned with a connector who answers on this side; it connects
/// from then on. Both sides need each other, so one of them must come first.
struct begin {
  using actor_message = void;
  services local;
};

/// One process elsewhere, as an actor here. It takes every message that may cross a
/// link; give it away as the handle that fits what the other side is: the head is a
/// `cluster::node_facing_handle` and a `queue::handle`, a node a `node::handle`, and so on.
///
/// Requests fail with `unavailable` while there is no link and when it breaks with
/// the answer still out; whether the work was done is then unknown, so callers repeat
/// with the same ids. Notices are dropped without a link: everything sent as a notice
/// is level-triggered and comes again.
using handle =
  caf::typed_actor<caf::replies_to<cluster::register_node>::with<cluster::registered>,
                   caf::reacts_to<node::node_report>, caf::reacts_to<cluster::node_leaves>,
                   caf::reacts_to<cluster::node_unreachable>, caf::reacts_to<cluster::host_ended>,
                   caf::reacts_to<node::desired_state>,
                   caf::replies_to<node::log_request>::with<node::log_chunk>,
                   caf::replies_to<node::log_sources_request>::with<node::log_sources_reply>,
                   caf::reacts_to<host::desired_replicas>, caf::reacts_to<host::host_report>,
                   caf::replies_to<queue::append_request>::with<queue::append_reply>,
                   caf::replies_to<queue::lease_request>::with<queue::lease_reply>,
                   caf::replies_to<queue::commit_request>::with<queue::commit_reply>,
                   caf::replies_to<queue::renew_request>::with<queue::count_reply>,
                   caf::replies_to<queue::release_request>::with<queue::count_reply>,
                   caf::replies_to<queue::cursor_request>::with<std::string>,
                   caf::replies_to<artifact_request>::with<artifact_chunk>,
                   caf::replies_to<certificate_request>::with<certificate_grant>, caf::reacts_to<begin>>;

/// Frames that do not pass through the peer's mailbox: requests at tens of thousands a second.
class side_channel {
public:
  virtual ~side_channel() = default;

  /// There is a link from now on; on the peer's actor.
  virtual void opened(link::connection_ptr connection) = 0;
  /// Takes a frame if it is for it. On the link's thread, must not block.
  virtual bool take(link::frame& in) = 0;
  /// There is none any more; on the link's thread.
  virtual void closed(const failure& why) = 0;
};

/// Bit of a request's id that tells the side channel's from the peer's own.
constexpr std::uint64_t side_channel_id = std::uint64_t{1} << 63;

struct options {
  /// A link that was accepted: the peer ends with it. `local` answers on this side. Or
  link::connection_ptr established;
  services local;
  /// a way to make one: the peer connects once it is told to `begin`, and again with
  /// back-off until it is told to exit.
  std::shared_ptr<link::connector> connector;

  /// Uniform in [0, 1); spreads reconnects.
  std::function<double()> random;

  /// The link is up, or up again; called on the peer's actor.
  std::function<void(const link::hello& other, const handle& self)> on_up;
  /// The link broke, or an attempt to make one failed.
  std::function<void(const failure& why)> on_down;

  /// Set for peers that are hosts: in all they send about leases, they are this owner,
  /// whatever they claim.
  std::optional<queue::owner_id> acts_as;

  std::shared_ptr<side_channel> beside; ///< may be none
};

/// Spawns the peer. It owns its link and closes it when it ends.
handle spawn(caf::actor_system& sys, options opts);

} // namespace sluice::peer
