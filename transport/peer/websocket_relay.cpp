#include "transport/peer/websocket_relay.hpp"

#include "transport/peer/wire.hpp"
#include "transport/peer/wire_detail.hpp"
#include "proto/sluice/link/v1/wire.pb.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <utility>
#include <vector>

namespace sluice::peer {

namespace pb = sluice::link::v1;

namespace {

/// What was taken is told of in pieces of about this size; far enough below the window that two links in a row do not
/// hold a writer back for nothing.
constexpr std::size_t taken_told_bytes = stream_window_bytes / 8;

bool send(const link::connection_ptr& to, method what, std::uint64_t id, std::string body = {}) {
  std::vector<link::frame> frames;
  frames.push_back({link::frame_kind::notice, static_cast<std::uint16_t>(what), id, 0, std::move(body)});
  return to->send(std::move(frames)).has_value();
}

std::string encode_close(std::uint16_t code, std::string_view reason) {
  pb::WebSocketClose body;
  body.set_code(code);
  body.set_reason(std::string{reason});
  return body.SerializeAsString();
}

/// A close that cannot be read is one without a word.
std::pair<std::uint16_t, std::string> decode_close(std::string_view bytes) {
  pb::WebSocketClose body;
  if (!detail::parse(bytes, body) || body.code() > UINT16_MAX)
    return {websocket_code::lost, {}};
  return {static_cast<std::uint16_t>(body.code()), body.reason()};
}

std::string encode_count(std::size_t count) {
  pb::Count body;
  body.set_count(count);
  return body.SerializeAsString();
}

std::size_t decode_count(std::string_view bytes) {
  pb::Count body;
  return detail::parse(bytes, body) ? body.count() : 0;
}

std::string encode_cast(const room_cast& what) {
  pb::RoomCast header;
  header.set_room(what.room);
  header.set_is_text(what.is_text);
  header.set_to_self(what.to_self);
  detail::body_writer out{header, what.payload.size()};
  out.add(what.payload);
  return out.finish();
}

} // namespace

std::string encode(const ingress::room_message& what) {
  pb::RoomMessage header;
  header.set_flow(what.flow.value);
  header.set_processor(what.processor.value);
  header.set_room(what.room);
  header.set_is_text(what.is_text);
  detail::body_writer out{header, what.payload.size()};
  out.add(what.payload);
  return out.finish();
}

result<ingress::room_message> decode_room_message(std::string_view bytes) {
  pb::RoomMessage header;
  auto payload = detail::parse_header(bytes, header);
  if (!payload)
    return fail(payload);
  return ingress::room_message{flow_name{header.flow()}, processor_name{header.processor()}, header.room(),
                               std::string{*payload}, header.is_text()};
}

// ---- the end that has the clients -----------------------------------------------------------

/// The session of a client's connection: what happens there goes over the link, what comes from there to the client.
class websocket_callers::relayed final : public websocket_session,
                                         public std::enable_shared_from_this<relayed> {
public:
  relayed(std::uint64_t id, link::connection_ptr to) : id_(id), to_(std::move(to)) {}

  void on_open(websocket_ptr way) override {
    bool is_over = false;
    {
      std::lock_guard lock{mutex_};
      is_over = is_over_;
      if (!is_over)
        way_ = way;
    }
    if (is_over)
      return way->close(websocket_code::restart, "the replica has ended");
    send(to_, method::websocket_opened, id_);
  }

  void on_message(std::string message, bool is_text) override {
    if (send(to_, is_text ? method::websocket_text : method::websocket_binary, id_, std::move(message)))
      return;
    if (auto client = way()) // never with a message missing
      client->close(websocket_code::server_error, "the link to the replica is full");
  }

  void on_close(std::uint16_t code, std::string_view reason) override {
    send(to_, method::websocket_closed, id_, encode_close(code, reason));
  }

  // From the link.

  void send_on(std::string message, bool is_text) {
    auto client = way();
    if (!client)
      return;
    const auto untold = untold_bytes_ += message.size();
    const bool is_read =
      is_text ? client->send_text(std::move(message)) : client->send_binary(std::move(message));
    if (!is_read)
      return;
    if (client->waiting_bytes() > stream_window_bytes / 2)
      client->when_writable([weak = weak_from_this()] {
        if (auto self = weak.lock())
          self->tell_taken();
      });
    else if (untold >= taken_told_bytes)
      tell_taken();
  }

  void taken(std::size_t bytes) {
    if (auto client = way())
      client->taken(bytes);
  }

  void close(std::uint16_t code, std::string_view reason) {
    if (auto client = way())
      client->close(code, reason);
  }

  void join(std::string room) {
    if (auto client = way())
      client->join(std::move(room));
  }
  void leave(std::string room) {
    if (auto client = way())
      client->leave(std::move(room));
  }
  void cast(std::string_view body) {
    pb::RoomCast header;
    auto payload = detail::parse_header(body, header);
    auto client = way();
    if (payload && client)
      client->broadcast({header.room(), std::string{*payload}, header.is_text(), header.to_self()});
  }

  /// The other end needs it no more. A connection that is still open is closed by that.
  void release() {
    websocket_ptr gone; // after the lock
    std::lock_guard lock{mutex_};
    is_over_ = true;
    gone.swap(way_);
  }

  void link_closed() {
    close(websocket_code::restart, "the replica has ended");
    release();
  }

private:
  websocket_ptr way() const {
    std::lock_guard lock{mutex_};
    return way_;
  }

  void tell_taken() {
    if (const auto bytes = untold_bytes_.exchange(0))
      send(to_, method::websocket_taken, id_, encode_count(bytes));
  }

  const std::uint64_t id_;
  const link::connection_ptr to_;
  std::atomic<std::size_t> untold_bytes_{0}; ///< that the client took and the other end does not know of
  mutable std::mutex mutex_;
  websocket_ptr way_;
  bool is_over_ = false;
};

/// What the client's connection holds of a `relayed`. Whoever drops it before it has been opened (the client may go at
/// any moment) has told nobody: the other end is told here.
class websocket_callers::entrance final : public websocket_session {
public:
  entrance(std::shared_ptr<websocket_callers> all, std::shared_ptr<relayed> to, std::uint64_t id,
           link::connection_ptr link)
    : all_(std::move(all)), to_(std::move(to)), id_(id), link_(std::move(link)) {}

