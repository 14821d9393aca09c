#include "transport/http/connection.hpp"

#include "transport/http/server_exchange.hpp"
#include "transport/http/websocket_handshake.hpp"

#include <sluice/processor/websocket_session.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <array>
#include <sys/uio.h>
#include <utility>

namespace sluice::http {

namespace {

constexpr auto linger = std::chrono::seconds{2};             ///< for the client to read its last answer
constexpr std::size_t lingering_bytes_max = 4u << 20;        ///< that it still sends meanwhile
constexpr std::size_t pipelined_answer_bytes_max = 1u << 20; ///< unread answers until no request is begun
constexpr std::size_t kept_input_bytes_max = 4u << 10;       ///< of memory, by a connection that rests
constexpr int reads_per_turn = 16;                           ///< then other connections get theirs
constexpr std::size_t pieces_per_write = 16;

std::chrono::milliseconds time_for(std::size_t bytes, std::uint32_t rate) {
  return std::chrono::milliseconds{bytes * 1000 / std::max<std::uint32_t>(rate, 1)};
}

} // namespace

connection::connection(worker& home, int fd, const client_key& key, std::string client)
  : home_(home.shared_from_this()), key_(key), client_(std::move(client)), channel_(std::in_place, fd),
    watch_(home.context(), fd), timer_(*this), reader_(home.shared().options.limits) {}

connection::~connection() = default;

connection& connection::of(timer_wheel::entry& timer) noexcept {
  return static_cast<owned_timer&>(timer).owner;
}

void connection::start() {
  if (const auto& tls = home_->shared().tls) {
    if (!channel_->begin_tls(*tls))
      return close();
    phase_ = phase::handshake;
    set_deadline(home_->now() + within().handshake_deadline);
  } else {
    phase_ = phase::head;
    set_deadline(home_->now() + within().head_deadline);
  }
  wait_readable();
}

void connection::close() {
  if (phase_ == phase::closed)
    return;
  auto self = shared_from_this();
  auto cut = std::exchange(phase_, phase::closed) == phase::handling;
  if (auto call = cut ? exchange_.lock() : nullptr) {
    replica_ = call->replica();
    attempts_ = call->attempts();
  }
  count_answer_bytes();
  home_->set_timer(timer_, timer_wheel::never);
  watch_.release();
  channel_.reset();
  home_->shared().ledger.leave(key_);
  home_->remove(*this);
  if (cut)
    log(status_, answer_bytes_);
  if (websocket_)
    report_close(websocket_code::lost, {});
  if (auto call = exchange_.lock())
    call->client_gone();
}

void connection::close_if_idle() {
  auto resting = [&] {
    return (phase_ == phase::idle || (phase_ == phase::head && requests_ == 0)) && in_.empty()
           && out_.bytes() == 0;
  };
  if (phase_ == phase::handshake)
    return close();
  if (phase_ == phase::websocket && home_->shared().draining) {
    begin_close(websocket_code::going_away, "the server is shutting down");
    return flush();
  }
  if (!resting())
    return;
  read_some(); // a request may have come in by now
  if (resting())
    close();
}

// --- in --------------------------------------------------------------------------

void connection::wait_readable() {
  if (waiting_readable_ || phase_ == phase::closed || reading_paused())
    return;
  waiting_readable_ = true;
  watch_.async_wait(watch_.wait_read,
                    [self = shared_from_this()](const boost::system::error_code& cancelled) {
                      self->waiting_readable_ = false;
                      if (cancelled || self->phase_ == phase::closed)
                        return;
                      self->home_->look_at_clock();
                      self->on_readable();
                    });
}

bool connection::reading_paused() const noexcept {
  return input_ended_ || in_.size() >= reader_.unread_bytes_max()
         || (phase_ == phase::websocket && websocket_is_full());
}

void connection::on_readable() {
  if (phase_ == phase::handshake && !shake_hands())
    return;
  read_some();
}

/// True once TLS stands.
bool connection::shake_hands() {
  switch (channel_->handshake()) {
  case channel::state::ok:
    phase_ = phase::head;
    set_deadline(home_->now() + within().head_deadline);
    return true;
  case channel::state::waiting:
    channel_->wants_write() ? wait_writable() : wait_readable();
    return false;
  default:
    close();
    return false;
  }
}

void connection::read_some() {
  read_cut_ = false;
  for (int turn = 0; !reading_paused(); ++turn) {
    if (turn == reads_per_turn) {
      read_cut_ = true;
      boost::asio::post(home_->context(), [self = shared_from_this()] {
        self->home_->look_at_clock();
        self->pump();
      });
      break;
    }
    auto buffer = home_->buffer();
    auto got = channel_->read(buffer);
    if (got.what == channel::state::broken)
      return close();
    if (got.what == channel::state::ended)
      on_end_of_input();
    else if (got.what == channel::state::ok)
      consume({buffer.data(), got.bytes});
    if (phase_ == phase::closed)
      return;
    // What a plain socket has left wakes us again; what TLS holds does not.
    if (got.what == channel::state::waiting || (!channel_->secure() && got.bytes < buffer.size()))
      break;
  }
  read_cut_ = read_cut_ || (reading_paused() && !input_ended_);
  flush();
  if (phase_ == phase::closed)
    return;
  if (input_ended_)
    return settle_end_of_input();
  wait_readable();
}

/// The client has gone, or only sends no more: what can be given up is, and if an answer comes it is sent.
void connection::on_end_of_input() {
  input_ended_ = true;
  if (auto call = exchange_.lock())
    call->client_gone();
}

/// The client sends no more: serves what it did send, then closes.
void connection::settle_end_of_input() {
  if (phase_ == phase::handling)
    return;
  if (phase_ == phase::websocket && websocket_is_full())
    return; // there is more for the session
  if (phase_ == phase::idle && !in_.empty() && out_.bytes() > 0)
    return; // there are requests left, and answers to be read first
  if (out_.bytes() == 0)
    return close();
  closing_ = true;
  phase_ = phase::lingering;
}

void connection::pump() {
  if (phase_ == phase::closed)
    return;
  if (!in_.empty())
    consume({});
  if (phase_ == phase::closed)
    return;
  if (read_cut_ && !reading_paused())
    return read_some();
  flush();
  if (phase_ == phase::closed)
    return;
  if (input_ended_)
    return settle_end_of_input();
  wait_readable();
}

/// What is not consumed stays in `in_`.
void connection::consume(std::string_view bytes) {
  if (in_.empty()) {
    auto used = consume_requests(bytes);
    in_.assign(bytes.substr(used));
  } else {
    in_.append(bytes);
    auto used = consume_requests(in_);
    in_.erase(0, used);
    if (in_.empty() && in_.capacity() > kept_input_bytes_max)
      in_ = {};
  }
}

std::size_t connection::consume_requests(std::string_view bytes) {
  auto rest = bytes;
  auto used = [&] { return bytes.size() - rest.size(); };
  for (;;) {
    switch (phase_) {
    case phase::idle:
      while (rest.starts_with("\r\n")) // between requests, of old clients (RFC 9112 §2.2)
        rest.remove_prefix(2);
      if (rest.empty() || out_.bytes() > pipelined_answer_bytes_max)
        return used();
      phase_ = phase::head;
      set_deadline(home_->now() + within().head_deadline);
      break;
    case phase::head:
      if (auto refused = reader_.read_head(rest)) {
        begin_refused();
        refuse(*refused);
        break;
      }
      if (!reader_.head_done())
        return used();
      rest.remove_prefix(reader_.head_bytes());
      begin_request(!rest.empty());
      break;
    case phase::body: {
      if (rest.empty())
        return used();
      std::size_t taken = 0;
      auto refused = reader_.read_body(rest, taken);
      rest.remove_prefix(taken);
      body_received_ += taken;
      if (refused)
        refuse(*refused);
      else if (reader_.done())
        dispatch();
      else {
        set_deadline(body_began_ + within().body_deadline + time_for(body_received_, within().body_rate_min));
        return used();
      }
      break;
    }
    case phase::websocket:
      rest.remove_prefix(read_websocket(rest));
      if (phase_ == phase::websocket || phase_ == phase::closed)
        return used();
      break;
    case phase::lingering:
      discarded_ += rest.size();
      if (discarded_ > lingering_bytes_max)
        close();
      return bytes.size();
    case phase::handling:
    case phase::handshake:
    case phase::closed:
      return used();
    }
  }
}

// --- one request -----------------------------------------------------------------

void connection::begin_refused() {
  ++call_;
  call_began_ = home_->now();
  form_ = {};
  form_.request_id = home_->next_request_id();
  logged_method_ = {};
  logged_path_.clear();
  processor_.reset();
  replica_ = 0;
  attempts_ = 0;
  status_ = 0;
  answer_bytes_ = 0;
  body_received_ = 0;
}

void connection::begin_request(bool body_at_hand) {
  begin_refused();
  ++requests_;
  auto& head = reader_.current();
  auto& request = head.request;
  const auto& options = home_->shared().options;
  request.client = client_;
  if (auto id = request.headers.find("X-Request-Id"); id && sane_request_id(*id))
    form_.request_id = *id;
  request.id = form_.request_id;
  logged_method_ = to_string(request.method);
  if (options.on_access)
    logged_path_ = request.path;
  form_.http_1_1 = head.http_1_1;
  form_.keep_alive = head.keep_alive && requests_ < within().requests_per_connection_max;
  form_.head = request.method == method::head;
  if (options.gzip) {
    form_.gzip_bytes_min = std::max<std::size_t>(within().gzip_bytes_min, 1);
    auto accepted = request.headers.find("Accept-Encoding");
    form_.gzip = accepted && accepts_gzip(*accepted);
  }
  if (turned_away(head.has_body))
    return;
  ingress::head_decision decision;
  try {
    decision = home_->shared().handler.decide(request);
  } catch (...) {
    return refuse({500, "the router failed"});
  }
  allow_origin(decision, request);
  form_.errors = decision.errors;
  processor_ = std::move(decision.processor);
  if (decision.answer) {
    form_.keep_alive = form_.keep_alive && !head.has_body;
    return answer_without_handler(std::move(*decision.answer));
  }
  bool takes_body =
    decision.body_on_any_method
    || (request.method != method::get && request.method != method::head && request.method != method::delete_);
  if (head.has_body && !takes_body)
    return refuse({400, "a request with this method has no body here"});
  if (decision.websocket) {
    auto handshake =
      check_websocket(request, head.wants_upgrade && !head.has_body, decision.cors_origins.get());
    if (handshake.refused) {
      form_.keep_alive = form_.keep_alive && !head.has_body;
      return answer_without_handler(std::move(*handshake.refused));
    }
    form_.websocket_accept = std::move(handshake.accept);
    message_bytes_max_ = decision.body_bytes_max;
  }
  if (head.content_length > decision.body_bytes_max)
    return refuse({413, "the body is too large"});
  if (form_.head)
    request.method = method::get;
  route_ = std::move(decision.route);
  timeout_ = decision.timeout;
  if (!head.has_body)
    return dispatch();
  reader_.allow_body(decision.body_bytes_max);
  phase_ = phase::body;
  body_began_ = home_->now();
  set_deadline(body_began_ + within().body_deadline);
  if (head.expects_continue && !body_at_hand)
    out_.add(continue_answer);
}

/// Answers if the server has no room for the request at hand, or its client has sent too many.
bool connection::turned_away(bool has_body) {
  if (home_->shared().out_of_answer_bytes()) {
    refuse({503, "too many answers wait for slow clients"});
    return true;
  }
  auto wait = home_->shared().limit_rate(key_, home_->now());
  if (!wait)
    return false;
  form_.keep_alive = form_.keep_alive && !has_body; // it is not read
  auto answer = error_response(429, "too many requests; try again later");
  answer.headers.add("Retry-After", std::to_string(wait->count()));
  answer_without_handler(std::move(answer));
  return true;
}

void connection::allow_origin(const ingress::head_decision& decision, const request& head) {
  if (!decision.cors_origins)
    return;
  const auto& origins = *decision.cors_origins;
  form_.origin_varies = std::ranges::find(origins, "*") == origins.end();
  if (auto origin = head.headers.find("Origin"))
    form_.origin = allowed_origin(*origin, origins);
}

void connection::dispatch() {
  phase_ = phase::handling;
  auto deadline = home_->now() + timeout_;
  set_deadline(deadline);
  auto call = std::make_shared<server_exchange>(shared_from_this(), call_, form_,
                                                std::move(reader_.current().request), deadline);
  exchange_ = call;
  dispatching_ = true;
  try {
    home_->shared().handler.handle(std::move(call), std::move(route_));
  } catch (...) {
    // The exchange was dropped on the way out, which answers 502.
    call.reset();
  }
  dispatching_ = false;
}

void connection::deliver(delivery& what) {
  if (phase_ == phase::websocket && what.call == call_)
    return deliver_websocket(what);
  if (phase_ != phase::handling || what.call != call_)
    return; // answered by the deadline, or the connection is gone
  if (what.aborts)
    return close();
  if (what.session)
    return open_websocket(what);
  if (status_ == 0)
    status_ = what.answer.status;
  replica_ = what.replica;
  attempts_ = what.attempts;
  if (what.begins) {
    before_stream_ = out_.bytes();
    if (auto call = exchange_.lock())
      window_ = std::shared_ptr<send_window>{call, &call->window()};
    set_deadline(timer_wheel::never);
  }
  answer_bytes_ += what.answer.body_bytes;
  form_.keep_alive = form_.keep_alive && what.answer.keep_alive;
  out_.add(std::move(what.answer.head));
  out_.add(std::move(what.answer.body));
  if (what.ends)
    after_answer();
}

/// @pre begin_request or begin_refused
void connection::refuse(const refusal& why) {
  form_.keep_alive = false;
  auto answer = error_response(why.status, why.text, form_.errors);
  if (why.status == 405)
    answer.headers.add("Allow", allowed_methods());
  answer_without_handler(std::move(answer));
}

/// Of the path that was asked for, as the handler tells them who asks with OPTIONS; empty if it has none.
std::string connection::allowed_methods() {
  request asked;
  asked.method = method::options;
  asked.path = reader_.current().request.path;
  try {
    auto decision = home_->shared().handler.decide(asked);
    auto allowed = decision.answer ? decision.answer->headers.find("Allow") : std::nullopt;
    return std::string{allowed.value_or(std::string_view{})};
  } catch (...) {
    return {};
  }
}

void connection::answer_without_handler(response answer) {
  form_.keep_alive = form_.keep_alive && home_->shared().keeps_alive();
  auto wire = make_answer(std::move(answer), form_, http_date());
  status_ = wire.status;
  answer_bytes_ = wire.body_bytes;
  out_.add(std::move(wire.head));
  out_.add(std::move(wire.body));
  after_answer();
}

void connection::after_answer() {
  log(status_, answer_bytes_);
  reader_.next();
  exchange_.reset();
  window_.reset();
  if (form_.keep_alive) {
    phase_ = phase::idle;
    set_deadline(home_->now() + within().idle_timeout);
  } else {
    closing_ = true;
    phase_ = phase::lingering;
    set_deadline(timer_wheel::never); // until all is sent, which has a bound of its own
  }
}

void connection::log(unsigned status, std::uint64_t bytes) {
  const auto& on_access = home_->shared().options.on_access;
  if (!on_access)
    return;
  on_access({.client = client_,
             .method = logged_method_,
             .path = logged_path_,
             .id = form_.request_id,
             .processor = processor_ ? std::string_view{*processor_} : std::string_view{},
             .status = status,
             .bytes_in = body_received_,
             .bytes = bytes,
             .taken = std::chrono::duration_cast<std::chrono::microseconds>(home_->now() - call_began_),
             .replica = replica_,
             .attempts = attempts_});
}

// --- out -------------------------------------------------------------------------

void connection::flush() {
  if (out_.bytes() == 0 || phase_ == phase::closed)
    return;
  while (out_.bytes() > 0) {
    std::array<iovec, pieces_per_write> pieces;
    auto count = out_.gather(pieces);
    auto sent = channel_->write({pieces.data(), count});
    if (sent.what == channel::state::waiting) {
      count_answer_bytes();
      if (home_->shared().out_of_answer_bytes())
        return close(); // who reads slowly gives way
      if (!blocked_since_) {
        blocked_since_ = home_->now();
        sent_since_ = 0;
      }
      update_timer();
      return channel_->wants_write() ? wait_writable() : wait_readable();
    }
    if (sent.what != channel::state::ok)
      return close();
    on_sent(sent.bytes);
  }
  on_all_sent();
}

/// The server's sum of what its clients have not taken.
void connection::count_answer_bytes() {
  const auto bytes = phase_ == phase::closed ? 0 : out_.bytes();
  if (bytes == counted_bytes_)
    return;
  home_->shared().answer_bytes.fetch_add(bytes - counted_bytes_,
                                         std::memory_order_relaxed); // wraps, as it should
  counted_bytes_ = bytes;
}

void connection::on_sent(std::size_t bytes) {
  out_.drop(bytes);
  sent_since_ += bytes;
  auto earlier = std::min(before_stream_, bytes);
  before_stream_ -= earlier;
  if (auto window = bytes > earlier ? window_.lock() : nullptr)
    window->taken(bytes - earlier);
}

void connection::on_all_sent() {
  count_answer_bytes();
  blocked_since_.reset();
  if (closing_) {
    if (input_ended_)
      return close();
    channel_->finish();
    return set_deadline(home_->now() + linger);
  }
  if (phase_ == phase::idle)
    deadline_ = home_->now() + within().idle_timeout;
  update_timer();
  if (phase_ == phase::idle && !in_.empty()) // requests that waited for room
    boost::asio::post(home_->context(), [self = shared_from_this()] {
      self->home_->look_at_clock();
      self->pump();
    });
}

void connection::wait_writable() {
  if (waiting_writable_ || phase_ == phase::closed)
    return;
  waiting_writable_ = true;
  watch_.async_wait(watch_.wait_write,
                    [self = shared_from_this()](const boost::system::error_code& cancelled) {
                      self->waiting_writable_ = false;
                      if (cancelled || self->phase_ == phase::closed)
                        return;
                      self->home_->look_at_clock();
                      if (self->phase_ == phase::handshake)
                        self->on_readable();
                      else
                        self->pump();
                    });
}

// --- deadlines -------------------------------------------------------------------

void connection::set_deadline(time_point when) {
  deadline_ = when;
  update_timer();
}

connection::time_point connection::write_deadline() const {
  if (!blocked_since_)
    return timer_wheel::never;
  const auto& limits = home_->shared().options.limits;
  return *blocked_since_ + limits.write_deadline + time_for(sent_since_, limits.body_rate_min);
}

void connection::update_timer() {
  if (phase_ == phase::closed)
    return;
  auto mine = phase_ == phase::idle && blocked_since_ ? timer_wheel::never : deadline_;
  home_->set_timer(timer_, std::min(mine, write_deadline()));
}

void connection::on_deadline() {
  auto self = shared_from_this();
  auto now = home_->now();
  if (now >= write_deadline())
    return close(); // it does not read
  if (now < deadline_)
    return update_timer();
  switch (phase_) {
  case phase::head:
    if (in_.empty())
      return close(); // never began
    begin_refused();
    refuse({408, "the head of the request came too slowly"});
    return flush();
  case phase::body:
    refuse({408, "the body of the request came too slowly"});
    return flush();
  case phase::handling:
    deadline_ = timer_wheel::never;
    if (auto call = exchange_.lock())
      call->expire();
    return;
  case phase::websocket:
    return on_websocket_deadline();
  default:
    return close();
  }
}

} // namespace sluice::http
