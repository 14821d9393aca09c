#include "tests/integration/http/http_fixture.hpp"

#include <thread>

namespace sluice::http::testing {

TEST_CASE_FIXTURE(http_fixture, "a dropped request is 502, and the connection goes on") {
  handler.on_handle = [](exchange_ptr call) {
    if (call->in.path == "/throw")
      throw std::runtime_error{"router"};
    if (call->in.path == "/drop")
      return call.reset();
    call->respond({});
  };
  auto client = connect();
  CHECK(client.ask(get("/drop")).status == 502);
  CHECK(client.ask(get("/throw")).status == 502);
  CHECK(client.ask(get("/")).status == 200);
}

TEST_CASE_FIXTURE(http_fixture, "a refused request says whether to come again") {
  handler.on_handle = [](exchange_ptr call) {
    auto code = call->in.path == "/full"       ? errc::overloaded
                : call->in.path == "/draining" ? errc::shutting_down
                : call->in.path == "/late"     ? errc::timeout
                                               : errc::unavailable;
    call->refuse({code, "why"});
  };
  auto client = connect();
  auto full = client.ask(get("/full"));
  CHECK(full.status == 503);
  CHECK(full.field("Retry-After") == "1");
  CHECK(full.body == R"({"error":"why"})");
  CHECK(client.ask(get("/draining")).field("Retry-After") == "1");
  CHECK(client.ask(get("/late")).status == 504);
  auto gone = client.ask(get("/gone"));
  CHECK(gone.status == 503);
  CHECK(gone.field("Retry-After") == "1");
}

TEST_CASE_FIXTURE(http_fixture, "failures of a collector's request say that it was none") {
  handler.on_decide = [](request& in) {
    return ingress::head_decision{
      .body_bytes_max = 3, .timeout = in.path == "/late" ? 50ms : 60000ms, .errors = error_form::collector};
  };
  handover<exchange_ptr> held;
  handler.on_handle = [&](exchange_ptr call) {
    if (call->in.path == "/full")
      call->refuse({errc::overloaded, "why"});
    else if (call->in.path == "/late")
      held.put(std::move(call)); // else it is dropped
  };
  auto client = connect();
  CHECK(client.ask(get("/full")).body == R"({"success":false,"error":"why"})");
  CHECK(client.ask(get("/late")).body.starts_with(R"({"success":false,)"));
  CHECK(client.ask(get("/lost")).body.starts_with(R"({"success":false,)"));
  CHECK(client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd")
          .body.starts_with(R"({"success":false,)"));
}

TEST_CASE_FIXTURE(http_fixture, "a request that is not answered in time is 504, and told so") {
  handover<exchange_ptr> calls;
  hold(calls);
  handler.on_decide = [](request&) { return ingress::head_decision{.timeout = 50ms}; };
  auto client = connect();
  client.send(get("/"));
  auto call = calls.take();
  REQUIRE(call);
  handover<bool> cancelled;
  call->when_cancelled([&] { cancelled.put(true); });
  const auto late = client.read();
  CHECK(late.status == 504);
  CHECK(late.body.find("no answer came within the 50 ms that this route allows") != std::string::npos);
  CHECK(cancelled.take());
  call->respond({200, {}, "too late"});
  // What comes too late does not answer the next request.
  client.send(get("/2"));
  auto next = calls.take();
  REQUIRE(next);
  next->respond({200, {}, "second"});
  CHECK(client.read().body == "second");
}

TEST_CASE_FIXTURE(http_fixture, "only the first end of an exchange counts") {
  handler.on_handle = [](exchange_ptr call) {
    call->respond({200, {}, "first"});
    call->respond({500, {}, "second"});
    call->refuse({errc::overloaded, ""});
    call->begin({});
    CHECK(!call->write("x"));
    call->finish();
  };
  auto client = connect();
  CHECK(client.ask(get("/")).body == "first");
  CHECK(client.ask(get("/")).body == "first");
}

TEST_CASE_FIXTURE(http_fixture, "a stream is chunked and the connection goes on") {
  handler.on_handle = [](exchange_ptr call) {
    call->begin({200, {{"Content-Type", "text/event-stream"}}, "one,"});
    CHECK(call->write("two,"));
    CHECK(call->write(""));
    CHECK(call->write("three"));
    call->finish();
  };
  auto client = connect();
  for (int i = 0; i < 2; ++i) {
    auto answer = client.ask(get("/", "Accept-Encoding: gzip\r\n"));
    CHECK(answer.complete);
    CHECK(answer.body == "one,two,three");
    CHECK(answer.field("Transfer-Encoding") == "chunked");
    CHECK(answer.field("Content-Encoding").empty());
  }
}

TEST_CASE_FIXTURE(http_fixture, "a stream to HTTP/1.0 ends with the connection") {
  handler.on_handle = [](exchange_ptr call) {
    call->begin({200, {}, "one,"});
    call->write("two");
    call->finish();
  };
  auto client = connect();
  auto answer = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(answer.body == "one,two");
  CHECK(answer.field("Connection") == "close");
  CHECK(answer.field("Transfer-Encoding").empty());
}

TEST_CASE_FIXTURE(http_fixture, "a stream to HEAD is over after its head") {
  handover<bool> wrote;
  handler.on_handle = [&](exchange_ptr call) {
    call->begin({200, {}, "one"});
    wrote.put(call->write("two"));
    call->finish();
  };
  auto client = connect();
  CHECK(client.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", true).status == 200);
  CHECK(!wrote.take());
  CHECK(client.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", true).status == 200);
}

TEST_CASE_FIXTURE(http_fixture, "a stream outlives the deadline of its request") {
  handover<exchange_ptr> calls;
  hold(calls);
  handler.on_decide = [](request& head) {
    return ingress::head_decision{.timeout = head.path == "/stream" ? 50ms : 60000ms};
  };
  auto streaming = connect();
  streaming.send(get("/stream"));
  auto stream = calls.take();
  REQUIRE(stream);
  stream->begin({200, {}, "a"});
  // Another request with the same deadline goes by on the clock of the same kind.
  auto other = connect();
  other.send(get("/stream"));
  auto timed = calls.take();
  CHECK(other.read().status == 504);
  CHECK(stream->write("b"));
  stream->finish();
  CHECK(streaming.read().body == "ab");
}

TEST_CASE_FIXTURE(http_fixture, "a stream that is dropped is cut, not ended") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect();
  client.send(get("/"));
  auto call = calls.take();
  call->begin({200, {}, "half"});
  call.reset();
  auto answer = client.read();
  CHECK(!answer.complete);
  CHECK(client.closed_by_server());
}

TEST_CASE_FIXTURE(http_fixture, "a stream that breaks off after a pause is cut, too") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect();
  client.send(get("/"));
  auto call = calls.take();
  REQUIRE(call);
  call->begin({200, {}, "half"});
  while (client.unread().find("half") == std::string::npos)
    REQUIRE(client.receive());
  call.reset();
  CHECK(client.closed_by_server());
}

TEST_CASE_FIXTURE(http_fixture, "a stream to HTTP/1.0 that ends after a pause ends the connection") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect();
  client.send("GET / HTTP/1.0\r\n\r\n");
  auto call = calls.take();
  REQUIRE(call);
  call->begin({200, {}, "all"});
  while (client.unread().find("all") == std::string::npos)
    REQUIRE(client.receive());
  call->finish();
  CHECK(client.closed_by_server());
}