  ~entrance() override {
    if (is_open_)
      return;
    all_->forget(id_);
    send(link_, method::websocket_closed, id_, encode_close(websocket_code::lost, {}));
  }

  void on_open(websocket_ptr way) override {
    is_open_ = true;
    to_->on_open(std::move(way));
  }
  void on_message(std::string message, bool is_text) override {
    to_->on_message(std::move(message), is_text);
  }
  void on_close(std::uint16_t code, std::string_view reason) override {
    if (is_open_)
      to_->on_close(code, reason);
  }

private:
  const std::shared_ptr<websocket_callers> all_;
  const std::shared_ptr<relayed> to_;
  const std::uint64_t id_;
  const link::connection_ptr link_;
  bool is_open_ = false; ///< on the client's thread, as all that it hears
};

void websocket_callers::accept(std::uint64_t id, exchange& call, const link::connection_ptr& to) {
  auto made = std::make_shared<relayed>(id, to);
  {
    std::lock_guard lock{mutex_};
    all_[id] = made;
  }
  call.upgrade(std::make_shared<entrance>(shared_from_this(), std::move(made), id, to));
}

bool websocket_callers::take(link::frame& in) {
  const auto what = static_cast<method>(in.method);
  if (in.kind != link::frame_kind::notice || what < method::websocket_text
      || what > method::websocket_release)
    return false;
  auto one = find(in.id);
  if (!one)
    return true;
  switch (what) {
  case method::websocket_text:
  case method::websocket_binary:
    one->send_on(std::move(in.body), what == method::websocket_text);
    return true;
  case method::websocket_taken:
    one->taken(decode_count(in.body));
    return true;
  case method::websocket_close: {
    auto [code, reason] = decode_close(in.body);
    one->close(code, reason);
    return true;
  }
  case method::websocket_join:
    one->join(std::move(in.body));
    return true;
  case method::websocket_leave:
    one->leave(std::move(in.body));
    return true;
  case method::websocket_cast:
    one->cast(in.body);
    return true;
  case method::websocket_release:
    forget(in.id);
    one->release();
    return true;
  default:
    return true; // what only this end sends
  }
}

void websocket_callers::closed() {
  std::unordered_map<std::uint64_t, std::shared_ptr<relayed>> gone;
  {
    std::lock_guard lock{mutex_};
    gone.swap(all_);
  }
  for (auto& [id, one] : gone)
    one->link_closed();
}

bool websocket_callers::empty() const {
  std::lock_guard lock{mutex_};
  return all_.empty();
}

std::shared_ptr<websocket_callers::relayed> websocket_callers::find(std::uint64_t id) const {
  std::lock_guard lock{mutex_};
  auto found = all_.find(id);
  return found == all_.end() ? nullptr : found->second;
}

void websocket_callers::forget(std::uint64_t id) {
  std::shared_ptr<relayed> gone;
  std::lock_guard lock{mutex_};
  if (auto found = all_.find(id); found != all_.end()) {
    gone = std::move(found->second);
    all_.erase(found);
  }
}

// ---- the end that has the sessions ----------------------------------------------------------

/// The way to a client behind the link. Held by the session alone; when that drops it, the other end is told.
class websocket_servers::way final : public websocket {
public:
  way(std::shared_ptr<websocket_servers> all, link::connection_ptr to, std::uint64_t id)
    : all_(std::move(all)), to_(std::move(to)), id_(id) {}

