#include <sluice/http/client.hpp>

#include <utility>

namespace sluice::http {

namespace detail {

/// Touched on the executor only. The awaiter's, until it goes; then what comes back finds nobody.
struct call_awaiter::state {
  client_request what;
  result<response> got = sluice::fail(errc::cancelled, "not sent");
  std::shared_ptr<sluice::detail::suspension> waiting;
  std::shared_ptr<client_call> call;
};

namespace {

/// Brings the answer to the executor. If that drops it, the coroutine ends where it stands.
template <class State>
struct arrival {
  arrival(std::shared_ptr<State> to, result<response> got) : to(std::move(to)), got(std::move(got)) {}
  arrival(const arrival&) = delete;
  arrival& operator=(const arrival&) = delete;
  ~arrival() { to->waiting.reset(); }

  void run() {
    auto waiting = std::exchange(to->waiting, nullptr);
    if (waiting == nullptr)
      return;
    to->got = std::move(got);
    waiting->resume();
  }

  std::shared_ptr<State> to;
  result<response> got;
};

} // namespace

call_awaiter::call_awaiter(client_request what) : state_(std::make_shared<state>()) {
  state_->what = std::move(what);
}

call_awaiter::~call_awaiter() {
  state_->waiting.reset();
  if (state_->call != nullptr)
    state_->call->cancel();
}

void call_awaiter::suspend(std::shared_ptr<sluice::detail::suspension> waiting, executor& where) {
  auto client = where.http_client();
  if (client == nullptr) {
    waiting->release(); // the exception resumes it
    throw client_error{{errc::unsupported, "sluice::http: this executor has no HTTP client"}};
  }
  state_->waiting = std::move(waiting);
  // An executor that is shared is kept until the answer has come.
  auto kept = where.weak_from_this().lock();
  try {
    auto call =
      client->start(std::move(state_->what), [to = state_, kept, at = &where](result<response> got) {
        auto come = std::make_shared<arrival<state>>(to, std::move(got));
        at->post([come] { come->run(); });
      });
    if (!call)
      throw client_error{call.error()};
    state_->call = std::move(*call);
  } catch (...) {
    std::exchange(state_->waiting, nullptr)->release(); // the exception resumes it
    throw;
  }
}

result<response> call_awaiter::await_resume() { return std::move(state_->got); }

} // namespace detail

namespace {

async<response> send_with_body(method how, std::string url, std::string body, client_options options) {
  if (!options.headers.contains("Content-Type"))
    options.headers.set("Content-Type", "application/json");
  return send({how, std::move(url), std::move(body), std::move(options)});
}

} // namespace

async<response> send(client_request what) {
  detail::call_awaiter call{std::move(what)};
  result<response> got = co_await call;
  if (!got)
    throw client_error{got.error()};
  co_return std::move(*got);
}

async<response> get(std::string url, client_options options) {
  return send({method::get, std::move(url), {}, std::move(options)});
}

async<response> post(std::string url, std::string body, client_options options) {
  return send_with_body(method::post, std::move(url), std::move(body), std::move(options));
}

async<response> put(std::string url, std::string body, client_options options) {
  return send_with_body(method::put, std::move(url), std::move(body), std::move(options));
}

} // namespace sluice::http