TEST_CASE_FIXTURE(http_fixture,
                  "what was written before a stream is dropped reaches the client, earlier answers too") {
  handler.on_handle = [](exchange_ptr call) {
    if (call->in.path == "/whole")
      return call->respond({200, {}, "whole"});
    call->begin({200, {}, "one,"});
    call->write("two,");
    call->write(R"({"error":"why"})");
  };
  auto client = connect();
  client.send(get("/whole") + get("/broken") + get("/never"));
  CHECK(client.read().body == "whole");
  auto broken = client.read();
  CHECK(broken.status == 200);
  CHECK(broken.body == R"(one,two,{"error":"why"})");
  CHECK(!broken.complete);
  CHECK(client.closed_by_server());
  CHECK(handler.handled() == std::vector<std::string>{"/whole", "/broken"});
}

TEST_CASE_FIXTURE(http_fixture,
                  "a stream that is dropped while its client is slow is cut when all has been read") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect(4096);
  client.send(get("/"));
  auto call = calls.take();
  REQUIRE(call);
  call->begin({200, {}, ""});
  std::size_t written = 0;
  while (call->waiting_bytes() < stream_window_bytes) {
    REQUIRE(call->write(std::string(64 << 10, 'x')));
    written += 64 << 10;
  }
  call.reset();
  auto answer = client.read();
  CHECK(answer.body.size() == written);
  CHECK(!answer.complete);
  CHECK(client.closed_by_server());
}

