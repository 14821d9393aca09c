#pragma once

#include "actors/ingress/room_state.hpp"
#include "actors/ingress/rooms_port.hpp"

#include <sluice/processor/websocket_session.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace sluice::ingress {

/// The rooms of one ingress: its WebSocket connections join them through the way that their sessions get, and messages
/// go to the members here and, once each, to the other ingresses.
///
/// Made by who runs the HTTP server, before it; outlives all connections by being shared with them. Any thread.
class rooms final : public rooms_port, public std::enable_shared_from_this<rooms> {
public:
  /// @param publish gives a message to the other ingresses; none = there are none. Any thread, must not block.
  explicit rooms(std::function<void(const room_message&)> publish) : publish_(std::move(publish)) {}

  class member;

  /// Puts itself between a connection and `session`, whose way knows the rooms of this processor then. `ended` is
  /// called once, when the connection ends or is given up.
  std::shared_ptr<member> enter(flow_name flow, processor_name processor,
                                std::shared_ptr<websocket_session> session, std::function<void()> ended);

  void deliver(room_message what) override;
  void note_lost(const flow_name& flow, const processor_name& processor) override;

  std::size_t connection_count() const;
  /// Messages of this processor times the nodes that they did not get to.
  std::uint64_t lost_total(const flow_name& flow, const processor_name& processor) const;

private:
  class member_way;

  void join(member_id id, const room_key& key);
  void leave(member_id id, const room_key& key);
  void broadcast(member_id from, room_message what, bool to_self);
  void remove(member_id id);
  void send(const room_key& to, const websocket_message& what, member_id but);

  const std::function<void(const room_message&)> publish_;
  mutable std::mutex mutex_;
  room_state<websocket_ptr> state_;
  std::uint64_t id_last_ = 0;
  std::map<std::pair<flow_name, processor_name>, std::uint64_t> lost_;
};

/// The session that the HTTP server sees.
class rooms::member final : public websocket_session {
public:
  member(std::shared_ptr<rooms> all, room_key scope, std::shared_ptr<websocket_session> session,
         std::function<void()> ended)
    : all_(std::move(all)), scope_(std::move(scope)), session_(std::move(session)), ended_(std::move(ended)) {
  }
  ~member() override;

  /// The connection is not to be after all: `ended` is not called.
  void give_up() noexcept { ended_ = nullptr; }

  void on_open(websocket_ptr to) override;
  void on_message(std::string message, bool is_text) override;
  void on_close(std::uint16_t code, std::string_view reason) override;

private:
  void end();

  const std::shared_ptr<rooms> all_;
  const room_key scope_; ///< without a room
  const std::shared_ptr<websocket_session> session_;
  std::function<void()> ended_;
  member_id id_;
};

} // namespace sluice::ingress
