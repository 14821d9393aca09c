#include "transport/peer/request_relay.hpp"

#include "transport/link/send_cork.hpp"
#include "transport/peer/http_codec.hpp"
#include "transport/peer/wire_detail.hpp"
#include "proto/sluice/link/v1/wire.pb.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace sluice::peer {

namespace pb = sluice::link::v1;

namespace {

using clock = std::chrono::steady_clock;

/// Taken parts are told of in pieces of about this size.
constexpr std::size_t taken_told_bytes = stream_window_bytes / 4;

bool says_not_begun(errc code) noexcept {
  return code == errc::overloaded || code == errc::shutting_down || code == errc::unavailable;
}

result<void> send_one(const link::connection_ptr& to, link::frame frame) {
  if (!to)
    return fail(errc::unavailable, "there is no link to the other process at the moment");
  std::vector<link::frame> frames;
  frames.push_back(std::move(frame));
  link::send_cork cork; // written by this thread, unless it holds back more of them
  return to->send(std::move(frames));
}

} // namespace

// ---- the end that has the client ---------------------------------------------------

class request_caller::target final : public ingress::target_port {
public:
  target(std::shared_ptr<request_caller> caller, replica_id replica)
    : caller_(std::move(caller)), replica_(replica) {}
  void submit(exchange_ptr call) override { caller_->submit(replica_, std::move(call)); }

private:
  const std::shared_ptr<request_caller> caller_;
  const replica_id replica_;
};

ingress::target_ptr request_caller::target_for(replica_id replica) {
  return std::make_shared<target>(shared_from_this(), replica);
}

bool request_caller::is_open() const {
  std::lock_guard lock{mutex_};
  return connection_ != nullptr;
}

bool request_caller::leave_if_unused() {
  link::connection_ptr gone;
  std::lock_guard lock{mutex_};
  if (!pending_.empty() || !websockets_->empty())
    return false;
  gone.swap(connection_);
  return true;
}

bool request_caller::has_closed() const {
  std::lock_guard lock{mutex_};
  return closed_;
}

void request_caller::opened(link::connection_ptr connection) {
  std::lock_guard lock{mutex_};
  connection_ = std::move(connection);
  closed_ = false;
}

void request_caller::submit(replica_id replica, exchange_ptr call) {
  link::frame out;
  out.kind = link::frame_kind::request;
  out.method = static_cast<std::uint16_t>(method::http_request);
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(call->deadline - clock::now()).count();
  out.deadline_ms = static_cast<std::uint32_t>(std::clamp<std::int64_t>(left, 1, UINT32_MAX));
  out.body = encode_request(replica, call->in, call->wants_sink_notice);
  link::connection_ptr to;
  {
    std::lock_guard lock{mutex_};
    to = connection_;
    out.id = ++id_last_;
    if (to)
      pending_.emplace(out.id, pending{.call = call});
  }
  const auto id = out.id;
  if (auto sent = send_one(to, std::move(out)); !sent) {
    remove(id);
    call->refuse({says_not_begun(sent.error().code) ? sent.error().code : errc::unavailable,
                  std::move(sent.error().message)});
    return;
  }
  call->when_cancelled([weak = weak_from_this(), id] {
    if (auto self = weak.lock())
      self->cancel(id);
  });
}

bool request_caller::take(link::frame& in) {
  if ((in.id & side_channel_id) == 0)
    return false;
  switch (in.kind) {
  case link::frame_kind::request:
    return false;
  case link::frame_kind::reply: {
    auto call = remove(in.id);
    if (!call)
      return true;
    if (auto answer = decode_answer(in.body))
      call->respond(std::move(*answer));
    return true; // an answer that is none is a lost request
  }
  case link::frame_kind::error:
    if (auto call = remove(in.id)) {
      if (auto why = decode_failure(in.body); says_not_begun(why.code))
        call->refuse(std::move(why));
    }
    return true;
  case link::frame_kind::notice:
    break;
  }
  switch (static_cast<method>(in.method)) {
  case method::http_begin:
    if (auto call = find_stream(in.id)) {
      if (auto head = decode_answer(in.body))
        call->begin(std::move(*head));
    }
    return true;
  case method::http_part:
    on_part(in.id, std::move(in.body));
    return true;
  case method::http_end:
    if (auto call = remove(in.id))
      call->finish();
    return true;
  case method::http_handed_to_sink:
    if (auto call = find(in.id))
      call->handed_to_sink();
    return true;
  case method::http_collected:
    if (auto call = remove(in.id)) {
      if (auto results = decode_results(in.body))
        call->collect(std::move(*results));
    }
    return true;
  case method::websocket_accept:
    accept_websocket(in.id);
    return true;
  default:
    return websockets_->take(in);
  }
}