TEST_CASE_FIXTURE(http_fixture, "a writer learns that its client has gone") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect();
  client.send(get("/"));
  auto call = calls.take();
  handover<bool> cancelled;
  call->when_cancelled([&] { cancelled.put(true); });
  call->begin({200, {}, "half"});
  client.close();
  CHECK(cancelled.take());
  CHECK(!call->write("more"));
  call->finish();
  handover<bool> late;
  call->when_cancelled([&] { late.put(true); });
  CHECK(late.take());
}

TEST_CASE_FIXTURE(
  http_fixture, "a client that half-closes gives up what can be given up, and gets what comes all the same") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect();
  client.send(get("/"));
  auto call = calls.take();
  handover<bool> cancelled;
  call->when_cancelled([&] { cancelled.put(true); });
  client.end_of_input();
  CHECK(cancelled.take());
  SUBCASE("an answer") {
    call->respond({200, {}, "whole"});
    CHECK(client.read().body == "whole");
  }
  SUBCASE("nothing: it is told that this was its doing") {
    call.reset(); // whoever had it lets go of it
    const auto answer = client.read();
    CHECK(answer.status == 499);
    CHECK_MESSAGE(answer.body.find("ended its side") != std::string::npos, answer.body);
  }
}

TEST_CASE_FIXTURE(http_fixture, "a stream goes on when its client sends no more, but for events") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto late = connect();
  late.send(get("/"));
  late.end_of_input();
  auto call = calls.take();
  REQUIRE(call);
  handover<bool> cancelled;
  call->when_cancelled([&] { cancelled.put(true); });
  CHECK(cancelled.take()); // it might have been any request
  call->begin({200, {{"Content-Type", "application/x-ndjson"}}, "one,"});
  CHECK(call->write("two"));
  call->finish();
  CHECK(late.read().body == "one,two");
  CHECK(late.closed_by_server());

  auto lines = connect();
  lines.send(get("/"));
  call = calls.take();
  call->when_cancelled([&] { cancelled.put(true); });
  call->begin({200, {{"Content-Type", "application/x-ndjson"}}, "one,"});
  lines.end_of_input();
  auto events = connect();
  events.send(get("/"));
  auto other = calls.take();
  handover<bool> events_cancelled;
  other->when_cancelled([&] { events_cancelled.put(true); });
  other->begin({200, {{"Content-Type", "text/event-stream"}}, "data: 1\n\n"});
  events.end_of_input();
  CHECK(events_cancelled.take());
  CHECK(!other->write("data: 2\n\n"));
  CHECK(cancelled.empty());
  CHECK(call->write("two"));
  call->finish();
  CHECK(lines.read().body == "one,two");
}

TEST_CASE_FIXTURE(http_fixture, "what a slow reader does not take of another thread's answer follows") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect(4096);
  client.send(get("/large") + get("/next"));
  std::string body(8 << 20, 'x');
  for (std::size_t i = 0; i < body.size(); i += 1000)
    body[i] = static_cast<char>('a' + i / 1000 % 26);
  calls.take()->respond({200, {}, body});
  CHECK(client.read().body == body);
  calls.take()->respond({200, {}, "next"});
  CHECK(client.read().body == "next");
}

