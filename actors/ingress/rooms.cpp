#include "actors/ingress/rooms.hpp"

#include <sluice/codec/utf8.hpp>

namespace sluice::ingress {

/// The way that a session gets: the connection's own, and the rooms.
class rooms::member_way final : public websocket {
public:
  member_way(std::shared_ptr<rooms> all, room_key scope, websocket_ptr to, member_id id)
    : all_(std::move(all)), scope_(std::move(scope)), to_(std::move(to)), id_(id) {}
  ~member_way() override { all_->remove(id_); }

  bool send_text(std::string message) noexcept override { return to_->send_text(std::move(message)); }
  bool send_binary(std::string message) noexcept override { return to_->send_binary(std::move(message)); }
  bool send_shared(const websocket_message& message) noexcept override { return to_->send_shared(message); }
  std::size_t waiting_bytes() const noexcept override { return to_->waiting_bytes(); }
  void when_writable(std::function<void()> resume) noexcept override {
    to_->when_writable(std::move(resume));
  }
  void taken(std::size_t bytes) noexcept override { to_->taken(bytes); }
  void close(std::uint16_t code, std::string_view reason) noexcept override { to_->close(code, reason); }

  void join(std::string room) noexcept override { all_->join(id_, key_of(std::move(room))); }
  void leave(std::string room) noexcept override { all_->leave(id_, key_of(std::move(room))); }
  void broadcast(room_cast what) noexcept override {
    all_->broadcast(
      id_, {scope_.flow, scope_.processor, std::move(what.room), std::move(what.payload), what.is_text},
      what.to_self);
  }

private:
  room_key key_of(std::string room) const { return {scope_.flow, scope_.processor, std::move(room)}; }

  const std::shared_ptr<rooms> all_;
  const room_key scope_;
  const websocket_ptr to_;
  const member_id id_;
};

// ---- one connection -------------------------------------------------------------------------

rooms::member::~member() { end(); }

void rooms::member::end() {
  if (auto ended = std::exchange(ended_, nullptr))
    ended();
}

void rooms::member::on_open(websocket_ptr to) {
  {
    std::lock_guard lock{all_->mutex_};
    id_ = member_id{++all_->id_last_};
    all_->state_.add(id_, to);
  }
  session_->on_open(std::make_shared<member_way>(all_, scope_, std::move(to), id_));
}

void rooms::member::on_message(std::string message, bool is_text) {
  session_->on_message(std::move(message), is_text);
}

void rooms::member::on_close(std::uint16_t code, std::string_view reason) {
  all_->remove(id_); // what the session tells the rooms now, it does not hear itself
  session_->on_close(code, reason);
  end();
}

// ---- all of them ----------------------------------------------------------------------------

std::shared_ptr<rooms::member> rooms::enter(flow_name flow, processor_name processor,
                                            std::shared_ptr<websocket_session> session,
                                            std::function<void()> ended) {
  return std::make_shared<member>(shared_from_this(), room_key{std::move(flow), std::move(processor), {}},
                                  std::move(session), std::move(ended));
}

std::size_t rooms::connection_count() const {
  std::lock_guard lock{mutex_};
  return state_.member_count();
}

void rooms::join(member_id id, const room_key& key) {
  std::lock_guard lock{mutex_};
  state_.join(id, key);
}

void rooms::leave(member_id id, const room_key& key) {
  std::lock_guard lock{mutex_};
  state_.leave(id, key);
}

void rooms::remove(member_id id) {
  std::optional<websocket_ptr> way; // goes after the lock
  std::lock_guard lock{mutex_};
  way = state_.remove(id);
}

void rooms::broadcast(member_id from, room_message what, bool to_self) {
  if (what.room.empty() || what.room.size() > limits::room_name_bytes_max)
    return;
  if (what.is_text && !codec::is_utf8(what.payload))
    what.payload = codec::to_utf8(what.payload);
  if (publish_)
    publish_(what);
  const room_key key{std::move(what.flow), std::move(what.processor), std::move(what.room)};
  send(key, {std::make_shared<const std::string>(std::move(what.payload)), what.is_text},
       to_self ? member_id{} : from);
}

void rooms::deliver(room_message what) {
  const room_key key{std::move(what.flow), std::move(what.processor), std::move(what.room)};
  send(key, {std::make_shared<const std::string>(std::move(what.payload)), what.is_text}, {});
}

void rooms::note_lost(const flow_name& flow, const processor_name& processor) {
  std::lock_guard lock{mutex_};
  ++lost_[{flow, processor}];
}

std::uint64_t rooms::lost_total(const flow_name& flow, const processor_name& processor) const {
  std::lock_guard lock{mutex_};
  auto found = lost_.find({flow, processor});
  return found == lost_.end() ? 0 : found->second;
}

/// To the members of this ingress.
void rooms::send(const room_key& to, const websocket_message& what, member_id but) {
  room_state<websocket_ptr>::member_list members;
  {
    std::lock_guard lock{mutex_};
    members = state_.members(to);
  }
  if (!members)
    return;
  for (const auto& each : *members) {
    if (each.id == but)
      continue;
    if (each.way->waiting_bytes() > limits::websocket_unsent_bytes_max)
      each.way->close(websocket_code::try_later, "it does not read what is sent");
    else
      each.way->send_shared(what);
  }
}

} // namespace sluice::ingress