void request_caller::accept_websocket(std::uint64_t id) {
  auto call = remove(id);
  link::connection_ptr to;
  {
    std::lock_guard lock{mutex_};
    to = connection_;
  }
  if (call && to)
    websockets_->accept(id, *call, to);
  else // its client has gone
    send_notice(method::websocket_closed, id);
}

bool request_caller::send_room_message(std::string body) {
  return send_notice(method::room_message, side_channel_id, std::move(body));
}

void request_caller::on_part(std::uint64_t id, std::string part) {
  exchange_ptr call;
  std::size_t untold = 0;
  {
    std::lock_guard lock{mutex_};
    auto found = pending_.find(id);
    if (found == pending_.end())
      return;
    call = found->second.call;
    untold = found->second.untold_bytes += part.size();
  }
  if (!call->write(std::move(part)))
    return cancel(id);
  if (call->waiting_bytes() > stream_window_bytes / 2)
    call->when_writable([weak = weak_from_this(), id] {
      if (auto self = weak.lock())
        self->tell_taken(id);
    });
  else if (untold >= taken_told_bytes)
    tell_taken(id);
}

void request_caller::tell_taken(std::uint64_t id) {
  std::uint64_t count = 0;
  {
    std::lock_guard lock{mutex_};
    auto found = pending_.find(id);
    if (found == pending_.end())
      return;
    count = std::exchange(found->second.untold_bytes, 0);
  }
  pb::Count body;
  body.set_count(count);
  send_notice(method::http_taken, id, body.SerializeAsString());
}

/// The client has gone, or only sends no more. What can be given up over there is; an answer that comes nevertheless
/// is sent on, and until then the replica counts as busy with it.
void request_caller::cancel(std::uint64_t id) {
  bool is_stream = false;
  {
    std::lock_guard lock{mutex_};
    auto found = pending_.find(id);
    if (found == pending_.end())
      return;
    is_stream = found->second.is_stream;
  }
  if (is_stream)
    remove(id); // outside of the lock: may come back here
  send_notice(method::http_cancel, id);
}

/// A link that is broken ends what this is about; one that is full has room for short frames.
bool request_caller::send_notice(method what, std::uint64_t id, std::string body) {
  link::connection_ptr to;
  {
    std::lock_guard lock{mutex_};
    to = connection_;
  }
  return send_one(to, {link::frame_kind::notice, static_cast<std::uint16_t>(what), id, 0, std::move(body)})
    .has_value();
}

/// The call whose answer begins to be streamed.
exchange_ptr request_caller::find_stream(std::uint64_t id) {
  std::lock_guard lock{mutex_};
  auto found = pending_.find(id);
  if (found == pending_.end())
    return nullptr;
  found->second.is_stream = true;
  return found->second.call;
}

exchange_ptr request_caller::find(std::uint64_t id) const {
  std::lock_guard lock{mutex_};
  auto found = pending_.find(id);
  return found == pending_.end() ? nullptr : found->second.call;
}

exchange_ptr request_caller::remove(std::uint64_t id) {
  std::lock_guard lock{mutex_};
  auto found = pending_.find(id);
  if (found == pending_.end())
    return nullptr;
  auto call = std::move(found->second.call);
  pending_.erase(found);
  return call;
}

