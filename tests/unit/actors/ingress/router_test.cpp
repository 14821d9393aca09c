#include "tests/support/fake_websocket.hpp"
#include "tests/unit/actors/ingress/router_fixture.hpp"

using namespace sluice;
using namespace sluice::ingress;
using sluice::testing::fake_session;
using sluice::testing::fake_websocket;

// ---- decisions on the head ----------------------------------------------------------------

TEST_CASE_FIXTURE(router_fixture, "the head is told bound, timeout, CORS and parameters of its route") {
  auto one = entry(method::post, "/orders/{id}", {1});
  one.http.body_bytes_max = 77;
  one.http.cors_origins = {"https://a.example"};
  one.timeout = 1500ms;
  table.routes = {one, entry(method::get, "/plain", {1})};
  routes->set_routes(table);

  auto head = fake_exchange::make(method::post, "/orders/a%20b")->in;
  auto decision = routes->decide(head);
  CHECK_FALSE(decision.answer);
  CHECK(decision.body_bytes_max == 77);
  CHECK(decision.timeout == 1500ms);
  CHECK(*decision.cors_origins == std::vector<std::string>{"https://a.example"});
  CHECK(head.param("id") == "a b");

  auto plain = fake_exchange::make(method::head, "/plain")->in;
  decision = routes->decide(plain);
  CHECK_FALSE(decision.answer);
  CHECK(decision.timeout == limits::http_request_timeout_default);
  CHECK_FALSE(decision.cors_origins);
}

TEST_CASE_FIXTURE(router_fixture, "before anybody has said what routes there are, none is denied") {
  auto head = fake_exchange::make(method::get, "/p")->in;
  const auto answer = routes->decide(head).answer;
  REQUIRE(answer);
  CHECK(answer->status == 503);
  CHECK(answer->headers.find("Retry-After") == "1");
  routes->set_routes({});
  CHECK(routes->decide(head).answer->status == 404);
}

TEST_CASE_FIXTURE(router_fixture, "paths without a route get 404, other methods 405 and what is allowed") {
  set(method::get, {1});
  auto ask_head = [&](method by, std::string path) {
    auto head = fake_exchange::make(by, std::move(path))->in;
    return routes->decide(head).answer.value_or(response{0, {}, {}});
  };
  CHECK(ask_head(method::get, "/q").status == 404);
  CHECK(ask_head(method::get, "/q%20r").body.find("no route for the path '/q%20r'") != std::string::npos);
  CHECK(ask_head(method::get, "/" + std::string(5000, 'q')).body.size() < 300);
  CHECK(ask_head(method::get, "*").status == 404);
  CHECK(ask_head(method::post, "/p").status == 405);
  CHECK(ask_head(method::post, "/p").headers.find("Allow") == "GET, HEAD, OPTIONS");
  CHECK(ask_head(method::options, "/p").status == 204);
  CHECK(ask_head(method::options, "/p").headers.find("Allow") == "GET, HEAD, OPTIONS");
  CHECK(ask_head(method::options, "/q").status == 404);
  CHECK(ask_head(method::options, "*").status == 204);
  CHECK(ask_head(method::get, "/p").status == 0);
}

TEST_CASE_FIXTURE(router_fixture, "a parameter that does not decode gets 400") {
  table.routes = {entry(method::get, "/p/{id}", {1})};
  routes->set_routes(table);
  CHECK(ask(method::get, "/p/%zz")->status() == 400);
}

