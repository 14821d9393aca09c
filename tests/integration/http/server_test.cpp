#include "tests/integration/http/http_fixture.hpp"
#include "tests/support/subprocess.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace sluice::http::testing {

TEST_CASE_FIXTURE(http_fixture, "a request is answered, and the connection goes on") {
  auto client = connect();
  for (int i = 0; i < 3; ++i) {
    auto answer = client.ask(post("/a", "body"));
    CHECK(answer.status == 200);
    CHECK(answer.body == "POST /a? body");
    CHECK(answer.field("Server") == "sluice");
    CHECK(answer.field("Date").size() == 29);
    CHECK(answer.field("X-Request-Id").size() == 13);
    CHECK(answer.field("Connection").empty());
  }
}

TEST_CASE_FIXTURE(http_fixture, "pipelined requests are answered in order, one at a time") {
  auto client = connect();
  std::string all;
  for (int i = 0; i < 200; ++i)
    all += i % 2 ? post("/" + std::to_string(i), "x") : get("/" + std::to_string(i));
  client.send(all);
  for (int i = 0; i < 200; ++i)
    CHECK(client.read().body
          == (i % 2 ? "POST /" + std::to_string(i) + "? x" : "GET /" + std::to_string(i) + "? "));
}

TEST_CASE_FIXTURE(http_fixture, "what is pipelined waits while a request is held") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect();
  client.send(get("/1") + get("/2"));
  auto first = calls.take();
  REQUIRE(first);
  CHECK(handler.handled() == std::vector<std::string>{"/1"});
  first->respond({200, {}, "one"});
  auto second = calls.take();
  REQUIRE(second);
  CHECK(second->in.path == "/2");
  second->respond({200, {}, "two"});
  CHECK(client.read().body == "one");
  CHECK(client.read().body == "two");
}

TEST_CASE_FIXTURE(http_fixture, "more pipelined bytes than are kept stay in the socket and are read later") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect();
  // Half a megabyte of requests while the first is held.
  constexpr int count = 500;
  std::string padding = "X-Padding: " + std::string(1000, 'p') + "\r\n";
  std::thread sending{[&] {
    for (int i = 0; i < count; ++i)
      client.send(get("/" + std::to_string(i), padding));
  }};
  for (int i = 0; i < count; ++i) {
    auto call = calls.take();
    REQUIRE(call);
    CHECK(call->in.path == "/" + std::to_string(i));
    call->respond({200, {}, "ok"});
  }
  sending.join();
  for (int i = 0; i < count; ++i)
    CHECK(client.read().status == 200);
}

