#include "transport/http/server_exchange.hpp"

#include <utility>

namespace sluice::http {

namespace {

response answer_to(const failure& why) {
  switch (why.code) {
  case errc::timeout:
    return error_response(504, why.message);
  case errc::overloaded:
  case errc::shutting_down: {
    auto answer = error_response(503, why.message);
    answer.headers.add("Retry-After", "1");
    return answer;
  }
  default:
    return error_response(503, why.message);
  }
}

} // namespace

server_exchange::server_exchange(std::shared_ptr<connection> to, std::uint64_t call, answer_form form,
                                 request in, std::chrono::steady_clock::time_point deadline)
  : exchange(std::move(in), deadline), to_(std::move(to)), call_(call), form_(std::move(form)) {}

server_exchange::~server_exchange() {
  if (move_on(phase::open, phase::ended))
    send(
      {.answer = make_answer(error_response(502, "the request was lost on its way"), form_now(), http_date()),
       .ends = true});
  else if (move_on(phase::begun, phase::ended))
    send({.aborts = true});
}

answer_form server_exchange::form_now() const {
  auto form = form_;
  form.keep_alive = form.keep_alive && to_->home().shared().keeps_alive();
  return form;
}

void server_exchange::send(delivery what) {
  what.to = to_;
  what.call = call_;
  to_->home().send(std::move(what));
}

void server_exchange::respond(response answer) noexcept {
  if (!move_on(phase::open, phase::ended))
    return;
  send({.answer = make_answer(std::move(answer), form_now(), http_date()), .ends = true});
  end();
}

void server_exchange::refuse(failure why) noexcept { respond(answer_to(why)); }

void server_exchange::begin(response head) noexcept {
  if (!move_on(phase::open, phase::begun))
    return;
  auto form = form_now();
  delivery first{.answer = make_stream_head(std::move(head), form, http_date()), .begins = true};
  if (first.answer.complete) {
    // HEAD, 204 and the like: what is written from now on has no reader.
    phase_ = phase::ended;
    first.ends = true;
    send(std::move(first));
    gone_ = true;
    return cancel();
  }
  waiting_ += first.answer.head.size();
  send(std::move(first));
}

bool server_exchange::write(std::string part) noexcept {
  if (phase_.load() != phase::begun || gone_.load())
    return false;
  if (part.empty())
    return true;
  delivery more;
  more.answer.body_bytes = part.size();
  more.answer.head = make_stream_part(std::move(part), form_.http_1_1);
  waiting_ += more.answer.head.size();
  send(std::move(more));
  return !gone_.load();
}

void server_exchange::finish() noexcept {
  if (!move_on(phase::begun, phase::ended))
    return;
  delivery last{.ends = true, .aborts = gone_.load()};
  if (form_.http_1_1)
    last.answer.head = last_chunk;
  else
    last.answer.keep_alive = false;
  send(std::move(last));
  end();
}

/// Callbacks often hold the exchange itself; once it has ended they are not needed.
void server_exchange::end() {
  std::function<void()> stop, resume;
  std::lock_guard lock{mutex_};
  stop.swap(stop_);
  resume.swap(resume_);
}

void server_exchange::when_writable(std::function<void()> resume) noexcept {
  {
    std::lock_guard lock{mutex_};
    if (waiting_.load() >= stream_window_bytes && !gone_.load() && phase_.load() == phase::begun) {
      resume_ = std::move(resume);
      return;
    }
  }
  resume();
}

void server_exchange::when_cancelled(std::function<void()> stop) noexcept {
  {
    std::lock_guard lock{mutex_};
    if (!gone_.load()) {
      if (phase_.load() != phase::ended)
        stop_ = std::move(stop);
      return;
    }
  }
  stop();
}

void server_exchange::taken(std::size_t bytes) {
  std::function<void()> resume;
  {
    std::lock_guard lock{mutex_};
    if ((waiting_ -= bytes) < stream_window_bytes)
      resume.swap(resume_);
  }
  if (resume)
    resume();
}

void server_exchange::expire() {
  if (!move_on(phase::open, phase::ended))
    return;
  gone_ = true;
  send({.answer = make_answer(error_response(504, "no answer came in time"), form_now(), http_date()),
        .ends = true});
  cancel();
}

void server_exchange::client_gone() {
  gone_ = true;
  cancel();
}

void server_exchange::cancel() {
  std::function<void()> stop, resume;
  {
    std::lock_guard lock{mutex_};
    stop.swap(stop_);
    resume.swap(resume_);
  }
  if (stop)
    stop();
  if (resume)
    resume();
}

} // namespace sluice::http
