#include "tests/unit/actors/ingress/router_fixture.hpp"

using namespace sluice;
using namespace sluice::ingress;

// ---- tables ----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(router_fixture, "a replica that leaves the table gets nothing new and may finish") {
  set(method::get, {1});
  auto old = ask();
  set(method::get, {2});
  auto fresh = ask();
  CHECK(at(2).held.size() == 1);
  at(1).answer(200, "old");
  CHECK(old->body() == "old");
  CHECK(at(1).taken == 1);
  CHECK(statistics().in_flight == 1);
}

TEST_CASE_FIXTURE(router_fixture, "a table that repeats itself changes nothing") {
  set(method::get, {1});
  for (int i = 0; i < 3; ++i)
    ask();
  CHECK(reaches == 1);
  set(method::get, {1});
  CHECK(reaches == 1);
  CHECK(at(1).held.size() == 2);
  CHECK(statistics().waiting == 1);
  CHECK(statistics().in_flight == 2);
}

TEST_CASE_FIXTURE(router_fixture, "waiting requests of a flow that drains or goes are refused") {
  set(method::get, {});
  auto one = ask();
  table.routes[0].is_draining = true;
  routes->set_routes(table);
  CHECK(one->refused() == errc::shutting_down);
  CHECK(ask()->refused() == errc::shutting_down);

  set(method::get, {});
  auto two = ask();
  routes->set_routes({});
  CHECK(two->refused() == errc::shutting_down);
  CHECK(ask()->status() == 404);
}

TEST_CASE_FIXTURE(router_fixture, "a request decided on before its route went is refused") {
  set(method::get, {1});
  auto call = fake_exchange::make(method::get, "/p", now + 10s);
  auto decision = routes->decide(call->in);
  routes->set_routes({});
  routes->handle(call, decision.route);
  CHECK(call->seen->refused() == errc::shutting_down);
}

TEST_CASE_FIXTURE(router_fixture, "two methods of one path are two routes") {
  table.routes = {entry(method::get, "/p", {1}), entry(method::post, "/p", {2})};
  table.routes[1].processor = processor_name{"q"};
  routes->set_routes(table);
  ask(method::post);
  CHECK(at(2).held.size() == 1);
  ask(method::get);
  CHECK(at(1).held.size() == 1);
}

TEST_CASE_FIXTURE(router_fixture, "a replica out of reach is looked for again") {
  set(method::get, {1});
  auto hidden = std::exchange(targets, {});
  table.routes[0].targets[0].replica = replica_id{7};
  routes->set_routes(table);
  auto seen = ask();
  CHECK(statistics().targets == 0);
  targets[7] = std::make_shared<fake_target>();
  advance(gone_pause);
  advance(gone_pause);
  REQUIRE(at(7).held.size() == 1);
  at(7).answer();
  CHECK(seen->status() == 200);
}

TEST_CASE_FIXTURE(router_fixture, "a closed router refuses what waits and lets the rest finish") {
  set(method::get, {1});
  auto one = ask();
  ask();
  auto three = ask();
  routes->close();
  CHECK(three->refused() == errc::shutting_down);
  CHECK(ask()->refused() == errc::shutting_down);
  at(1).answer();
  CHECK(one->status() == 200);
  set(method::get, {1});
  CHECK(ask()->refused() == errc::shutting_down);
}

TEST_CASE_FIXTURE(router_fixture, "requests outlive the router") {
  set(method::get, {1});
  auto seen = ask();
  routes.reset();
  at(1).answer();
  CHECK(seen->status() == 200);
}