TEST_CASE_FIXTURE(http_fixture, "a client that pipelines without reading is not served ahead without end") {
  std::atomic<int> served = 0;
  handler.on_handle = [&](exchange_ptr call) {
    ++served;
    call->respond({200, {}, std::string(100'000, 'x')});
  };
  auto client = connect(4096);
  constexpr int count = 400;
  std::string all;
  for (int i = 0; i < count; ++i)
    all += get("/");
  client.send(all);
  REQUIRE(client.read().body.size() == 100'000);
  CHECK(served < count); // 40 MB would have gathered
  for (int i = 1; i < count; ++i)
    REQUIRE(client.read().body.size() == 100'000);
}

TEST_CASE_FIXTURE(http_fixture, "HEAD has what GET has, but the body") {
  std::string length;
  auto client = connect();
  auto got = client.ask(get("/a"));
  auto head = client.ask("HEAD /a HTTP/1.1\r\nHost: test\r\n\r\n", true);
  CHECK(head.status == 200);
  CHECK(head.field("Content-Length") == got.field("Content-Length"));
  CHECK(client.ask(get("/b")).body == "GET /b? "); // nothing of the body was sent
}

TEST_CASE_FIXTURE(http_fixture, "HTTP/1.0 closes after the answer unless asked to keep alive") {
  auto client = connect();
  auto answer = client.ask("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(answer.field("Connection") == "keep-alive");
  answer = client.ask("GET /a HTTP/1.0\r\n\r\n");
  CHECK(answer.body == "GET /a? ");
  CHECK(answer.field("Connection") == "close");
  CHECK(client.closed_by_server());
}

TEST_CASE_FIXTURE(http_fixture, "empty lines before a request are skipped, before the first one too") {
  auto client = connect();
  CHECK(client.ask("\r\n" + get("/1")).body == "GET /1? ");
  CHECK(client.ask("\r\n\r\n" + get("/2")).body == "GET /2? ");
  auto slow = connect();
  for (char byte : "\r\n\r\n" + get("/3"))
    CHECK(slow.send({&byte, 1}));
  CHECK(slow.read().body == "GET /3? ");
  CHECK(connect().ask("\n" + get("/4")).status == 400);
}

TEST_CASE_FIXTURE(http_fixture, "a client that half-closes after its requests gets all answers") {
  auto client = connect();
  client.send(get("/1") + get("/2"));
  client.end_of_input();
  CHECK(client.read().body == "GET /1? ");
  CHECK(client.read().body == "GET /2? ");
  CHECK(client.closed_by_server());
}

TEST_CASE_FIXTURE(http_fixture, "answers come from any thread") {
  handover<exchange_ptr> calls;
  hold(calls);
  port();
  std::thread answering{[&] {
    while (auto call = calls.take()) {
      if (call->in.path == "/end")
        return call->respond({});
      call->respond({200, {}, call->in.path});
    }
  }};
  std::vector<std::thread> asking;
  std::atomic<int> right = 0;
  for (int c = 0; c < 4; ++c)
    asking.emplace_back([&, c] {
      http_client client{port()};
      for (int i = 0; i < 200; ++i) {
        auto path = "/" + std::to_string(c) + "/" + std::to_string(i);
        right += client.ask(get(path)).body == path;
      }
    });
  for (auto& each : asking)
    each.join();
  CHECK(right == 800);
  http_client{port()}.ask(get("/end"));
  answering.join();
}

TEST_CASE_FIXTURE(http_fixture, "a server that stops leaves the thread that it shares to others") {
  options.threads = 1;
  handover<exchange_ptr> calls;
  hold(calls);
  auto idle = connect();
  auto waiting = connect();
  waiting.send(get("/held"));
  auto held = calls.take();
  REQUIRE(held);
  fake_http_handler elsewhere;
  auto other = server::start({.io = io.core()}, elsewhere);
  REQUIRE(other);

  running->stop();
  CHECK(idle.closed_by_server());
  CHECK(waiting.closed_by_server());
  running.reset();
  held->respond({200, {}, "too late"});
  CHECK(http_client{(*other)->ports().front()}.ask(get("/goes-on")).body == "GET /goes-on? ");
}

TEST_CASE_FIXTURE(http_fixture, "a request id that is sane is taken over, another is replaced") {
  auto client = connect();
  CHECK(client.ask(get("/", "X-Request-Id: abc-1\r\n")).field("X-Request-Id") == "abc-1");
  CHECK(client.ask(get("/", "X-Request-Id: a b\r\n")).field("X-Request-Id").size() == 13);
}

TEST_CASE_FIXTURE(http_fixture, "Expect: 100-continue is answered when the body is wanted, and only then") {
  handler.on_decide = [](request& head) {
    ingress::head_decision decision{.body_bytes_max = 10};
    if (head.path == "/missing")
      decision.answer = error_response(404, "no such route");
    return decision;
  };
  auto expecting = [](std::string_view path, int length) {
    return "POST " + std::string{path} + " HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: "
           + std::to_string(length) + "\r\n\r\n";
  };
  auto client = connect();
  client.send(expecting("/a", 3));
  REQUIRE(client.receive());
  CHECK(client.unread() == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(client.ask("abc").body == "POST /a? abc");
  CHECK(client.ask(expecting("/a", 11)).status == 413);
  CHECK(client.closed_by_server());
  auto other = connect();
  CHECK(other.ask(expecting("/missing", 3)).status == 404);
  CHECK(other.closed_by_server());
}

TEST_CASE_FIXTURE(http_fixture, "a ready answer is sent without asking the handler") {
  handler.on_decide = [](request&) {
    return ingress::head_decision{.answer = response{405, {{"Allow", "GET"}}, "no"}};
  };
  auto client = connect();
  CHECK(client.ask(get("/")).field("Allow") == "GET");
  CHECK(client.ask(get("/")).status == 405); // kept alive
  CHECK(client.ask(post("/", "body")).field("Connection") == "close");
  CHECK(client.closed_by_server());
  CHECK(handler.handled().empty());
}

TEST_CASE_FIXTURE(http_fixture, "path parameters, route and query reach the handler") {
  handler.on_decide = [](request& head) {
    head.params = {{"id", "7"}};
    return ingress::head_decision{};
  };
  handler.on_handle = [](exchange_ptr call) {
    call->respond({200, {}, std::string{call->in.param("id")} + *call->in.query_field("q")});
  };
  CHECK(connect().ask(get("/a/7?q=%41")).body == "7A");
}

TEST_CASE_FIXTURE(http_fixture, "CORS fields stand on every answer of a route that has them") {
  auto origins = std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"http://a"});
  handler.on_decide = [&](request&) {
    return ingress::head_decision{.body_bytes_max = 1, .cors_origins = origins};
  };
  auto client = connect();
  auto allowed = client.ask(get("/", "Origin: http://a\r\n"));
  CHECK(allowed.field("Access-Control-Allow-Origin") == "http://a");
  CHECK(allowed.field("Vary") == "Origin");
  auto other = client.ask(get("/", "Origin: http://b\r\n"));
  CHECK(other.status == 200);
  CHECK(other.field("Access-Control-Allow-Origin").empty());
  auto refused = client.ask(post("/", "too long", "Origin: http://a\r\n"));
  CHECK(refused.status == 413);
  CHECK(refused.field("Access-Control-Allow-Origin") == "http://a");
}

TEST_CASE_FIXTURE(http_fixture, "a page of another site changes nothing, unless its origin is listed") {
  auto origins = std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"http://friend"});
  handler.on_decide = [&](request&) { return ingress::head_decision{.cors_origins = origins}; };
  const auto status = [&](const std::string& asked) { return connect().ask(asked).status; };
  CHECK(status(post("/", "{}", "Origin: http://evil\r\n")) == 403);
  CHECK(status(post("/", "{}", "Origin: null\r\n")) == 403);
  CHECK(status("DELETE / HTTP/1.1\r\nHost: test\r\nOrigin: http://evil\r\n\r\n") == 403);
  CHECK(status(post("/", "{}", "Origin: http://test\r\n")) == 200);
  CHECK(status(post("/", "{}", "Origin: http://test:80\r\n")) == 200);
  CHECK(status(post("/", "{}", "Origin: http://test:81\r\n")) == 403);
  CHECK(status("DELETE / HTTP/1.1\r\nHost: test:80\r\nOrigin: http://test\r\n\r\n") == 200);
  CHECK(status("DELETE / HTTP/1.1\r\nHost: test:443\r\nOrigin: https://test\r\n\r\n") == 200);
  CHECK(status("DELETE / HTTP/1.1\r\nHost: test:443\r\nOrigin: http://test\r\n\r\n") == 403);
  CHECK(status(post("/", "{}", "Origin: http://friend\r\n")) == 200);
  CHECK(status(post("/", "{}")) == 200);
  CHECK(status(get("/", "Origin: http://evil\r\n")) == 200); // whose answer it may not read
  origins.reset();
  CHECK(status(post("/", "{}", "Origin: http://friend\r\n")) == 403);
}

TEST_CASE_FIXTURE(http_fixture, "text is gzipped for who accepts it") {
  handler.on_handle = [](exchange_ptr call) {
    call->respond({200, {{"Content-Type", "application/json"}}, std::string(100'000, '1')});
  };
  auto client = connect();
  auto packed = client.ask(get("/", "Accept-Encoding: gzip\r\n"));
  CHECK(packed.field("Content-Encoding") == "gzip");
  CHECK(packed.body.size() < 2000);
  CHECK(packed.body.starts_with("\x1f\x8b"));
  auto plain = client.ask(get("/"));
  CHECK(plain.body.size() == 100'000);
  CHECK(plain.field("Vary") == "Accept-Encoding");
}

TEST_CASE_FIXTURE(http_fixture, "each request is logged with its status, size and id") {
  handover<std::string> log;
  options.on_access = [&](const access_entry& entry) {
    CHECK(entry.client.starts_with("127.0.0.1:"));
    CHECK(entry.taken.count() >= 0);
    log.put(std::string{entry.method} + " " + std::string{entry.path} + " " + std::to_string(entry.status)
            + " " + std::to_string(entry.bytes) + " " + std::string{entry.id});
  };
  auto client = connect();
  client.ask(get("/a?secret", "X-Request-Id: i1\r\n"));
  CHECK(log.take() == "GET /a 200 14 i1");
  client.ask("HEAD /b HTTP/1.1\r\nHost: test\r\nX-Request-Id: i2\r\n\r\n", true);
  CHECK(log.take() == "HEAD /b 200 0 i2");
  client.ask("nonsense\r\n\r\n");
  CHECK(log.take().find(" 400 ") != std::string::npos);
}

TEST_CASE_FIXTURE(http_fixture, "requests that come together are logged each with what is its own") {
  handover<std::string> log;
  options.on_access = [&](const access_entry& entry) {
    log.put(std::string{entry.path} + " " + std::to_string(entry.status) + " " + std::to_string(entry.bytes)
            + " " + std::string{entry.id});
  };
  handler.on_handle = [](exchange_ptr call) {
    call->respond({call->in.path == "/b" ? 201u : 200u, {}, std::string(call->in.path.size() * 10, 'x')});
  };
  auto client = connect();
  client.send(get("/a", "X-Request-Id: i1\r\n") + get("/b", "X-Request-Id: i2\r\n")
              + get("/long", "X-Request-Id: i3\r\n"));
  CHECK(log.take() == "/a 200 20 i1");
  CHECK(log.take() == "/b 201 20 i2");
  CHECK(log.take() == "/long 200 50 i3");
  client.send(get("/last", "X-Request-Id: i4\r\nConnection: close\r\n") + get("/unread"));
  CHECK(log.take() == "/last 200 50 i4");
}

TEST_CASE_FIXTURE(http_fixture, "of an answer that its client does not take the log counts what it took") {
  constexpr std::size_t whole = 64u << 20; // more than two sockets hold
  handover<std::uint64_t> log;
  options.on_access = [&](const access_entry& entry) {
    CHECK(entry.status == 200);
    log.put(std::uint64_t{entry.bytes});
  };
  handler.on_handle = [](exchange_ptr call) { call->respond({200, {}, std::string(whole, 'x')}); };
  {
    auto client = connect();
    client.send(get("/"));
    REQUIRE(client.receive());
    client.close();
    const auto taken = log.take();
    CHECK(taken > 0);
    CHECK(taken < whole);
  }
  {
    handler.on_handle = [](exchange_ptr call) { // one that has not ended when its client goes
      call->begin({});
      call->write(std::string(whole, 'x'));
      call->when_cancelled([call] {});
    };
    auto client = connect();
    client.send(get("/"));
    REQUIRE(client.receive());
    client.close();
    CHECK(log.take() < whole);
  }
  handler.on_handle = [](exchange_ptr call) { call->respond({200, {}, std::string(whole, 'x')}); };
  auto patient = connect();
  CHECK(patient.ask(get("/")).body.size() == whole);
  CHECK(log.take() == whole);
}

TEST_CASE_FIXTURE(http_fixture, "the log knows who answered, after how many attempts, and what came in") {
  handover<std::string> log;
  options.on_access = [&](const access_entry& entry) {
    log.put(std::string{entry.processor} + " " + std::to_string(entry.replica) + " "
            + std::to_string(entry.attempts) + " " + std::to_string(entry.bytes_in));
  };
  handler.on_decide = [](request& head) {
    ingress::head_decision out;
    if (head.path == "/p")
      out.processor = std::make_shared<const std::string>("shop/p");
    return out;
  };
  handler.on_handle = [](exchange_ptr call) {
    if (call->in.path == "/p") // as the router does
      for (std::uint64_t replica : {3, 7})
        dynamic_cast<ingress::client_exchange&>(*call).given_to(replica_id{replica});
    call->respond({200, {}, "x"});
  };
  auto client = connect();
  client.ask("POST /p HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello");
  CHECK(log.take() == "shop/p 7 2 5");
  client.ask(get("/elsewhere"));
  CHECK(log.take() == " 0 0 0");
}

TEST_CASE_FIXTURE(http_fixture, "a method that no route may have is told what the path allows") {
  handler.on_decide = [](request& head) {
    ingress::head_decision out;
    if (head.method == method::options && head.path == "/a")
      out.answer = response{204, {{"Allow", "GET, HEAD, OPTIONS"}}, {}};
    return out;
  };
  auto answer = connect().ask("TRACE /a?x HTTP/1.1\r\nHost: test\r\n\r\n");
  CHECK(answer.status == 405);
  CHECK(answer.field("Allow") == "GET, HEAD, OPTIONS");
  auto tunnel = connect().ask("CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\n");
  CHECK(tunnel.status == 405);
  CHECK(tunnel.fields.contains("Allow"));
}

TEST_CASE_FIXTURE(http_fixture, "a client that asks too often is told when to try again") {
  options.limits.client_rate_max = 0.001;
  options.limits.client_burst_max = 2;
  auto client = connect();
  CHECK(client.ask(get("/")).status == 200);
  CHECK(client.ask(get("/")).status == 200);
  auto refused = client.ask(get("/"));
  CHECK(refused.status == 429);
  CHECK(refused.field("Retry-After") == "1000");
  CHECK(connect().ask(get("/")).status == 429); // another connection of the same client
  CHECK(handler.handled().size() == 2);
}

TEST_CASE_FIXTURE(http_fixture, "answers that nobody reads have a bound over all connections") {
  options.limits.answers_bytes_max = 16u << 20;
  options.gzip = false;
  handler.on_handle = [](exchange_ptr call) {
    call->respond({200, {}, std::string(call->in.path == "/big" ? 12u << 20 : 1, 'x')});
  };
  // Each asks and reads nothing: the kernel takes a part, the rest waits here, for one of them at most.
  std::vector<http_client> slow;
  for (int i = 0; i < 8; ++i) {
    slow.push_back(connect(4096));
    slow.back().send(get("/big"));
  }
  REQUIRE(sluice::test::eventually([&] { return connect().ask(get("/")).status == 200; }));
  REQUIRE(sluice::test::eventually([&] { return handler.handled().size() >= 8; }));
  CHECK(sluice::test::eventually([&] { return running->connection_count() <= 4; }));
}

TEST_CASE_FIXTURE(http_fixture, "a connection ends after its share of requests") {
  options.limits.requests_per_connection_max = 2;
  auto client = connect();
  CHECK(client.ask(get("/")).field("Connection").empty());
  CHECK(client.ask(get("/")).field("Connection") == "close");
  CHECK(client.closed_by_server());
}

TEST_CASE_FIXTURE(http_fixture, "every address has a port of its own, and one in use is a conflict") {
  options.addresses = {{"127.0.0.1", 0}, {"localhost", 0}};
  auto& first = start();
  REQUIRE(first.ports().size() == 2);
  for (auto each : first.ports())
    CHECK(http_client{each}.ask(get("/")).status == 200);
  server_options taken{.addresses = {{"127.0.0.1", first.ports()[0]}}};
  auto second = server::start(taken, handler);
  REQUIRE(!second);
  CHECK(second.error().code == errc::conflict);
  CHECK_FALSE(second.error().message.ends_with("; take another"));
  taken.address_hint = "take another";
  CHECK(server::start(taken, handler).error().message.ends_with("; take another"));
  server_options wrong{.addresses = {{"not an address", 0}}};
  CHECK(server::start(wrong, handler).error().code == errc::invalid_argument);
}

} // namespace sluice::http::testing