  ~way() override {
    all_->forget(id_);
    peer::send(to_, method::websocket_release, id_);
  }

  bool send_text(std::string message) noexcept override {
    return send_message(method::websocket_text, std::move(message));
  }
  bool send_binary(std::string message) noexcept override {
    return send_message(method::websocket_binary, std::move(message));
  }

  std::size_t waiting_bytes() const noexcept override {
    std::lock_guard lock{mutex_};
    return waiting_bytes_;
  }

  void when_writable(std::function<void()> resume) noexcept override {
    {
      std::lock_guard lock{mutex_};
      if (!is_over_ && waiting_bytes_ > stream_window_bytes) {
        waiting_for_room_.push_back(std::move(resume));
        return;
      }
    }
    resume();
  }

  void taken(std::size_t bytes) noexcept override {
    std::size_t told = untaken_bytes_ += bytes;
    if (told < taken_told_bytes)
      return;
    if ((told = untaken_bytes_.exchange(0)) > 0)
      peer::send(to_, method::websocket_taken, id_, encode_count(told));
  }

  void close(std::uint16_t code, std::string_view reason) noexcept override {
    if (!is_closed_.exchange(true))
      peer::send(to_, method::websocket_close, id_, encode_close(code, reason));
  }

  void join(std::string room) noexcept override {
    peer::send(to_, method::websocket_join, id_, std::move(room));
  }
  void leave(std::string room) noexcept override {
    peer::send(to_, method::websocket_leave, id_, std::move(room));
  }
  void broadcast(room_cast what) noexcept override {
    peer::send(to_, method::websocket_cast, id_, encode_cast(what));
  }

  // From the link.

  void on_taken(std::size_t bytes) {
    waiters ready;
    {
      std::lock_guard lock{mutex_};
      waiting_bytes_ -= std::min(waiting_bytes_, bytes);
      if (waiting_bytes_ <= stream_window_bytes)
        ready.swap(waiting_for_room_);
    }
    for (auto& resume : ready)
      resume();
  }

  /// Nobody reads any more.
  void on_over() {
    waiters ready;
    {
      std::lock_guard lock{mutex_};
      is_over_ = true;
      ready.swap(waiting_for_room_);
    }
    for (auto& resume : ready)
      resume();
  }

private:
  using waiters = std::vector<std::function<void()>>;