TEST_CASE_FIXTURE(router_fixture, "a preflight is answered from the route that is coming") {
  auto open = entry(method::put, "/p", {1});
  open.http.cors_origins = {"*"};
  table.routes = {open, entry(method::get, "/p", {1})};
  routes->set_routes(table);
  auto preflight = [&](std::string coming, bool has_origin = true) {
    auto head = fake_exchange::make(method::options, "/p")->in;
    if (has_origin)
      head.headers.add("Origin", "https://a.example");
    head.headers.add("Access-Control-Request-Method", std::move(coming));
    head.headers.add("Access-Control-Request-Headers", "x-key");
    return routes->decide(head);
  };
  auto put = preflight("PUT");
  CHECK(put.answer->status == 204);
  CHECK(*put.cors_origins == std::vector<std::string>{"*"});
  CHECK(put.answer->headers.find("Access-Control-Allow-Methods") == "PUT, OPTIONS"); // GET has no origins
  CHECK(put.answer->headers.find("Access-Control-Allow-Headers") == "x-key");
  for (auto& other : {preflight("GET"), preflight("POST"), preflight("BREW"), preflight("PUT", false)}) {
    CHECK(other.answer->status == 204);
    CHECK_FALSE(other.cors_origins);
    CHECK_FALSE(other.answer->headers.contains("Access-Control-Allow-Methods"));
  }
}

TEST_CASE_FIXTURE(router_fixture, "the ingress documents what it serves") {
  set(method::get, {1});
  CHECK(ask(method::get, "/openapi.json")->body() == "1");
  CHECK(ask(method::post, "/openapi.json")->status() == 405);
  CHECK(ask(method::get, "/docs")->status() == 404); // this router was given none
  auto of_flow = fake_exchange::make(method::get, "/openapi.json");
  of_flow->in.query = "flow=shop";
  routes->handle(of_flow, nullptr);
  CHECK(of_flow->seen->body() == "1shop");
  auto of_none = fake_exchange::make(method::get, "/openapi.json");
  of_none->in.query = "flow=nothing";
  routes->handle(of_none, nullptr);
  CHECK(of_none->seen->status() == 404);
  CHECK(ask(method::head, "/openapi.json")->status() == 200);
  CHECK(pages_made == 2); // once for all, once for the flow

  // A flow with a pattern for all paths does not take the document of all flows away.
  table.routes = {entry(method::get, "/{rest...}", {1}), entry(method::post, "/{name}", {1})};
  routes->set_routes(table);
  CHECK(ask(method::get, "/openapi.json")->body() == "2");
  CHECK(ask(method::post, "/openapi.json")->status() == 405);
  auto below = ask(method::get, "/openapi.json/x");
  at(1).answer(200, "mine");
  CHECK(below->body() == "mine");
}

// ---- the way there and back ------------------------------------------------------------------

TEST_CASE_FIXTURE(router_fixture, "a request goes to a replica and its answer back") {
  set(method::post, {1});
  auto head = fake_exchange::make(method::post, "/p", now + 10s, "body");
  auto decision = routes->decide(head->in);
  routes->handle(head, decision.route);
  REQUIRE(at(1).held.size() == 1);
  CHECK(at(1).held[0]->in.path == "/p");
  CHECK(at(1).held[0]->in.body == "body");
  CHECK(at(1).held[0]->deadline == now + 10s);
  CHECK(statistics().in_flight == 1);
  at(1).answer(201, "made");
  CHECK(head->seen->status() == 201);
  CHECK(head->seen->body() == "made");
  CHECK(statistics().in_flight == 0);
  CHECK(statistics().answered_total[2] == 1);
}

TEST_CASE_FIXTURE(router_fixture, "only the first end of a request counts") {
  set(method::get, {1});
  auto seen = ask();
  auto held = at(1).take();
  held->respond({200, {}, "first"});
  held->respond({500, {}, "second"});
  held->refuse({errc::overloaded, ""});
  held->begin({});
  held->finish();
  CHECK_FALSE(held->write("x"));
  held.reset();
  CHECK(seen->ends() == 1);
  CHECK(seen->body() == "first");
  CHECK(statistics().in_flight == 0);
  CHECK(statistics().lost_total == 0);
}

