#pragma once

#include "transport/link/link.hpp"
#include "actors/ingress/rooms_port.hpp"

#include <sluice/core/result.hpp>
#include <sluice/processor/request_body.hpp>
#include <sluice/processor/websocket_session.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

/// WebSockets over a link. One begins as a request: the end with the replica accepts it instead of answering, and from
/// then on frames with the request's id go both ways: messages as they are, what was taken of them, and the end.
///
/// The end with the client keeps its side until the other one releases it, so that a replica can tell a room who has
/// gone. Each side holds back who sends faster than the other takes.
namespace sluice::peer {

/// The end that has the clients. Any thread.
class websocket_callers : public std::enable_shared_from_this<websocket_callers> {
public:
  /// The other end makes a WebSocket of this request.
  void accept(std::uint64_t id, exchange& call, const link::connection_ptr& to);

  /// Takes a frame of a WebSocket; false if it is none.
  bool take(link::frame& in);

  /// The link is gone, and with it what served the clients: each is told to connect again (`restart`).
  void closed();

  bool empty() const;

private:
  class relayed;
  class entrance;

  std::shared_ptr<relayed> find(std::uint64_t id) const;
  void forget(std::uint64_t id);

  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<relayed>> all_;
};

/// The end that has the sessions, or knows the way to them. Any thread.
class websocket_servers : public std::enable_shared_from_this<websocket_servers> {
public:
  /// Tells the other end that `session` accepts the request. What happens comes later; if the client has gone
  /// meanwhile, nothing does.
  void accept(std::uint64_t id, std::shared_ptr<websocket_session> session, link::connection_ptr to);

  /// As above.
  bool take(link::frame& in);
  /// The link is gone: so are the clients.
  void closed();

private:
  class way;
  struct entry {
    std::shared_ptr<websocket_session> session; ///< none once it has heard the end
    link::connection_ptr to;
    std::weak_ptr<way> back = {}; ///< none before it is open
    bool is_open = false;
  };

  std::shared_ptr<websocket_session> session_of(std::uint64_t id) const;
  std::shared_ptr<way> way_of(std::uint64_t id) const;
  void on_opened(std::uint64_t id);
  void on_closed(std::uint64_t id, std::uint16_t code, std::string_view reason);
  void forget(std::uint64_t id);

  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, entry> all_;
};

/// The body of a `room_message` frame.
std::string encode(const ingress::room_message& what);
result<ingress::room_message> decode_room_message(std::string_view bytes);

} // namespace sluice::peer
