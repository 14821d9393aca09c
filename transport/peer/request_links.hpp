#pragma once

#include "transport/link/link.hpp"
#include "transport/peer/request_relay.hpp"
#include "actors/ingress/ingress_protocol.hpp"
#include "actors/ingress/target_port.hpp"

#include <sluice/core/limits.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

/// Requests between the nodes of a cluster: links that carry nothing else, beside those to the head,
/// which must never wait behind a body.
namespace sluice::peer {

/// Of messages to rooms, per link that is being made.
constexpr std::size_t room_bytes_waiting_max = 4u << 20;

/// This node's links to other nodes' replicas: one per node, made with the first request for it, kept
/// while it is used. Any thread.
///
/// Requests that come while a link is being made wait for it, for at most the connector's
/// deadline; those that come during the pause after a failure are refused as `unavailable`. A link
/// that breaks drops what it had.
class request_links {
public:
  using clock = std::chrono::steady_clock;

  struct options {
    /// Makes a connector to the node of this id at "host:port", none if that is no address.
    std::function<std::shared_ptr<link::connector>(const node_id& node, const std::string& address)>
      connector;
    std::function<clock::time_point()> now = [] { return clock::now(); };
    /// A message of a room did not get to one node. Any thread; must not block.
    std::function<void(const flow_name&, const processor_name&)> on_room_message_lost =
      [](const flow_name&, const processor_name&) {};
    std::chrono::nanoseconds idle_max = std::chrono::seconds{60}; ///< then a link is closed
  };

  explicit request_links(options with) : options_(std::make_shared<const options>(std::move(with))) {}
  /// Closes all links.
  ~request_links();
  request_links(const request_links&) = delete;
  request_links& operator=(const request_links&) = delete;

  /// Where requests for a replica on another node go; none without an address.
  ingress::target_ptr reach(const ingress::route_target& where);

  /// Brings a message of a room to other ingresses, each at most once: it is lost, and `on_room_message_lost` told, where
  /// there is no link and none can be made, and when `room_bytes_waiting_max` wait for one. What a link that breaks had
  /// is not known.
  void publish(const ingress::room_message& what, const std::vector<ingress::ingress_node>& to);

  /// Closes links that nobody has used for long. To be called every few seconds.
  void tick();

  /// Links that are up.
  std::size_t open_count() const;

private:
  class node_link;
  class remote_target;

  std::shared_ptr<node_link> link_to(const node_id& node, const std::string& address);

  const std::shared_ptr<const options> options_;
  mutable std::mutex mutex_;
  std::map<std::pair<node_id, std::string>, std::shared_ptr<node_link>> links_;
};

/// The other end: takes links from nodes and gives their requests to the replicas here. Any thread.
class request_door {
public:
  /// `find` is called on the links' thread for replicas of this node; none = no such replica here. It must
  /// never lead to another node: requests go one step.
  /// @param rooms get what other nodes tell the rooms of this one
  explicit request_door(std::function<ingress::target_ptr(replica_id)> find,
                        std::shared_ptr<ingress::rooms_port> rooms = {});
  /// Closes all links.
  ~request_door();
  request_door(const request_door&) = delete;
  request_door& operator=(const request_door&) = delete;

  void serve(link::connection_ptr link);

  std::size_t open_count() const;

private:
  struct open_links;

  const std::function<ingress::target_ptr(replica_id)> find_;
  const std::shared_ptr<ingress::rooms_port> rooms_;
  const std::shared_ptr<open_links> links_;
};

} // namespace sluice::peer
