// Goal: a coroutine gets the answer of another server, or an error that says what became of the call; one that
// nobody waits for is cut. Against our own server, over real sockets.

#include "tests/integration/http/http_fixture.hpp"
#include "tests/support/coroutines.hpp"
#include "transport/http/client.hpp"
#include "transport/work/worker_threads.hpp"

#include <sluice/all.hpp>
#include <sluice/http/client.hpp>
#include <sluice/timeout.hpp>

#include <future>
#include <memory>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::http::testing;
using namespace std::chrono_literals;

namespace {

/// Takes work from any thread, runs it on the test's.
class pumped_executor : public executor {
public:
  explicit pumped_executor(http::client_port* client) : client_(client) {}
  void post(std::function<void()> work) override { work_.put(std::move(work)); }
  void post_after(std::chrono::nanoseconds, std::function<void()> work) override {
    later_.push_back(std::move(work));
  }
  http::client_port* http_client() noexcept override { return client_; }

  /// Until `run` has ended.
  template <class T>
  void pump(run_of<T>& run) {
    while (run.done_count == 0) {
      auto work = work_.take();
      REQUIRE(work);
      work();
    }
  }
  /// As if all sleeps were over.
  void pass_time() {
    for (auto& work : std::exchange(later_, {}))
      work();
  }

private:
  handover<std::function<void()>> work_;
  std::vector<std::function<void()>> later_;
  http::client_port* client_;
};

struct client_fixture : http_fixture {
  work::worker_threads threads;
  std::shared_ptr<pumped_executor> where = std::make_shared<pumped_executor>(threads.http_client());

  std::string url(const std::string& path) { return "http://127.0.0.1:" + std::to_string(port()) + path; }

  template <class T>
  outcome<T> result_of(async<T> work) {
    run_of<T> run{std::move(work), *where};
    where->pump(run);
    return std::move(run.result);
  }
  std::string body_of(async<response> work) {
    auto got = result_of(std::move(work));
    return got ? got->body : "error: " + message_of(got);
  }
  http::client_error error_of(async<response> work) {
    auto got = result_of(std::move(work));
    REQUIRE_FALSE(got);
    try {
      std::rethrow_exception(got.error());
    } catch (const http::client_error& e) {
      return e;
    }
  }
  errc code_of(async<response> work) { return error_of(std::move(work)).code(); }
};

} // namespace

TEST_CASE_FIXTURE(client_fixture, "requests go out and answers come back") {
  CHECK(body_of(http::get(url("/a/b%20c?x=1&y=%2F"))) == "GET /a/b%20c?x=1&y=%2F ");
  CHECK(body_of(http::get(url(""))) == "GET /? ");
  CHECK(body_of(http::post(url("/p"), "{\"a\":1}")) == "POST /p? {\"a\":1}");
  CHECK(body_of(http::put(url("/p"), "text")) == "PUT /p? text");
  CHECK(body_of(http::send({method::delete_, url("/d")})) == "DELETE /d? ");
}

TEST_CASE_FIXTURE(client_fixture, "header fields go both ways, and any status is an answer") {
  handler.on_handle = [](exchange_ptr call) {
    auto token = call->in.headers.find("X-Token").value_or("none");
    auto type = call->in.headers.find("Content-Type").value_or("none");
    call->respond({404, {{"X-Seen", std::string{token}}}, std::string{type}});
  };
  auto got = result_of(http::post(url("/"), "{}", {.headers = {{"X-Token", "abc"}}}));
  REQUIRE(got);
  CHECK(got->status == 404);
  CHECK(got->headers.find("x-seen") == "abc");
  CHECK(got->body == "application/json");
}

TEST_CASE_FIXTURE(client_fixture, "many calls run side by side") {
  auto both = [](std::string a, std::string b) -> async<std::string> {
    auto [one, two] = co_await sluice::all(http::get(a), http::get(b));
    co_return one.body + two.body;
  };
  // Each answers only when both have come.
  std::vector<exchange_ptr> held;
  std::mutex mutex;
  handler.on_handle = [&](exchange_ptr call) {
    std::lock_guard lock{mutex};
    held.push_back(std::move(call));
    if (held.size() == 2)
      for (auto& one : held)
        one->respond({200, {}, one->in.path});
  };
  CHECK(result_of(both(url("/1"), url("/2"))) == std::string{"/1/2"});
}

