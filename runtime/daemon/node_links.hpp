#pragma once

#include "transport/link/asio_link.hpp"
#include "transport/peer/request_links.hpp"
#include "actors/ingress/ingress_protocol.hpp"
#include "actors/ingress/rooms_port.hpp"
#include "actors/ingress/target_port.hpp"

#include <sluice/core/result.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace sluice::daemon {

/// A node's links to the other nodes, which carry requests: of clients here to replicas elsewhere, and of
/// clients elsewhere to replicas here. Both sides show their node's certificate.
///
/// Any thread. Destroying it closes all links; what is under way on them is lost, so replicas
/// and clients are drained first.
class node_links {
public:
  struct settings {
    link::link_options link; ///< who this node is
    link::address listen_at; ///< where the others find it
    /// Where requests for a replica of this node go; none if it is not there. On the links' thread, not after
    /// the end of this.
    std::function<ingress::target_ptr(const ingress::route_target&)> here;
    std::shared_ptr<ingress::rooms_port> rooms; ///< get what other nodes tell the rooms of this one
  };

  /// `io` must outlive it. Fails as `link::listen` does.
  static result<std::unique_ptr<node_links>> start(const link::io_thread& io, settings what);
  ~node_links();
  node_links(const node_links&) = delete;
  node_links& operator=(const node_links&) = delete;

  /// "host:port" for other nodes.
  const std::string& address() const noexcept { return address_; }

  /// Where requests for a replica on another node go.
  ingress::target_ptr reach(const ingress::route_target& where) { return links_.reach(where); }

  /// Brings a message of a room to all other nodes.
  void publish(const ingress::room_message& what);

  /// Says which replicas are here, others are refused, and which other nodes there are.
  void set_routes(const ingress::route_table& table);

  /// Closes links that nobody has used for long. Cheap enough to be called all the time.
  void tick();

private:
  /// Replicas of this node that take requests, and the way to them. Outlives the rest: links may
  /// ask a last time.
  struct directory {
    std::mutex mutex;
    std::map<replica_id, ingress::route_target> replicas;
    std::function<ingress::target_ptr(const ingress::route_target&)> way;
    std::shared_ptr<const std::vector<ingress::ingress_node>> others; ///< null = none
  };

  node_links(const link::io_thread& io, const settings& what);

  const node_id id_;
  const std::shared_ptr<directory> directory_ = std::make_shared<directory>();
  peer::request_links links_;
  std::shared_ptr<peer::request_door> door_;
  std::unique_ptr<link::listener> listener_;
  std::string address_;
  std::mutex tick_mutex_;
  std::chrono::steady_clock::time_point ticked_at_{};
};

} // namespace sluice::daemon