void request_caller::closed(const failure&) {
  std::unordered_map<std::uint64_t, pending>
    dropped; // outside of the lock: they go elsewhere, perhaps back here
  link::connection_ptr gone;
  {
    std::lock_guard lock{mutex_};
    gone = std::move(connection_);
    connection_ = nullptr;
    closed_ = true;
    dropped.swap(pending_);
  }
  websockets_->closed();
}

// ---- the end that has the replicas ---------------------------------------------------

/// A request that came over the link, and the way back.
class request_server::served final : public exchange {
public:
  served(request in, clock::time_point deadline, std::weak_ptr<request_server> server,
         link::connection_ptr connection, std::uint64_t id)
    : exchange(std::move(in), deadline), server_(std::move(server)), connection_(std::move(connection)),
      id_(id) {}

  ~served() override {
    if (end())
      send(link::frame_kind::error, {}, encode_failure({errc::internal, "the request was lost"}));
    if (auto server = server_.lock())
      server->forget(id_);
  }

  void respond(response answer) noexcept override {
    status = static_cast<std::uint16_t>(answer.status);
    if (has_begun_ || !end())
      return;
    send_or_say(link::frame_kind::reply, {}, encode_answer(answer), "the answer has ",
                " can be sent in one piece: stream it");
  }

  void collect(queue_results results) noexcept override {
    if (!has_begun_ && end())
      send_or_say(link::frame_kind::notice, method::http_collected, encode_results(results),
                  "the results have ", " can go to the sink at once", error_form::collector);
  }

  void handed_to_sink() noexcept override {
    if (wants_sink_notice && !ended_)
      send(link::frame_kind::notice, method::http_handed_to_sink, {});
  }

  void refuse(failure why) noexcept override {
    if (!has_begun_ && end())
      send(link::frame_kind::error, {},
           encode_failure({says_not_begun(why.code) ? why.code : errc::unavailable, std::move(why.message)}));
  }

  void begin(response head) noexcept override {
    status = static_cast<std::uint16_t>(head.status);
    if (ended_ || has_begun_.exchange(true))
      return;
    is_streaming = true;
    if (!send(link::frame_kind::notice, method::http_begin, encode_answer(head)))
      cancelled();
  }

  bool write(std::string part) noexcept override {
    {
      std::lock_guard lock{mutex_};
      if (ended_ || cancelled_)
        return false;
      waiting_bytes_ += part.size();
    }
    if (send(link::frame_kind::notice, method::http_part, std::move(part)))
      return true;
    cancelled();
    return false;
  }

  std::size_t waiting_bytes() const noexcept override {
    std::lock_guard lock{mutex_};
    return waiting_bytes_;
  }

  void when_writable(std::function<void()> resume) noexcept override {
    {
      std::lock_guard lock{mutex_};
      if (!cancelled_ && !ended_ && waiting_bytes_ > stream_window_bytes) {
        resume_ = std::move(resume);
        return;
      }
    }
    resume();
  }

  void finish() noexcept override {
    if (has_begun_ && end())
      send(link::frame_kind::notice, method::http_end, {});
  }

  bool upgrade(std::shared_ptr<websocket_session> session) noexcept override {
    auto server = server_.lock();
    if (!server || has_begun_ || !end())
      return false;
    status = 101;
    server->websockets_->accept(id_, std::move(session), connection_);
    return true;
  }

  void when_cancelled(std::function<void()> stop) noexcept override {
    {
      std::lock_guard lock{mutex_};
      if (!cancelled_) {
        stop_ = std::move(stop);
        return;
      }
    }
    stop();
  }

  void taken(std::size_t count) {
    std::function<void()> resume;
    {
      std::lock_guard lock{mutex_};
      waiting_bytes_ -= std::min(waiting_bytes_, count);
      if (waiting_bytes_ <= stream_window_bytes)
        resume = std::exchange(resume_, nullptr);
    }
    if (resume)
      resume();
  }

  /// Nobody waits for it any more.
  void cancelled() {
    std::function<void()> resume;
    std::function<void()> stop;
    {
      std::lock_guard lock{mutex_};
      cancelled_ = true;
      resume = std::exchange(resume_, nullptr);
      stop = std::exchange(stop_, nullptr);
    }
    if (resume)
      resume();
    if (stop)
      stop();
  }

private:
  bool end() noexcept { return !ended_.exchange(true); }