TEST_CASE_FIXTURE(router_fixture, "a streamed answer passes through and counts once it is over") {
  set(method::get, {1});
  auto seen = ask();
  auto held = at(1).take();
  held->begin({200, {}, "a"});
  CHECK(held->write("b"));
  CHECK(seen->is_streaming());
  CHECK(statistics().in_flight == 1);
  held->finish();
  CHECK(seen->body() == "ab");
  CHECK(statistics().in_flight == 0);
  CHECK(statistics().answered_total[2] == 1);
}

TEST_CASE_FIXTURE(router_fixture, "a WebSocket has its place at its replica until it ends") {
  table.routes = {entry(method::get, "/p", {1})};
  table.routes[0].kind = pattern::websocket;
  routes->set_routes(table);
  auto head = fake_exchange::make(method::get, "/p")->in;
  CHECK(routes->decide(head).websocket);
  auto call = fake_exchange::make(method::get, "/p", now + 10s);
  call->asks_for_upgrade = true;
  routes->handle(call, nullptr);
  auto held = at(1).take();
  auto session = std::make_shared<fake_session>();
  CHECK(held->upgrade(session));
  CHECK_FALSE(held->upgrade(session));
  held->respond({500, {}, {}});
  held.reset();
  CHECK(call->seen->is_upgraded());
  CHECK(call->seen->ends() == 1);
  CHECK(statistics().in_flight == 1); // as long as it is open
  call->session->on_open(std::make_shared<fake_websocket>());
  call->session->on_close(1000, "bye");
  CHECK(session->take() == std::vector<std::string>{"open", "close 1000 bye"});
  CHECK(statistics().in_flight == 0);
  CHECK(statistics().answered_total[1] == 1);
  call->session.reset();
  CHECK(statistics().answered_total[1] == 1);

  auto plain = ask(); // one that asks for none is answered
  CHECK_FALSE(at(1).held[0]->upgrade(session));
  at(1).answer(426);
  CHECK(plain->status() == 426);
}

TEST_CASE_FIXTURE(router_fixture,
                  "a WebSocket goes where the fewest are, and is turned away when all are full") {
  auto one = entry(method::get, "/p", {1, 2});
  one.kind = pattern::websocket;
  one.http.max_connections = 2;
  table.routes = {one};
  routes->set_routes(table);
  std::vector<std::shared_ptr<fake_exchange>> open;
  auto connect = [&] {
    auto call = fake_exchange::make(method::get, "/p", now + 10s);
    call->asks_for_upgrade = true;
    routes->handle(call, nullptr);
    for (std::uint64_t number : {1, 2})
      while (!at(number).held.empty())
        at(number).take()->upgrade(std::make_shared<fake_session>());
    open.push_back(call);
    return call->seen;
  };
  for (int i = 0; i < 4; ++i)
    CHECK(connect()->is_upgraded());
  CHECK(at(1).taken == 2);
  CHECK(at(2).taken == 2);
  const auto refused = connect();
  CHECK(refused->refused() == errc::overloaded); // at once: nobody knows when one ends
  CHECK(refused->refusal_text().ends_with("for each of its replicas (max_connections)"));
  open.front()->session.reset();
  CHECK(connect()->is_upgraded());
}

TEST_CASE_FIXTURE(router_fixture, "a WebSocket that all replicas refuse as full is turned away") {
  auto one = entry(method::get, "/p", {1, 2});
  one.kind = pattern::websocket;
  table.routes = {one};
  routes->set_routes(table);
  at(1).refuses = at(2).refuses = failure{errc::overloaded, "full"};
  CHECK(ask()->refused());
  CHECK(at(1).taken == 1);
  CHECK(at(2).taken == 1);
  set(method::get, {}); // no replica: it may come any moment
  table.routes[0].kind = pattern::websocket;
  routes->set_routes(table);
  CHECK_FALSE(ask()->refused());
  CHECK(statistics().waiting == 1);
}

TEST_CASE_FIXTURE(router_fixture, "local replicas go first, others when they are full") {
  set(method::get, {1, 101});
  for (int i = 0; i < 4; ++i)
    ask();
  CHECK(at(1).held.size() == 2);
  CHECK(at(101).held.size() == 2);
}

