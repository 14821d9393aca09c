#pragma once

#include <sluice/async.hpp>
#include <sluice/http/client_port.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

/// Requests to other servers from coroutines: `auto answer = co_await sluice::http::get(url, {.timeout = 2s});`.
///
/// Any status is an answer; what is none is thrown as `client_error`. Redirects are not followed. A call that nobody
/// waits for any more (a timeout around it, a sibling that failed) is cut.
namespace sluice::http {

/// There is no answer.
class client_error : public std::runtime_error {
public:
  explicit client_error(const failure& why) : std::runtime_error(why.message), code_(why.code) {}

  /// `timeout`, `unavailable`: it may be worth another try. See `client_port::start`.
  errc code() const noexcept { return code_; }

private:
  errc code_;
};

/// Sends any request.
async<response> send(client_request what);

async<response> get(std::string url, client_options options = {});
/// Content-Type is application/json, unless the options say something else.
async<response> post(std::string url, std::string body, client_options options = {});
async<response> put(std::string url, std::string body, client_options options = {});

namespace detail {

/// Waits for one call.
class call_awaiter {
public:
  explicit call_awaiter(client_request what);
  call_awaiter(const call_awaiter&) = delete;
  call_awaiter& operator=(const call_awaiter&) = delete;
  ~call_awaiter();

  bool await_ready() const noexcept { return false; }

  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) {
    sluice::detail::check_awaiting_coroutine<Promise>();
    auto context = self.promise().context;
    executor& where = context->where();
    suspend(std::make_shared<sluice::detail::suspension>(self, std::move(context)), where);
  }

  result<response> await_resume();

private:
  struct state;
  void suspend(std::shared_ptr<sluice::detail::suspension> waiting, executor& where);

  std::shared_ptr<state> state_;
};

} // namespace detail

} // namespace sluice::http
