// Goal: what a collector made for a queue is brought there from here, frees its replica, and is answered when it is stored.
#include "tests/unit/actors/ingress/router_fixture.hpp"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <utility>
#include <vector>

using namespace sluice;
using namespace sluice::ingress;

namespace {

/// Keeps what it gets until the test answers.
struct fake_collector final : collect::collector_port {
  std::vector<std::pair<exchange_ptr, queue_results>> held;
  bool full = false;
  std::string why;

  void add(exchange_ptr call, queue_results results) override {
    held.emplace_back(std::move(call), std::move(results));
  }
  bool is_full() const noexcept override { return full; }
  std::string trouble() const override { return why; }

  void answer(response with) {
    auto first = std::move(held.front().first);
    held.erase(held.begin());
    first->respond(std::move(with));
  }
};

/// A route to a collector with one replica of one thread, and queues that the test plays.
struct collecting : router_fixture {
  std::map<std::string, std::shared_ptr<fake_collector>> queues;

  collecting() {
    auto how = options();
    how.collector = [this](const flow_name& flow, const processor_name& processor, const queue_name& queue) {
      auto& place = queues[flow.value + "/" + processor.value + "/" + queue.value];
      if (!place)
        place = std::make_shared<fake_collector>();
      return place;
    };
    routes.reset(new router{std::move(how)});
    auto route = entry(method::post, "/p", {1});
    route.kind = pattern::collector;
    route.num_concurrency = 1;
    table.routes = {route};
    routes->set_routes(table);
  }
  ~collecting() { // requests hold their route, too
    routes->close();
    for (auto& [name, queue] : queues)
      queue->held.clear();
  }

  void collect(const std::string& queue = "orders") {
    record_block_builder records;
    records.add("r");
    at(1).take()->collect({queue_name{queue}, records.finish(), "key", 5});
  }
  fake_collector& sink(const std::string& queue = "orders") { return *queues.at("shop/p/" + queue); }
};

} // namespace

TEST_CASE_FIXTURE(collecting, "what is on its way to a queue needs its replica no more") {
  auto first = ask(method::post);
  ask(method::post);
  ask(method::post);
  CHECK(at(1).held.size() == 2);
  CHECK(statistics().waiting == 1);
  collect();
  CHECK(at(1).held.size() == 2); // the third has its place
  CHECK(statistics().waiting == 0);
  REQUIRE(sink().held.size() == 1);
  CHECK(sink().held[0].second.key == "key");
  CHECK(sink().held[0].second.fingerprint == 5);
  CHECK(statistics().in_flight == 3);
  table.routes[0].targets.clear(); // the replica is gone
  routes->set_routes(table);
  CHECK(first->ends() == 0);
  sink().answer(collected_response());
  CHECK(first->status() == 200);
  CHECK(statistics().in_flight == 2);
  CHECK(statistics().answered_total[2] == 1);
  CHECK(statistics().lost_total == 0);
}

TEST_CASE_FIXTURE(collecting, "each queue has its own way, also while two versions of a flow run") {
  ask(method::post);
  ask(method::post);
  collect("orders");
  collect("orders-2");
  CHECK(sink("orders").held.size() == 1);
  CHECK(sink("orders-2").held.size() == 1);
}

TEST_CASE_FIXTURE(collecting,
                  "while too much waits for a queue, requests wait, and go on when it has been taken") {
  ask(method::post);
  collect();
  sink().full = true;
  auto waits = ask(method::post);
  CHECK(at(1).held.empty());
  CHECK(statistics().waiting == 1);
  advance(20ms);
  CHECK(at(1).held.empty());
  sink().full = false;
  advance(20ms);
  REQUIRE(at(1).held.size() == 1);
  collect();
  sink().answer(collected_response());
  sink().answer(collected_response());
  CHECK(waits->status() == 200);
}

TEST_CASE_FIXTURE(collecting, "why results wait is told with the load of their processor") {
  ask(method::post);
  collect();
  CHECK(routes->loads().at(0).sink_error.empty());
  sink().why = "the disk is full";
  CHECK(routes->loads().at(0).sink_error == "the disk is full");
}

TEST_CASE_FIXTURE(collecting,
                  "results that nobody brings to their queue any more are an error for the client") {
  auto seen = ask(method::post);
  collect();
  sink().held.clear();
  CHECK(seen->status() == 502);
  CHECK(seen->body().find("which may or may not have them") != std::string::npos);
  CHECK(statistics().in_flight == 0);
  CHECK(at(1).held.empty()); // and are not made anew
}

TEST_CASE_FIXTURE(collecting, "what has an answer cannot be collected, nor the other way round") {
  auto answered = ask(method::post);
  auto call = at(1).take();
  call->respond({400, {}, "no"});
  call->collect({});
  CHECK(queues.empty());
  auto collected = ask(method::post);
  at(1).held.push_back(at(1).held.front());
  collect();
  at(1).take()->refuse({errc::overloaded, "full"});
  CHECK(collected->ends() == 0);
  sink().answer(collected_response());
  CHECK(collected->ends() == 1);
  CHECK(answered->status() == 400);
}

TEST_CASE_FIXTURE(collecting, "a queue's writer is let go of with its route") {
  ask(method::post);
  collect();
  std::weak_ptr<fake_collector> known = queues.begin()->second;
  auto call = std::move(sink().held[0].first);
  queues.clear();
  CHECK(known.lock());
  routes->set_routes({});
  CHECK_FALSE(known.lock());
  call->respond(collected_response());
}

TEST_CASE_FIXTURE(collecting, "an update to another queue is not held up by one that takes nothing") {
  ask(method::post);
  collect("orders");
  sink("orders").full = true;
  auto waits = ask(method::post);
  CHECK(at(1).held.empty());
  auto newer = entry(method::post, "/p", {2});
  newer.kind = pattern::collector;
  newer.targets[0].version = flow_version{2};
  table.routes = {newer};
  routes->set_routes(table);
  REQUIRE(at(2).held.size() == 1);
  sink("orders").why = "full";
  CHECK(routes->loads().at(0).sink_error.empty());
}

TEST_CASE_FIXTURE(collecting, "what is made after its route has gone is stored all the same") {
  auto seen = ask(method::post);
  routes->set_routes({});
  collect();
  std::weak_ptr<fake_collector> known = queues.begin()->second;
  sink().answer(collected_response());
  CHECK(seen->status() == 200);
  queues.clear();
  CHECK_FALSE(known.lock()); // a route that has gone keeps none
}

TEST_CASE_FIXTURE(collecting,
                  "an answer lets the next request go on, but not past a sink that takes nothing") {
  for (int i = 0; i < 4; ++i)
    ask(method::post);
  CHECK(at(1).held.size() == 2);
  collect();
  CHECK(at(1).held.size() == 2);
  CHECK(statistics().waiting == 1);
  sink().full = true;
  at(1).answer(400);
  CHECK(at(1).held.size() == 1);
  CHECK(statistics().waiting == 1);
  sink().full = false;
  sink().answer(collected_response());
  CHECK(at(1).held.size() == 2);
}