TEST_CASE_FIXTURE(router_fixture, "replicas share requests evenly") {
  set(method::get, {1, 2, 3});
  for (int i = 0; i < 6; ++i)
    ask();
  CHECK(at(1).held.size() == 2);
  CHECK(at(2).held.size() == 2);
  CHECK(at(3).held.size() == 2);
}

TEST_CASE_FIXTURE(router_fixture, "a replica gets two requests per place in user code at a time") {
  table.routes = {entry(method::get, "/p", {1})};
  table.routes[0].num_concurrency = 4;
  routes->set_routes(table);
  for (int i = 0; i < 10; ++i)
    ask();
  CHECK(at(1).held.size() == 8);
  CHECK(statistics().waiting == 2);
}

// ---- waiting -------------------------------------------------------------------------------

TEST_CASE_FIXTURE(router_fixture, "requests wait in order while all replicas are full, then 503") {
  set(method::get, {1});
  for (auto body : {"1", "2", "3", "4"})
    ask(method::get, "/p", body);
  CHECK(statistics().waiting == 2);
  auto fifth = ask(method::get, "/p", "5");
  CHECK(fifth->refused() == errc::overloaded);
  CHECK(
    fifth->refusal_text().ends_with(" has all the requests waiting that it takes: 2 (max_queued_requests)"));
  CHECK(statistics().queue_full_total == 1);
  CHECK(statistics().answered_total[5] == 1);
  at(1).answer();
  CHECK(at(1).held.back()->in.body == "3");
  at(1).answer();
  CHECK(at(1).held.back()->in.body == "4");
  CHECK(statistics().waiting == 0);
}

TEST_CASE_FIXTURE(router_fixture, "requests wait for the first replica") {
  set(method::get, {});
  auto seen = ask();
  CHECK(statistics().waiting == 1);
  advance(500ms);
  CHECK(statistics().wait_oldest == 500ms);
  set(method::get, {1});
  CHECK(at(1).held.size() == 1);
  at(1).answer();
  CHECK(seen->status() == 200);
}

TEST_CASE_FIXTURE(router_fixture, "a request whose deadline passes while it waits is told so") {
  set(method::get, {});
  auto early = ask();
  now += 1s;
  auto late = ask();
  now += 8999ms;
  routes->tick();
  CHECK(early->ends() == 0);
  advance(1ms);
  CHECK(early->refused() == errc::timeout);
  CHECK(early->refusal_text().ends_with(" runs; the status of its flow says why"));
  CHECK(late->ends() == 0);
  CHECK(statistics().expired_total == 1);
  CHECK(statistics().waiting == 1);
}

TEST_CASE_FIXTURE(router_fixture, "a client that goes while it waits gives its place up") {
  set(method::get, {});
  auto one = send();
  auto two = send();
  one->cancel();
  CHECK(statistics().waiting == 1);
  CHECK(statistics().cancelled_total == 1);
  set(method::get, {1});
  CHECK(at(1).held.size() == 1);
  two->cancel(); // at the replica by now: no matter of the queue
  CHECK(statistics().cancelled_total == 1);
}

TEST_CASE_FIXTURE(router_fixture, "a client that goes stops the call at its replica") {
  set(method::get, {1});
  auto call = send();
  bool stopped = false;
  at(1).held[0]->when_cancelled([&] { stopped = true; });
  call->cancel();
  CHECK(stopped);
  bool again = false;
  at(1).held[0]->when_cancelled([&] { again = true; });
  CHECK(again);
}