  bool send_message(method what, std::string message) noexcept {
    if (is_closed_)
      return false;
    {
      std::lock_guard lock{mutex_};
      if (is_over_)
        return false;
      waiting_bytes_ += message.size();
    }
    if (peer::send(to_, what, id_, std::move(message)))
      return true;
    on_over(); // never with a message missing: the client is let go when the session drops this
    return false;
  }

  const std::shared_ptr<websocket_servers> all_;
  const link::connection_ptr to_;
  const std::uint64_t id_;
  std::atomic<bool> is_closed_{false};
  std::atomic<std::size_t> untaken_bytes_{0}; ///< that the session took and the other end does not know of
  mutable std::mutex mutex_;
  bool is_over_ = false;
  std::size_t waiting_bytes_ = 0; ///< sent and not known to be taken
  waiters waiting_for_room_;
};

void websocket_servers::accept(std::uint64_t id, std::shared_ptr<websocket_session> session,
                               link::connection_ptr to) {
  {
    std::lock_guard lock{mutex_};
    all_[id] = {std::move(session), to};
  }
  if (send(to, method::websocket_accept, id))
    return;
  forget(id);
}

bool websocket_servers::take(link::frame& in) {
  const auto what = static_cast<method>(in.method);
  if (in.kind != link::frame_kind::notice)
    return false;
  switch (what) {
  case method::websocket_opened:
    on_opened(in.id);
    return true;
  case method::websocket_text:
  case method::websocket_binary:
    if (auto session = session_of(in.id))
      session->on_message(std::move(in.body), what == method::websocket_text);
    return true;
  case method::websocket_taken:
    if (auto back = way_of(in.id))
      back->on_taken(decode_count(in.body));
    return true;
  case method::websocket_closed: {
    auto [code, reason] = decode_close(in.body);
    on_closed(in.id, code, reason);
    return true;
  }
  default:
    return false;
  }
}

void websocket_servers::on_opened(std::uint64_t id) {
  std::shared_ptr<websocket_session> session;
  std::shared_ptr<way> back;
  {
    std::lock_guard lock{mutex_};
    auto found = all_.find(id);
    if (found == all_.end() || found->second.is_open)
      return;
    back = std::make_shared<way>(shared_from_this(), found->second.to, id);
    found->second.back = back;
    found->second.is_open = true;
    session = found->second.session;
  }
  session->on_open(std::move(back));
}

void websocket_servers::on_closed(std::uint64_t id, std::uint16_t code, std::string_view reason) {
  std::shared_ptr<websocket_session> session;
  std::shared_ptr<way> back;
  bool was_open = false;
  {
    std::lock_guard lock{mutex_};
    auto found = all_.find(id);
    if (found == all_.end())
      return;
    session = std::exchange(found->second.session, nullptr);
    back = found->second.back.lock();
    was_open = found->second.is_open;
    if (!was_open)
      all_.erase(found);
  }
  if (back)
    back->on_over();
  if (session && was_open)
    session->on_close(code, reason);
}

void websocket_servers::closed() {
  std::vector<std::uint64_t> all;
  {
    std::lock_guard lock{mutex_};
    for (const auto& [id, one] : all_)
      all.push_back(id);
  }
  for (auto id : all)
    on_closed(id, websocket_code::lost, {});
}

std::shared_ptr<websocket_session> websocket_servers::session_of(std::uint64_t id) const {
  std::lock_guard lock{mutex_};
  auto found = all_.find(id);
  return found == all_.end() || !found->second.is_open ? nullptr : found->second.session;
}

std::shared_ptr<websocket_servers::way> websocket_servers::way_of(std::uint64_t id) const {
  std::lock_guard lock{mutex_};
  auto found = all_.find(id);
  return found == all_.end() ? nullptr : found->second.back.lock();
}

void websocket_servers::forget(std::uint64_t id) {
  std::shared_ptr<websocket_session> gone;
  std::lock_guard lock{mutex_};
  if (auto found = all_.find(id); found != all_.end()) {
    gone = std::move(found->second.session);
    all_.erase(found);
  }
}

} // namespace sluice::peer
