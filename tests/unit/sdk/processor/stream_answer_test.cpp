// Goal: streams are written value by value in the form that the client asked for, no faster than it reads;
// an error before the first value has its status, a later one cannot be taken for an end.

#include "tests/unit/sdk/processor/request_fixture.hpp"

#include <doctest/doctest.h>

#include <future>
#include <stdexcept>
#include <string>
#include <vector>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

struct tick {
  int n;
};
struct up_to {
  int n;
  int fail_at = -1;
};

generator<tick> count(up_to in) {
  for (int n = 0; n < in.n; ++n) {
    if (n == in.fail_at)
      throw http_error{409, "at " + std::to_string(n)};
    co_yield tick{n};
  }
}

stream<tick> count_slowly(up_to in) {
  for (int n = 0; n < in.n; ++n) {
    co_await sluice::sleep(1ms);
    if (n == in.fail_at)
      throw std::runtime_error{"secret"};
    co_yield tick{n};
  }
}

generator<std::string> latin_1(request) { co_yield "caf\xe9"; }

struct line {
  std::string text;
};
/// A struct with something to destroy, which has to have a name.
generator<line> named(up_to in) {
  for (int n = 0; n < in.n; ++n) {
    line next{std::to_string(n) + std::string(40, '.')};
    co_yield next;
  }
}

async<stream<tick>> count_later(const up_to& in) {
  co_await sluice::sleep(1ms);
  if (in.n == 0)
    throw http_error{404, "nothing to count"};
  co_return count_slowly(in);
}

/// Decides, waits, and has something to say only then.
stream<tick> news(up_to in) {
  if (in.n == 0)
    throw http_error{409, "no news"};
  co_await sluice::sleep(1h);
  if (in.n == in.fail_at)
    throw http_error{409, "too late"};
  co_yield tick{in.n};
}

generator<std::string> words(request) {
  co_yield "two\nlines";
  co_yield "";
}

/// Each value is a quarter of what a client may leave unread.
std::string big_text() { return std::string(stream_window_bytes / 4, 'x'); }
generator<std::string> big(up_to in) {
  for (int n = 0; n < in.n; ++n)
    co_yield big_text();
}
int big_count = 0;
stream<std::string> big_async(up_to in) {
  for (big_count = 0; big_count < in.n; ++big_count)
    co_yield big_text();
}
stream<tick> endless() {
  for (int n = 0;; ++n) {
    co_yield tick{n};
    co_await sluice::sleep(1h);
  }
}

request accepting(request in, std::string types) {
  in.headers.add("Accept", std::move(types));
  return in;
}

struct streamed {
  std::string head;
  std::string text;
  bool finished = false;
};

streamed seen(const fake_exchange& exchange) {
  auto answer = exchange.seen->answer();
  REQUIRE(answer);
  return {shown(*answer), exchange.seen->streamed(), exchange.seen->is_finished()};
}

streamed run(request_body& body, request in) {
  auto exchange = std::make_shared<fake_exchange>(std::move(in));
  encoded_results results;
  CHECK_FALSE(body.handle(exchange, results));
  return seen(*exchange);
}

/// Runs a body of coroutines to its end.
streamed run_async(request_body& body, request in) {
  manual_executor where;
  encoded_results results;
  auto exchange = std::make_shared<fake_exchange>(std::move(in));
  int done_count = 0;
  body.handle_async(exchange, results, where, [&](bool to_sink) { done_count += to_sink ? 100 : 1; });
  for (int i = 0; i < 10; ++i)
    where.advance(1ms);
  CHECK(done_count == 1);
  return seen(*exchange);
}

} // namespace

TEST_CASE("a generator is JSON lines, or events where the client accepts them") {
  auto lines = run(*endpoint_of<count>(false), get("/", "n=2"));
  CHECK(lines.head == "200 application/x-ndjson");
  CHECK(lines.text == "{\"n\":0}\n{\"n\":1}\n");
  CHECK(lines.finished);
  auto events =
    run(*endpoint_of<count>(false), accepting(get("/", "n=2"), "text/html, Text/Event-Stream;q=0.9"));
  CHECK(events.head == "200 text/event-stream");
  CHECK(events.text == "data: {\"n\":0}\n\ndata: {\"n\":1}\n\n");
  CHECK(events.finished);
  CHECK(run(*endpoint_of<count>(false), accepting(get("/", "n=1"), "text/event-stream;q=0, */*")).head
        == "200 application/x-ndjson");
  CHECK(run(*endpoint_of<count>(false), accepting(get("/", "n=1"), "text/event-streams")).head
        == "200 application/x-ndjson");
}