TEST_CASE_FIXTURE(router_fixture, "a client that goes stops the call that is there now, not those before") {
  set(method::get, {1, 2});
  auto call = send();
  auto& first = at(1).held.empty() ? at(2) : at(1);
  auto& second = at(1).held.empty() ? at(1) : at(2);
  int stopped_first = 0;
  int stopped_second = 0;
  first.held[0]->when_cancelled([&] { ++stopped_first; });
  first.refuse(errc::shutting_down);
  second.held.at(0)->when_cancelled([&] { ++stopped_second; });
  call->cancel();
  CHECK(stopped_first == 0);
  CHECK(stopped_second == 1);
}

TEST_CASE_FIXTURE(router_fixture, "what a replica does on cancellation does not keep its call alive") {
  set(method::get, {1});
  auto call = send();
  auto held = at(1).take();
  held->when_cancelled([held] {});
  std::weak_ptr<exchange> watched = held;
  held->respond({});
  held.reset();
  CHECK(watched.expired());
}

// ---- refused -------------------------------------------------------------------------------

TEST_CASE_FIXTURE(router_fixture, "a refused request goes to another replica whatever its method") {
  set(method::post, {1, 2});
  auto seen = ask(method::post, "/p", "body");
  auto& first = at(1).held.empty() ? at(2) : at(1);
  auto& second = at(1).held.empty() ? at(1) : at(2);
  first.refuse(errc::shutting_down);
  REQUIRE(second.held.size() == 1);
  CHECK(second.held[0]->in.body == "body");
  CHECK(second.held[0]->in.path == "/p");
  second.answer();
  CHECK(seen->status() == 200);
  CHECK(statistics().refused_total == 1);
}

TEST_CASE_FIXTURE(router_fixture, "a refused request waits at the front while nobody else is there") {
  set(method::get, {1});
  auto first = ask(method::get, "/p", "1");
  ask(method::get, "/p", "2");
  ask(method::get, "/p", "3");
  at(1).refuse(errc::overloaded);
  CHECK(statistics().waiting == 2);
  CHECK(first->ends() == 0);
  at(1).answer(); // of "2": the replica has room again
  REQUIRE(at(1).held.size() == 2);
  CHECK(at(1).held[0]->in.body == "1");
  CHECK(at(1).held[1]->in.body == "3");
}

TEST_CASE_FIXTURE(router_fixture,
                  "an overloaded replica is asked again after a pause, a gone one after a longer one") {
  set(method::get, {1});
  ask();
  at(1).refuse(errc::overloaded);
  CHECK(at(1).held.empty());
  advance(full_pause);
  CHECK(at(1).held.size() == 1);
  at(1).refuse(errc::unavailable);
  advance(full_pause);
  CHECK(at(1).held.empty());
  advance(gone_pause);
  CHECK(at(1).held.size() == 1);
  CHECK(at(1).taken == 3);
}

TEST_CASE_FIXTURE(router_fixture, "a target that throws costs no request, and later ones go on") {
  set(method::get, {1});
  at(1).throws = true;
  auto call = fake_exchange::make(method::get, "/p", now + 10s);
  CHECK_THROWS_AS(routes->handle(call, nullptr), std::bad_alloc);
  auto second = ask();
  advance(2s);
  CHECK(at(1).held.size() == 2);
  at(1).answer();
  at(1).answer();
  CHECK(call->seen->status() == 200);
  CHECK(second->status() == 200);
}

TEST_CASE_FIXTURE(router_fixture,
                  "a client that goes, or an answer that breaks off, closes no replica to others") {
  set(method::get, {1});
  auto gone = send();
  at(1).held[0]->when_cancelled([] {}); // as a link wants to know it
  gone->cancel();
  at(1).drop(); // as a link does that is told
  CHECK(statistics().lost_total == 0);
  ask();
  REQUIRE(at(1).held.size() == 1);
  at(1).held[0]->begin({200, {}, "half"});
  at(1).drop();
  CHECK(statistics().in_flight == 0);
  auto next = ask();
  REQUIRE(at(1).held.size() == 1);
  at(1).answer();
  CHECK(next->status() == 200);
  CHECK(reaches == 1);
}