TEST_CASE_FIXTURE(router_fixture,
                  "a long queue in front of a replica that answers at once is no deep recursion") {
  table.routes = {entry(method::get, "/p", {})};
  table.routes[0].http.max_queued_requests = 100'000;
  routes->set_routes(table);
  std::vector<answer_ptr> all;
  for (int i = 0; i < 50'000; ++i)
    all.push_back(ask());
  targets[1] = std::make_shared<fake_target>();
  at(1).answers = true;
  auto full = entry(method::get, "/p", {1});
  full.http.max_queued_requests = 100'000;
  table.routes = {full};
  routes->set_routes(table);
  for (const auto& seen : all)
    REQUIRE(seen->status() == 200);
  CHECK(statistics().in_flight == 0);
  CHECK(statistics().answered_total[2] == all.size());
}

// ---- what is told of it ------------------------------------------------------------------------

TEST_CASE_FIXTURE(router_fixture,
                  "a replica that answers quickly gets more requests ahead, a slow one does not") {
  set(method::get, {1});
  table.routes[0].http.max_queued_requests = 1000;
  routes->set_routes(table);
  std::vector<answer_ptr> seen;
  for (int i = 0; i < 300; ++i)
    seen.push_back(ask());
  CHECK(at(1).held.size() == in_flight_max(1));
  // 100 answers in 10 ms: 20 in the 2 ms that it may be ahead.
  for (int i = 0; i < 100; ++i) {
    now += 100us;
    at(1).answer(200, "quick");
  }
  CHECK(at(1).held.size() > 15);
  CHECK(at(1).held.size() < 25);
  // 2 answers in 100 ms.
  while (at(1).held.size() > 2) {
    now += 50ms;
    at(1).answer(200, "slow");
  }
  CHECK(at(1).held.size() == 2);
}

TEST_CASE_FIXTURE(router_fixture,
                  "an exchange that asks for it knows which replica has it, and how many have had it") {
  struct logged final : client_exchange {
    using client_exchange::client_exchange;
    void respond(response) noexcept override {}
    void refuse(failure) noexcept override {}
    void begin(response) noexcept override {}
    bool write(std::string) noexcept override { return true; }
    std::size_t waiting_bytes() const noexcept override { return 0; }
    void when_writable(std::function<void()>) noexcept override {}
    void finish() noexcept override {}
    void when_cancelled(std::function<void()>) noexcept override {}
  };
  set(method::get, {1, 2});
  request in;
  in.path = "/p";
  auto call = std::make_shared<logged>(std::move(in), now + 10s);
  routes->handle(call, nullptr);
  const std::uint64_t first = at(1).held.empty() ? 2 : 1;
  CHECK(call->replica() == first);
  CHECK(call->attempts() == 1);
  at(first).take()->refuse({errc::shutting_down, ""});
  CHECK(call->replica() == 3 - first);
  CHECK(call->attempts() == 2);
  at(3 - first).answer(200, "x");
}

TEST_CASE_FIXTURE(router_fixture, "a route of which no replica comes up refuses at once, also what waits") {
  set(method::get, {});
  auto waits = ask();
  CHECK(waits->ends() == 0);
  table.routes[0].is_failed = true;
  routes->set_routes(table);
  CHECK(waits->ends() == 1);
  CHECK(ask()->ends() == 1);
  table.routes[0].is_failed = false;
  routes->set_routes(table);
  CHECK(ask()->ends() == 0);
}

TEST_CASE_FIXTURE(router_fixture, "it says when time is to be told it, and when it need not be") {
  auto woken = std::make_shared<int>(0); // what is under way at the end wakes it once more
  auto with = options();
  with.on_waiting = [woken] { ++*woken; };
  routes.reset(new router{std::move(with)});
  set(method::get, {1});
  CHECK_FALSE(routes->tick());
  auto first = ask();
  auto second = ask();
  CHECK(*woken == 0);
  CHECK_FALSE(routes->tick());
  auto third = ask();
  CHECK(*woken == 1);
  CHECK(routes->tick());
  at(1).answer(200, "x");
  CHECK_FALSE(routes->tick());
  at(1).take()->refuse({errc::overloaded, ""});
  CHECK(*woken == 2);
}

TEST_CASE_FIXTURE(router_fixture, "loads say what waits, what is under way and how long answers took") {
  set(method::get, {1});
  std::vector<answer_ptr> seen;
  for (int i = 0; i < 5; ++i)
    seen.push_back(ask()); // two at the replica, two wait, one is turned away
  now += 30ms;
  auto load = routes->loads().at(0);
  CHECK(load.flow == flow_name{"shop"});
  CHECK(load.processor == processor_name{"p"});
  CHECK(load.waiting == 2);
  CHECK(load.ongoing == 2);
  CHECK(load.wait_oldest == 30ms);
  CHECK(load.answered_total == 1);
  CHECK(load.server_errors_total == 1);
  CHECK(load.turned_away_total == 1);
  at(1).answer(200, "x");
  at(1).answer(404, "x");
  load = routes->loads().at(0);
  CHECK(load.answered_total == 3);
  CHECK(load.client_errors_total == 1);
  CHECK(load.latency.quantile(0.5) > 20ms);
  CHECK(load.latency.quantile(0.5) < 40ms);
}
