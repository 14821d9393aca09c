#include "transport/http/server_exchange.hpp"

#include "transport/http/websocket_handshake.hpp"

#include <utility>

namespace sluice::http {

namespace {

response answer_to(const failure& why, error_form form) {
  if (why.code == errc::timeout)
    return error_response(504, why.message, form);
  auto answer = error_response(503, why.message, form);
  answer.headers.add("Retry-After", "1");
  return answer;
}

} // namespace

server_exchange::server_exchange(std::shared_ptr<connection> to, std::uint64_t call, answer_form form,
                                 request in, std::chrono::steady_clock::time_point deadline)
  : client_exchange(std::move(in), deadline), to_(std::move(to)), call_(call), form_(std::move(form)) {}

server_exchange::~server_exchange() {
  if (move_on(phase::open, phase::ended)) {
    auto why = is_called_off_ ? error_response(
                 499, // as nginx has it: there is no other for what the client has done
                 "the client ended its side of the connection, so the request was called off", form_.errors)
                              : error_response(502, "the request was lost on its way", form_.errors);
    send({.answer = make_answer(std::move(why), form_now(), http_date()), .ends = true});
  } else if (move_on(phase::begun, phase::ended))
    send({.aborts = true});
}

answer_form server_exchange::form_now() const {
  auto form = form_;
  form.keep_alive = form.keep_alive && to_->home().shared().keeps_alive();
  return form;
}

delivery server_exchange::addressed(delivery what) const {
  what.to = to_;
  what.call = call_;
  what.replica = replica();
  what.attempts = attempts();
  return what;
}

void server_exchange::send(delivery what) { to_->home().send(addressed(std::move(what))); }

void server_exchange::respond(response answer) noexcept {
  if (!move_on(phase::open, phase::ended))
    return;
  delivery whole{.answer = make_answer(std::move(answer), form_now(), http_date()), .ends = true};
  status = static_cast<std::uint16_t>(whole.answer.status);
  if (to_->home().on_thread())
    send(std::move(whole));
  else
    to_->answer_at_once(addressed(std::move(whole)));
  end();
}

void server_exchange::refuse(failure why) noexcept { respond(answer_to(why, form_.errors)); }

void server_exchange::begin(response head) noexcept {
  if (head.headers.find("Content-Type").value_or("").starts_with("text/event-stream"))
    sends_events_ = true;
  if (!move_on(phase::open, phase::begun))
    return;
  auto form = form_now();
  delivery first{.answer = make_stream_head(std::move(head), form, http_date()), .begins = true};
  is_streaming = true;
  status = static_cast<std::uint16_t>(first.answer.status);
  if (first.answer.complete) {
    // HEAD, 204 and the like: what is written from now on has no reader.
    phase_ = phase::ended;
    first.ends = true;
    send(std::move(first));
    return cancel();
  }
  window_.add(first.answer.head.size());
  send(std::move(first));
}

bool server_exchange::write(std::string part) noexcept {
  if (phase_.load() != phase::begun || window_.closed())
    return false;
  if (part.empty())
    return true;
  delivery more;
  more.answer.body_bytes = part.size();
  more.answer.head = make_stream_part(std::move(part), form_.http_1_1);
  window_.add(more.answer.head.size());
  send(std::move(more));
  return !window_.closed();
}

void server_exchange::finish() noexcept {
  if (!move_on(phase::begun, phase::ended))
    return;
  delivery last{.ends = true, .aborts = window_.closed()};
  if (form_.http_1_1)
    last.answer.head = last_chunk;
  else
    last.answer.keep_alive = false;
  send(std::move(last));
  end();
}

bool server_exchange::upgrade(std::shared_ptr<websocket_session> session) noexcept {
  if (form_.websocket_accept.empty() || !move_on(phase::open, phase::ended))
    return false;
  delivery opening;
  opening.answer.status = 101;
  opening.answer.head = websocket_opening(form_.websocket_accept, form_.request_id, http_date());
  opening.session = std::move(session);
  status = 101;
  send(std::move(opening));
  end();
  return true;
}

/// Callbacks often hold the exchange itself; once it has ended they are not needed.
void server_exchange::end() {
  window_.forget();
  std::function<void()> stop;
  std::lock_guard lock{mutex_};
  stop.swap(stop_);
}

void server_exchange::when_cancelled(std::function<void()> stop) noexcept {
  {
    std::lock_guard lock{mutex_};
    if (!window_.closed() && !(is_called_off_ && phase_.load() == phase::open)) {
      if (phase_.load() != phase::ended)
        stop_ = std::move(stop);
      return;
    }
  }
  stop();
}

void server_exchange::expire(std::chrono::milliseconds timeout) {
  if (!move_on(phase::open, phase::ended))
    return;
  auto answer = error_response(
    504, "no answer came within the " + std::to_string(timeout.count()) + " ms that this route allows",
    form_.errors);
  send({.answer = make_answer(std::move(answer), form_now(), http_date()), .ends = true});
  cancel();
}

void server_exchange::client_gone() { cancel(); }

void server_exchange::input_ended() {
  if (phase_.load() != phase::begun)
    call_off();
  else if (sends_events_)
    cancel();
}

void server_exchange::cancel() {
  window_.close();
  call_off();
}

void server_exchange::call_off() {
  std::function<void()> stop;
  {
    std::lock_guard lock{mutex_};
    is_called_off_ = true;
    stop.swap(stop_);
  }
  if (stop)
    stop();
}

} // namespace sluice::http