TEST_CASE_FIXTURE(router_fixture, "replicas that refuse at once are each asked once") {
  set(method::post, {1, 2, 101, 102});
  for (auto& [number, target] : targets)
    target->refuses = failure{errc::shutting_down, ""};
  auto seen = ask(method::post);
  CHECK(seen->ends() == 0);
  for (auto& [number, target] : targets)
    CHECK(target->taken == 1);
  at(102).refuses.reset();
  advance(gone_pause);
  at(102).answer();
  CHECK(seen->status() == 200);
}

TEST_CASE_FIXTURE(router_fixture, "a call whose deadline passes at its replica is over") {
  set(method::get, {1});
  auto seen = ask();
  at(1).refuse(errc::timeout);
  CHECK(seen->refused() == errc::timeout);
  CHECK(statistics().in_flight == 0);
  ask();
  CHECK(at(1).held.size() == 1); // no pause for the replica
}

// ---- lost -----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(router_fixture, "an idempotent request that is lost goes to another replica") {
  set(method::put, {1, 2});
  auto seen = ask(method::put, "/p", "body");
  auto& first = at(1).held.empty() ? at(2) : at(1);
  auto& second = at(1).held.empty() ? at(1) : at(2);
  first.drop();
  REQUIRE(second.held.size() == 1);
  CHECK(second.held[0]->in.body == "body");
  second.answer();
  CHECK(seen->status() == 200);
  CHECK(statistics().lost_total == 1);
}

TEST_CASE_FIXTURE(router_fixture, "a POST that is lost gets 502 and is not repeated") {
  set(method::post, {1, 2});
  auto seen = ask(method::post);
  (at(1).held.empty() ? at(2) : at(1)).drop();
  CHECK(seen->status() == 502);
  CHECK(seen->body().find("of shop/p ended while it had the request") != std::string::npos);
  CHECK(at(1).held.size() + at(2).held.size() == 0);
  CHECK(statistics().answered_total[5] == 1);
}