TEST_CASE_FIXTURE(client_fixture, "an error says what became of the call") {
  CHECK(code_of(http::get("ftp://127.0.0.1/")) == errc::invalid_argument);
  CHECK(code_of(http::get("no url")) == errc::invalid_argument);
  CHECK(code_of(http::get("http://user@127.0.0.1/")) == errc::invalid_argument);
  CHECK(code_of(http::get(url("/"), {.headers = {{"A", "b\r\nC: d"}}})) == errc::invalid_argument);
  CHECK(code_of(http::get(url("/"), {.body_bytes_max = 3})) == errc::overloaded);
  auto nobody = url("/");
  running.reset();
  const auto error = error_of(http::get(nobody));
  CHECK(error.code() == errc::unavailable);
  const auto server = nobody.substr(7, nobody.size() - 8); // of "http://127.0.0.1:8000/"
  CHECK(std::string_view{error.what()}.find("no connection to " + server + ";") != std::string_view::npos);
  const auto no_name =
    std::string(64, 'a') + ".invalid"; // longer than a label may be: no name server is asked
  const auto unknown = error_of(http::get("http://" + no_name + "/"));
  CHECK(unknown.code() == errc::unavailable);
  CHECK(std::string_view{unknown.what()}.find("no connection to " + no_name + ":80;")
        != std::string_view::npos);
}

TEST_CASE_FIXTURE(client_fixture, "a server that does not answer is given up in time") {
  handover<exchange_ptr> calls;
  hold(calls);
  CHECK(code_of(http::get(url("/"), {.timeout = 50ms})) == errc::timeout);
  CHECK(calls.take()); // it came, and is not still on its way
}

TEST_CASE_FIXTURE(client_fixture,
                  "a call that finds all threads taken is given up in time, and says that it was not sent") {
  handover<exchange_ptr> calls;
  hold(calls);
  std::vector<exchange_ptr> held;
  std::vector<std::unique_ptr<run_of<response>>> runs;
  for (std::size_t i = 0; i < http::client_calls_max; ++i)
    runs.push_back(std::make_unique<run_of<response>>(http::get(url("/held"), {.timeout = 1h}), *where));
  for (std::size_t i = 0; i < http::client_calls_max; ++i)
    held.push_back(calls.take());
  const auto error = error_of(http::get(url("/late"), {.timeout = 50ms}));
  CHECK(error.code() == errc::timeout);
  CHECK(std::string_view{error.what()}.find("not sent within 50 ms") != std::string_view::npos);

  // One that waits gets the first thread that there is.
  run_of<response> next{http::get(url("/next"), {.timeout = 1h}), *where};
  for (auto& each : held)
    each->respond({200, {}, "x"});
  for (auto& each : runs) {
    where->pump(*each);
    CHECK(each->result);
  }
  const auto came = calls.take();
  REQUIRE(came);
  CHECK(came->in.path == "/next"); // and not "/late"
  came->respond({200, {}, "x"});
  where->pump(next);
  CHECK(next.result);
}

TEST_CASE_FIXTURE(client_fixture, "a call that nobody waits for is cut, and its answer wakes nobody") {
  handover<exchange_ptr> calls;
  hold(calls);
  run_of<response> run{sluice::timeout(http::get(url("/")), 1h), *where};
  auto call = calls.take();
  REQUIRE(call);
  std::promise<void> gone;
  call->when_cancelled([&] { gone.set_value(); });
  where->pass_time();
  CHECK(run.done_count == 1);
  CHECK(message_of(run.result) == "timed out after 3600 s");
  CHECK(gone.get_future().wait_for(30s) == std::future_status::ready);
  CHECK(threads.wait_all_ended(30s));
}

TEST_CASE_FIXTURE(client_fixture, "where there is no client, a call says so") {
  pumped_executor bare{nullptr};
  run_of<response> run{http::get(url("/")), bare};
  CHECK(message_of(run.result) == "sluice::http: this executor has no HTTP client");
}