TEST_CASE("events or lines: what the client wants more, by its weights") {
  auto format = [](std::string accept) {
    return processor::stream_format_of(accepting(get("/"), std::move(accept)));
  };
  for (const char* accept :
       {"text/event-stream", "text/event-stream, application/x-ndjson", "text/event-stream, */*",
        "application/x-ndjson;q=0.5, text/event-stream;q=0.6", "text/event-stream;q=0.2, */*;q=0.1",
        "text/event-stream;charset=utf-8;q=0.7, application/x-ndjson; Q=0.7", "text/*"}) {
    CAPTURE(accept);
    CHECK(format(accept) == processor::stream_format::events);
  }
  for (const char* accept : {"text/event-stream;q=0.1, application/x-ndjson;q=1", "text/event-stream;q=0.000",
                             "text/event-stream;q=0.1, */*", "*/*", "", "text/html",
                             "application/*;q=0.5, text/event-stream;q=0.4", "text/event-stream;q=0, text/*",
                             "Application/X-NDJSON, */*;q=0.5"}) {
    CAPTURE(accept);
    CHECK(format(accept) == processor::stream_format::lines);
  }
}

TEST_CASE("values with something to destroy are written whole") {
  auto dots = std::string(40, '.');
  CHECK(run(*endpoint_of<named>(false), get("/", "n=2")).text
        == "{\"text\":\"0" + dots + "\"}\n{\"text\":\"1" + dots + "\"}\n");
}

TEST_CASE("an empty stream is an answer") {
  auto none = run(*endpoint_of<count>(false), get("/", "n=0"));
  CHECK(none.head == "200 application/x-ndjson");
  CHECK(none.text == "");
  CHECK(none.finished);
}

TEST_CASE("text is itself in events, a JSON string in lines") {
  CHECK(run(*endpoint_of<words>(false), get("/")).text == "\"two\\nlines\"\n\"\"\n");
  CHECK(run(*endpoint_of<words>(false), accepting(get("/"), "text/event-stream")).text
        == "data: two\ndata: lines\n\ndata: \n\n");
}

TEST_CASE("text that is no UTF-8 is an error of who streams it, in events as in lines") {
  captured_log log;
  for (const auto& in : {get("/"), accepting(get("/"), "text/event-stream")}) {
    const auto refused = run(*endpoint_of<latin_1>(false), in);
    CHECK(refused.head.starts_with("500 application/json"));
    CHECK_FALSE(refused.finished);
  }
}

TEST_CASE("a stream of a coroutine is written as it comes") {
  CHECK(run_async(*endpoint_of<count_slowly>(false), get("/", "n=2")).text == "{\"n\":0}\n{\"n\":1}\n");
  auto later = run_async(*endpoint_of<count_later>(false), accepting(get("/", "n=2"), "text/event-stream"));
  CHECK(later.text == "data: {\"n\":0}\n\ndata: {\"n\":1}\n\n");
  CHECK(later.finished);
}

TEST_CASE("an error before the first value has its status") {
  auto at_once = run(*endpoint_of<count>(false), get("/", "n=2&fail_at=0"));
  CHECK(at_once.head == R"(409 application/json {"error":"at 0"})");
  CHECK_FALSE(at_once.finished);
  CHECK(run_async(*endpoint_of<count_later>(false), get("/", "n=0")).head
        == R"(404 application/json {"error":"nothing to count"})");
}

TEST_CASE("a client that has to wait for the first value knows that it is connected") {
  for (const bool as_events : {true, false}) {
    manual_executor where;
    encoded_results results;
    auto in = get("/", "n=1");
    auto exchange =
      std::make_shared<fake_exchange>(as_events ? accepting(std::move(in), "text/event-stream") : in);
    auto body = endpoint_of<news>(false);
    body->handle_async(exchange, results, where, [](bool) {});
    CHECK(exchange->seen->has_begun());
    CHECK(seen(*exchange).head == (as_events ? "200 text/event-stream" : "200 application/x-ndjson"));
    CHECK(exchange->seen->streamed() == "");
    CHECK(exchange->is_streaming.load()); // no deadline ends it
    where.advance(1h);
    CHECK(exchange->seen->streamed() == (as_events ? "data: {\"n\":1}\n\n" : "{\"n\":1}\n"));
    CHECK(exchange->seen->is_finished());
  }
}