TEST_CASE_FIXTURE(router_fixture, "a collector's failures are told as a collector tells them") {
  auto route = entry(method::post, "/p", {1});
  route.kind = pattern::collector;
  table.routes = {route};
  routes->set_routes(table);
  auto seen = ask(method::post);
  at(1).drop();
  CHECK(seen->status() == 502);
  CHECK(seen->body().starts_with(R"({"success":false,"error":")"));
  request head;
  head.method = method::post;
  head.path = "/p";
  CHECK(routes->decide(head).errors == error_form::collector);
  const auto body_of_wrong_method = [&] {
    head.method = method::put;
    const auto answer = routes->decide(head).answer;
    REQUIRE(answer);
    CHECK(answer->status == 405);
    return answer->body;
  };
  CHECK(body_of_wrong_method().starts_with(R"({"success":false,"error":")"));
  table.routes.push_back(entry(method::get, "/p", {1})); // an endpoint beside it
  routes->set_routes(table);
  CHECK_FALSE(body_of_wrong_method().starts_with(R"({"success":false)"));
}

TEST_CASE_FIXTURE(router_fixture, "a collector's request is repeated only under a key, whatever its method") {
  auto route = entry(method::get, "/p", {1, 2});
  route.kind = pattern::collector;
  table.routes = {route};
  routes->set_routes(table);
  auto& one = at(1);
  auto& two = at(2);
  auto plain = ask();
  (one.held.empty() ? two : one).drop();
  CHECK(plain->status() == 502);
  CHECK(one.held.size() + two.held.size() == 0);
  advance(gone_pause);
  auto call = fake_exchange::make(method::get, "/p", now + 10s);
  call->in.headers.add("Idempotency-Key", "k-1");
  auto keyed = call->seen;
  routes->handle(std::move(call), nullptr);
  (one.held.empty() ? two : one).drop();
  REQUIRE(one.held.size() + two.held.size() == 1);
  (one.held.empty() ? two : one).answer();
  CHECK(keyed->status() == 200);
}

TEST_CASE_FIXTURE(router_fixture,
                  "a collector gets no more than user code has places for, and more once its sink has some") {
  auto route = entry(method::post, "/p", {1});
  route.kind = pattern::collector;
  route.num_concurrency = 1;
  table.routes = {route};
  routes->set_routes(table);
  for (int i = 0; i < 4; ++i)
    ask(method::post);
  CHECK(at(1).held.size() == 2);
  CHECK(statistics().waiting == 2);
  CHECK(ask(method::post)->refused() == errc::overloaded); // max_queued_requests

  REQUIRE(at(1).held[0]->wants_sink_notice);
  at(1).held[0]->handed_to_sink();
  at(1).held[0]->handed_to_sink(); // again says nothing new
  CHECK(at(1).held.size() == 3);
  CHECK(statistics().in_flight == 3);
  at(1).answer(200, "stored");
  CHECK(at(1).held.size() == 2); // its place was free already
  CHECK(statistics().waiting == 1);
  at(1).answer(200, "stored"); // an answer without a notice before it frees a place as well
  CHECK(statistics().waiting == 0);
  CHECK(statistics().in_flight == 2);
}

TEST_CASE_FIXTURE(router_fixture,
                  "what is at the sink of a collector does not make it look busy, or take a place twice") {
  auto route = entry(method::post, "/p", {1, 2});
  route.kind = pattern::collector;
  route.num_concurrency = 1;
  table.routes = {route};
  routes->set_routes(table);
  for (int round = 0; round < 50; ++round) {
    ask(method::post);
    for (auto number : {1u, 2u})
      if (!at(number).held.empty())
        at(number).held.back()->handed_to_sink();
  }
  CHECK(statistics().in_flight == 50);
  CHECK(statistics().waiting == 0);
  CHECK(at(1).held.size() > 10); // both take part
  CHECK(at(2).held.size() > 10);
  at(1).drop();
  while (!at(1).held.empty())
    at(1).answer(200, "stored");
  while (!at(2).held.empty())
    at(2).answer(200, "stored");
  CHECK(statistics().in_flight == 0);
  advance(1s); // the one that lost a request is asked again
  for (int i = 0; i < 6; ++i)
    ask(method::post);
  CHECK(statistics().in_flight == 4); // two each, as at the beginning
}

TEST_CASE_FIXTURE(router_fixture, "a late notice of a request that has its answer changes nothing") {
  auto route = entry(method::post, "/p", {1});
  route.kind = pattern::collector;
  route.num_concurrency = 1;
  table.routes = {route};
  routes->set_routes(table);
  ask(method::post);
  auto held = at(1).take();
  held->respond({200, {}, "stored"});
  held->handed_to_sink();
  held.reset();
  for (int i = 0; i < 4; ++i)
    ask(method::post);
  CHECK(at(1).held.size() == 2);
}

TEST_CASE_FIXTURE(router_fixture, "a sink that takes nothing bounds what a collector is given") {
  auto route = entry(method::post, "/p", {1});
  route.kind = pattern::collector;
  route.num_concurrency = 1;
  table.routes = {route};
  routes->set_routes(table);
  for (std::uint32_t i = 0; i < at_sink_max; ++i) {
    ask(method::post);
    REQUIRE(at(1).held.size() == i + 1);
    at(1).held.back()->handed_to_sink();
  }
  ask(method::post);
  CHECK(at(1).held.size() == at_sink_max);
  CHECK(statistics().waiting == 1);
  at(1).answer(200, "stored");
  CHECK(statistics().waiting == 0);
}

TEST_CASE_FIXTURE(router_fixture, "HEAD does not run a collector") {
  auto route = entry(method::get, "/p", {1});
  route.kind = pattern::collector;
  table.routes = {route};
  routes->set_routes(table);
  auto seen = ask(method::head);
  CHECK(seen->status() == 405);
  CHECK(at(1).taken == 0);
}

TEST_CASE_FIXTURE(router_fixture,
                  "a collector's path does not say that it takes HEAD, and says what else it takes") {
  auto ingest = entry(method::get, "/p", {1});
  ingest.kind = pattern::collector;
  table.routes = {ingest, entry(method::post, "/p", {2})};
  routes->set_routes(table);
  for (auto by : {method::head, method::put, method::options}) {
    auto answer = ask(by)->answer();
    REQUIRE(answer);
    CHECK(answer->headers.find("Allow") == "GET, POST, OPTIONS");
  }
}

TEST_CASE_FIXTURE(router_fixture, "a request that every replica ends with is given up") {
  set(method::get, {1, 2, 3, 4, 5});
  auto seen = ask();
  for (std::uint32_t i = 0; i <= losses_max; ++i) {
    CHECK(seen->ends() == 0);
    for (auto& [number, target] : targets)
      if (!target->held.empty()) {
        target->drop();
        break;
      }
  }
  CHECK(seen->status() == 502);
  CHECK(statistics().lost_total == losses_max + 1);
}

TEST_CASE_FIXTURE(router_fixture, "a request of which user code has taken parts is not repeated") {
  set(method::get, {1, 2});
  auto seen = ask(method::get, "/p", "body");
  auto& first = at(1).held.empty() ? at(2) : at(1);
  auto taken = std::move(first.held[0]->in);
  first.drop();
  CHECK(seen->status() == 502);
}

TEST_CASE_FIXTURE(router_fixture, "an answer that has begun is cut when its replica ends") {
  set(method::get, {1, 2});
  auto call = send();
  auto seen = call->seen;
  call.reset();
  auto& first = at(1).held.empty() ? at(2) : at(1);
  first.held[0]->begin({200, {}, "half"});
  first.drop();
  CHECK(seen->is_cut());
  CHECK(statistics().answered_total[0] == 1);
  CHECK(statistics().in_flight == 0);
}

TEST_CASE_FIXTURE(router_fixture, "a client that goes is no error of the server") {
  bool replica_watches = false;
  SUBCASE("as the way to a host does") { replica_watches = true; }
  SUBCASE("in user code that does not ask") {}
  set(method::get, {1, 2});
  auto call = send();
  auto& first = at(1).held.empty() ? at(2) : at(1);
  if (replica_watches)
    first.held[0]->when_cancelled([] {});
  first.held[0]->begin({200, {}, "half"});
  call->cancel();
  call.reset();
  first.drop();
  CHECK(statistics().answered_total[left_by_client] == 1);
  auto load = routes->loads().at(0);
  CHECK(load.answered_total == 1);
  CHECK(load.server_errors_total == 0);
  CHECK(load.client_errors_total == 0);
}

TEST_CASE_FIXTURE(router_fixture, "a replica that loses one request gets no other for a while") {
  set(method::get, {1, 2});
  at(1).drops = true;
  at(2).answers = true;
  for (int i = 0; i < 20; ++i)
    CHECK(ask()->status() == 200);
  CHECK(at(1).taken <= 1);
}

TEST_CASE_FIXTURE(router_fixture, "the way to a replica that lost a request is looked for anew") {
  set(method::get, {1});
  auto seen = ask();
  auto old = std::exchange(targets[1], std::make_shared<fake_target>());
  old->drop();
  advance(gone_pause);
  REQUIRE(at(1).held.size() == 1);
  at(1).answer();
  CHECK(seen->status() == 200);
  CHECK(old.use_count() == 1);
}

TEST_CASE_FIXTURE(router_fixture, "a request whose client has gone is not repeated") {
  set(method::get, {1, 2});
  auto call = send();
  auto& first = at(1).held.empty() ? at(2) : at(1);
  first.held[0]->when_cancelled([] {});
  call->cancel();
  first.drop();
  CHECK(at(1).held.size() + at(2).held.size() == 0);
}