  /// What ends the exchange. If the link does not take it the other end hears why.
  void send_or_say(link::frame_kind kind, method what, std::string bytes, std::string_view before,
                   std::string_view after, error_form form = error_form::plain) {
    const auto size = bytes.size();
    if (send(kind, what, std::move(bytes)))
      return;
    // A link that is gone takes this no more than that. One that is full has room for short frames.
    if (size > limits::frame_size_bytes_max)
      send(link::frame_kind::reply, {},
           encode_answer(error_response(500,
                                        std::string{before} + std::to_string(size) + " bytes, at most "
                                          + std::to_string(limits::frame_size_bytes_max) + std::string{after},
                                        form)));
    else
      send(link::frame_kind::error, {}, encode_failure({errc::internal, "the answer was lost"}));
  }

  bool send(link::frame_kind kind, method what, std::string body) {
    return send_one(connection_, {kind, static_cast<std::uint16_t>(what), id_, 0, std::move(body)})
      .has_value();
  }

  const std::weak_ptr<request_server> server_;
  const link::connection_ptr connection_;
  const std::uint64_t id_;
  std::atomic<bool> has_begun_{false}; ///< here; `is_streaming` is set by user code's side before
  std::atomic<bool> ended_{false};
  mutable std::mutex mutex_;
  bool cancelled_ = false;
  std::size_t waiting_bytes_ = 0; ///< written and not known to be taken
  std::function<void()> resume_;
  std::function<void()> stop_;
};

void request_server::opened(link::connection_ptr connection) {
  std::lock_guard lock{mutex_};
  connection_ = std::move(connection);
}

bool request_server::take(link::frame& in) {
  if ((in.id & side_channel_id) == 0)
    return false;
  switch (static_cast<method>(in.method)) {
  case method::http_request:
    if (in.kind != link::frame_kind::request)
      return false;
    on_request(in);
    return true;
  case method::http_cancel:
    if (auto call = find_call(in.id))
      call->cancelled();
    return true;
  case method::http_taken: {
    pb::Count count;
    auto call = find_call(in.id);
    if (call && detail::parse(in.body, count))
      call->taken(count.count());
    return true;
  }
  case method::room_message: {
    if (!rooms_)
      return false;
    if (auto what = decode_room_message(in.body))
      rooms_->deliver(std::move(*what));
    return true;
  }
  default:
    return websockets_->take(in);
  }
}

void request_server::on_request(link::frame& in) {
  link::connection_ptr connection;
  {
    std::lock_guard lock{mutex_};
    connection = connection_;
  }
  auto decoded = decode_request(in.body);
  const auto deadline = clock::now() + std::chrono::milliseconds{in.deadline_ms};
  auto call = std::make_shared<served>(decoded ? std::move(decoded->in) : request{}, deadline,
                                       weak_from_this(), connection, in.id);
  if (!decoded)
    return call->respond(error_response(502, decoded.error().message));
  call->wants_sink_notice = decoded->wants_sink_notice;
  {
    std::lock_guard lock{mutex_};
    calls_.emplace(in.id, call);
  }
  if (auto target = find_(decoded->replica))
    target->submit(std::move(call));
  else
    call->refuse({errc::unavailable, "the replica is not here"});
}

std::shared_ptr<request_server::served> request_server::find_call(std::uint64_t id) const {
  std::lock_guard lock{mutex_};
  auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : found->second.lock();
}

void request_server::forget(std::uint64_t id) {
  std::lock_guard lock{mutex_};
  calls_.erase(id);
}

void request_server::closed(const failure&) {
  std::vector<std::shared_ptr<served>> all; // let go outside of the lock: their end comes back to `forget`
  {
    std::lock_guard lock{mutex_};
    connection_ = nullptr;
    for (auto& [id, each] : calls_)
      if (auto call = each.lock())
        all.push_back(std::move(call));
  }
  for (auto& each : all)
    each->cancelled();
  websockets_->closed();
}

} // namespace sluice::peer
