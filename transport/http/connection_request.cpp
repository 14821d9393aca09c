#include "transport/http/connection.hpp"
#include "transport/http/origin_check.hpp"
#include "transport/http/server_exchange.hpp"
#include "transport/http/websocket_handshake.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <sys/uio.h>
#include <utility>

namespace sluice::http {

void connection::begin_refused() {
  log_answered();
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
  const bool reads_only = request.method == method::get || request.method == method::head;
  if (!reads_only && !is_from_allowed_page(request, decision.cors_origins.get()))
    return refuse(
      {403, "pages of this origin may not change anything here; cors_origins of the route allows them"});
  bool takes_body = decision.body_on_any_method || (!reads_only && request.method != method::delete_);
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
    return refuse(body_too_large(decision.body_bytes_max));
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
  call_deadline_ = home_->now() + timeout_;
  set_deadline(call_deadline_);
  auto call = std::make_shared<server_exchange>(shared_from_this(), call_, form_,
                                                std::move(reader_.current().request), call_deadline_);
  exchange_ = call;
  if (form_.keep_alive && out_.bytes() == 0 && !channel_->secure())
    gate_.open(call_, channel_->fd(), input_ended_);
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
    return;          // answered by the deadline, or the connection is gone
  if (what.aborts) { // what was answered before is still sent, and the missing end tells the client
    form_.keep_alive = false;
    return after_answer(home_->now());
  }
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
    if (auto call = input_ended_ ? exchange_.lock() : nullptr)
      call->input_ended();
  }
  answer_bytes_ += what.answer.body_bytes;
  form_.keep_alive = form_.keep_alive && what.answer.keep_alive;
  if (const auto bytes = what.answer.head.size() + what.answer.body.size(); what.sent < bytes) {
    out_.add(std::move(what.answer.head));
    out_.add(std::move(what.answer.body));
    if (what.sent > 0)
      out_.drop(what.sent); // nothing was before it
  }
  if (what.ends)
    after_answer(what.sent > 0 ? what.made_at : home_->now());
}

void connection::answer_at_once(delivery what) {
  auto& answer = what.answer;
  const std::array<iovec, 2> pieces{
    {{answer.head.data(), answer.head.size()}, {answer.body.data(), answer.body.size()}}};
  const bool may_write = answer.keep_alive && home_->shared().keeps_alive();
  gate_.write(may_write ? what.call : answer_gate::no_call, pieces, [&](std::size_t sent, bool wakes) {
    what.sent = sent;
    if (sent > 0)
      what.made_at = std::chrono::steady_clock::now();
    home_->send(std::move(what), wakes);
  });
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
  after_answer(home_->now());
}

/// @param at when it was there
void connection::after_answer(time_point at) {
  answered_at_ = at;
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
    if (out_.bytes() == 0)
      on_all_sent(); // a stream whose parts have been taken: nothing comes that would tell of its end
  }
}

/// When the answer has been sent, for the client does not wait for a line in a file, or cannot be any more; at the latest when the next request begins.
void connection::log_answered() {
  if (!answered_at_)
    return;
  const auto at = *std::exchange(answered_at_, std::nullopt);
  log(std::exchange(is_answer_late_, false) ? home_->now() : at);
}

void connection::log(time_point until) {
  const auto& on_access = home_->shared().options.on_access;
  if (!on_access)
    return;
  on_access({.client = client_,
             .method = logged_method_,
             .path = logged_path_,
             .id = form_.request_id,
             .processor = processor_ ? std::string_view{*processor_} : std::string_view{},
             .status = status_,
             .bytes_in = body_received_,
             .bytes = answer_bytes_,
             .taken = std::chrono::duration_cast<std::chrono::microseconds>(until - call_began_),
             .replica = replica_,
             .attempts = attempts_});
}

} // namespace sluice::http