TEST_CASE_FIXTURE(http_fixture, "a writer waits for a slow reader and goes on when there is room") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect(4096);
  client.send(get("/"));
  auto call = calls.take();
  call->begin({200, {}, ""});
  std::string part(64 << 10, 'x');
  std::size_t written = 0;
  // The client does not read: the window fills up.
  while (call->waiting_bytes() < stream_window_bytes) {
    REQUIRE(call->write(part));
    written += part.size();
    REQUIRE(written < (1u << 30));
  }
  handover<bool> room;
  call->when_writable([&] { room.put(true); });
  CHECK(room.empty());
  std::thread reading{[&] { CHECK(client.read().body.size() == written + part.size()); }};
  CHECK(room.take());
  CHECK(call->write(part));
  call->finish();
  reading.join();
}

TEST_CASE_FIXTURE(http_fixture, "who waits for room is woken when the client goes") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect(4096);
  client.send(get("/"));
  auto call = calls.take();
  call->begin({200, {}, ""});
  while (call->waiting_bytes() < stream_window_bytes)
    call->write(std::string(64 << 10, 'x'));
  handover<bool> woken;
  call->when_writable([&] { woken.put(true); });
  client.close();
  CHECK(woken.take());
  // Some room may have woken it: the socket took more. Then the end comes with one of the next parts.
  while (call->write(std::string(64 << 10, 'x'))) {
    call->when_writable([&] { woken.put(true); });
    CHECK(woken.take());
  }
}

TEST_CASE_FIXTURE(http_fixture, "an exchange may be answered when its server is gone") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect();
  client.send(get("/1"));
  auto call = calls.take();
  handover<bool> cancelled;
  call->when_cancelled([&] { cancelled.put(true); });
  running.reset();
  CHECK(cancelled.take());
  call->respond({});
  call.reset();
  CHECK(client.closed_by_server());
}

TEST_CASE_FIXTURE(http_fixture, "draining ends idle connections at once and the others with their answer") {
  handover<exchange_ptr> calls;
  handler.on_handle = [&](exchange_ptr call) {
    if (call->in.path == "/quick")
      return call->respond({});
    calls.put(std::move(call));
  };
  auto idle = connect();
  CHECK(idle.ask(get("/quick")).status == 200);
  auto fresh = connect();
  auto busy = connect();
  busy.send(get("/held"));
  auto call = calls.take();
  REQUIRE(call);
  CHECK(!running->drain(0ms));
  CHECK(idle.closed_by_server());
  CHECK(fresh.closed_by_server());
  CHECK(!http_client{port()}.connected());
  call->respond({200, {}, "done"});
  auto answer = busy.read();
  CHECK(answer.body == "done");
  CHECK(answer.field("Connection") == "close");
  busy.close();
  CHECK(running->drain(30s));
  CHECK(running->connection_count() == 0);
}

TEST_CASE_FIXTURE(http_fixture,
                  "streams are cut when they are told to be, other requests get their answers") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto reader = connect();
  reader.send(get("/stream"));
  auto stream = calls.take();
  REQUIRE(stream);
  handover<bool> called_off;
  stream->when_cancelled([&] { called_off.put(true); });
  stream->begin({200, {}, "one,"});
  while (reader.unread().find("one,") == std::string::npos)
    REQUIRE(reader.receive());
  auto asker = connect();
  asker.send(get("/held"));
  auto held = calls.take();
  REQUIRE(held);
  CHECK(!running->drain(0ms));
  running->cut_streams();
  CHECK(reader.closed_by_server());
  CHECK(called_off.take());
  CHECK_FALSE(stream->write("two"));
  held->respond({200, {}, "done"});
  CHECK(asker.read().body == "done");
  asker.close();
  CHECK(running->drain(30s));
}

TEST_CASE_FIXTURE(http_fixture, "a stream that began before the drain ends with its connection") {
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect();
  client.send(get("/"));
  auto call = calls.take();
  REQUIRE(call);
  call->begin({200, {}, "one,"});
  CHECK(!running->drain(0ms));
  call->write("two");
  call->finish();
  auto answer = client.read();
  CHECK(answer.body == "one,two");
  CHECK(answer.complete);
  client.send(get("/late"));
  CHECK(client.closed_by_server());
  CHECK(client.unread().empty());
  client.close();
  CHECK(running->drain(30s));
  CHECK(handler.handled() == std::vector<std::string>{"/"});
}

} // namespace sluice::http::testing
