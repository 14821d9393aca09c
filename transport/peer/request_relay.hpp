#pragma once

#include "transport/peer/peer.hpp"
#include "transport/peer/websocket_relay.hpp"
#include "actors/ingress/rooms_port.hpp"
#include "actors/ingress/target_port.hpp"

#include <sluice/processor/request_body.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

/// Requests over a link, beside its peer actor. One frame brings the request, one the whole answer;
/// a streamed answer is a `begin`, parts and an `end`, held back by what the client has taken.
///
/// A collector's replica may tell, before its answer, that user code is done with the request. Where its sink is a queue one frame brings
/// back what it made instead of an answer: the end that has the client sees to the rest.
///
/// An `error` frame as answer with `overloaded`, `shutting_down` or `unavailable` says that user
/// code has not begun; any other that the request was lost. A request may also become a WebSocket:
/// websocket_relay.hpp.
namespace sluice::peer {

/// The end that has the client: gives requests to replicas behind the link. Any thread.
class request_caller final : public side_channel, public std::enable_shared_from_this<request_caller> {
public:
  /// Where requests for this replica go. Without a link they are refused as `unavailable`; when it breaks
  /// those under way are dropped.
  ingress::target_ptr target_for(replica_id replica);

  bool is_open() const;
  /// It had a link and has none any more.
  bool has_closed() const;

  /// For the members of a room at the other end, if that is an ingress. False: there is no link, it is lost.
  bool send_room_message(std::string body);

  /// Gives the link up if no request is under way and no WebSocket open: what comes from now on is refused until the
  /// next `opened`. Returns whether it did.
  bool leave_if_unused();

  void opened(link::connection_ptr connection) override;
  bool take(link::frame& in) override;
  void closed(const failure& why) override;

private:
  struct pending {
    exchange_ptr call;
    bool is_stream = false;       ///< its answer has begun and goes on
    std::size_t untold_bytes = 0; ///< of parts that the client took and the other end does not know of
  };
  class target;

  void submit(replica_id replica, exchange_ptr call);
  void on_part(std::uint64_t id, std::string part);
  void tell_taken(std::uint64_t id);
  void cancel(std::uint64_t id);
  void accept_websocket(std::uint64_t id);
  exchange_ptr find_stream(std::uint64_t id);
  exchange_ptr find(std::uint64_t id) const;
  exchange_ptr remove(std::uint64_t id);
  bool send_notice(method what, std::uint64_t id, std::string body = {});

  mutable std::mutex mutex_;
  link::connection_ptr connection_;
  bool closed_ = false;
  std::uint64_t id_last_ = side_channel_id;
  std::unordered_map<std::uint64_t, pending> pending_;
  const std::shared_ptr<websocket_callers> websockets_ = std::make_shared<websocket_callers>();
};

/// The end that has the replicas, or knows the way to them.
class request_server final : public side_channel, public std::enable_shared_from_this<request_server> {
public:
  /// `find` is called on the link's thread; none = no such replica here.
  /// @param rooms get what other nodes tell the rooms here; none = nobody may tell them anything
  explicit request_server(std::function<ingress::target_ptr(replica_id)> find,
                          std::shared_ptr<ingress::rooms_port> rooms = {})
    : find_(std::move(find)), rooms_(std::move(rooms)) {}

  void opened(link::connection_ptr connection) override;
  bool take(link::frame& in) override;
  void closed(const failure& why) override;

private:
  class served;

  void on_request(link::frame& in);
  std::shared_ptr<served> find_call(std::uint64_t id) const;
  void forget(std::uint64_t id);

  const std::function<ingress::target_ptr(replica_id)> find_;
  const std::shared_ptr<ingress::rooms_port> rooms_;
  mutable std::mutex mutex_;
  link::connection_ptr connection_;
  std::unordered_map<std::uint64_t, std::weak_ptr<served>> calls_;
  const std::shared_ptr<websocket_servers> websockets_ = std::make_shared<websocket_servers>();
};

} // namespace sluice::peer