TEST_CASE("what a stream throws before it first waits has its status, what it throws afterwards has none") {
  auto refused = run_async(*endpoint_of<news>(false), get("/", "n=0"));
  CHECK(refused.head == R"(409 application/json {"error":"no news"})");
  manual_executor where;
  encoded_results results;
  auto exchange = std::make_shared<fake_exchange>(get("/", "n=1&fail_at=1"));
  auto body = endpoint_of<news>(false);
  body->handle_async(exchange, results, where, [](bool) {});
  where.advance(1h);
  CHECK(seen(*exchange).head == "200 application/x-ndjson");
  CHECK(exchange->seen->streamed() == "{\"error\":\"too late\"}\n");
  CHECK_FALSE(exchange->seen->is_finished());
}

TEST_CASE("a later error is told, and no end is pretended where it would look like one") {
  captured_log log;
  auto lines = run(*endpoint_of<count>(false), get("/", "n=2&fail_at=1"));
  CHECK(lines.head == "200 application/x-ndjson");
  CHECK(lines.text == "{\"n\":0}\n{\"error\":\"at 1\"}\n");
  CHECK_FALSE(lines.finished);
  auto events =
    run_async(*endpoint_of<count_slowly>(false), accepting(get("/", "n=2&fail_at=1"), "text/event-stream"));
  CHECK(events.text
        == "data: {\"n\":0}\n\nevent: error\ndata: {\"error\":\"internal error\",\"id\":\"req-1\"}\n\n");
  CHECK(events.finished);
  CHECK(log.text() == "error: processor \"lookup\": request req-1: secret\n");
}

TEST_CASE("a writer that blocks waits for a client that is slower") {
  auto exchange = std::make_shared<fake_exchange>(get("/", "n=10"));
  exchange->holds = true;
  auto body = endpoint_of<big>(false);
  auto writing = std::async(std::launch::async, [&] {
    encoded_results results;
    body->handle(exchange, results);
  });
  exchange->wait_until_writer_waits();
  CHECK(exchange->seen->write_count() == 3); // and the first with the head: just above the window
  exchange->take();
  exchange->wait_until_writer_waits();
  CHECK(exchange->seen->write_count() == 7);
  exchange->take();
  writing.get();
  CHECK(exchange->seen->is_finished());
  CHECK(exchange->seen->streamed().size() == 10 * (big_text().size() + 3));
}

TEST_CASE("a writer that waits for a client that goes is let go") {
  auto exchange = std::make_shared<fake_exchange>(get("/", "n=10"));
  exchange->holds = true;
  auto body = endpoint_of<big>(false);
  auto writing = std::async(std::launch::async, [&] {
    encoded_results results;
    body->handle(exchange, results);
  });
  exchange->wait_until_writer_waits();
  exchange->cancel();
  writing.get();
  CHECK_FALSE(exchange->seen->is_finished());
}

TEST_CASE("a stream is asked for values only when the client has room") {
  manual_executor where;
  encoded_results results;
  auto exchange = std::make_shared<fake_exchange>(get("/", "n=10"));
  exchange->holds = true;
  auto body = endpoint_of<big_async>(false);
  int done_count = 0;
  body->handle_async(exchange, results, where, [&](bool) { ++done_count; });
  where.run();
  CHECK(big_count == 3);
  CHECK(done_count == 0);
  exchange->take();
  where.run();
  CHECK(big_count == 7);
  exchange->take();
  where.run();
  CHECK(done_count == 1);
  CHECK(exchange->seen->is_finished());
}

TEST_CASE("a coroutine ends with its client") {
  manual_executor where;
  encoded_results results;
  auto exchange = std::make_shared<fake_exchange>(get("/"));
  auto body = endpoint_of<endless>(false);
  int done_count = 0;
  body->handle_async(exchange, results, where, [&](bool) { ++done_count; });
  CHECK(exchange->seen->streamed() == "{\"n\":0}\n");
  exchange->cancel();
  CHECK(done_count == 0); // on its executor
  where.run();
  CHECK(done_count == 1);
  where.advance(2h);
  CHECK(exchange->seen->streamed() == "{\"n\":0}\n");
  CHECK(done_count == 1);
}

TEST_CASE("a client that goes when the coroutine has ended changes nothing") {
  manual_executor where;
  encoded_results results;
  auto exchange = std::make_shared<fake_exchange>(get("/", "n=1"));
  auto body = endpoint_of<count_slowly>(false);
  int done_count = 0;
  body->handle_async(exchange, results, where, [&](bool) { ++done_count; });
  where.advance(1ms);
  CHECK(done_count == 1);
  exchange->cancel();
  where.run();
  CHECK(done_count == 1);
}
