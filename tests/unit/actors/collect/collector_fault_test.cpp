// Goal: whatever dies on the way of a collector's request, its client never has a success that the sink has not, always has an
// answer while its own node lives, and with an Idempotency-Key may repeat the request until it succeeds: it is stored once.
#include "tests/support/fake_exchange.hpp"
#include "tests/support/fake_threads.hpp"
#include "tests/support/queue_fixture.hpp"
#include "actors/collect/collectors.hpp"
#include "actors/ingress/router.hpp"
#include "actors/replica/request_replica.hpp"

#include <sluice/processor/collector.hpp>

#include <caf/typed_event_based_actor.hpp>
#include <doctest/doctest.h>

#include <map>

using namespace sluice;
using namespace sluice::testing;
using namespace std::chrono_literals;

namespace {

struct order {
  std::string id;
};
order keep(order in) { return in; }

using texts = std::vector<std::string>;

/// Where the way from the node of the clients to the queue and back is cut.
struct cut {
  enum class at : std::uint8_t { nowhere, before_the_write, after_the_write };
  at where = at::nowhere;
  std::vector<queue::append_request> on_their_way; ///< that were cut off before the write
};

/// The queue as that node sees it.
queue::handle::behavior_type gate(queue::handle::pointer self, const queue::handle& real,
                                  const std::shared_ptr<cut>& its) {
  return {
    [self, real, its](const queue::append_request& what) -> caf::result<queue::append_reply> {
      auto promise = self->make_response_promise<queue::append_reply>();
      if (its->where == cut::at::before_the_write) {
        its->on_their_way.push_back(what);
        return promise;
      }
      self->request(real, 10s, what)
        .then(
          [promise, its](const queue::append_reply& reply) mutable {
            if (its->where != cut::at::after_the_write)
              promise.deliver(reply);
          },
          [promise](const caf::error& why) mutable { promise.deliver(why); });
      return promise;
    },
    [](const queue::lease_request&) { return queue::lease_reply{}; },
    [](const queue::commit_request&) { return queue::commit_reply{}; },
    [](const queue::renew_request&) { return queue::count_reply{}; },
    [](const queue::release_request&) { return queue::count_reply{}; },
    [](const queue::cursor_request&) { return std::string{}; },
  };
}

/// A route to a collector of which there is one replica at a time, in a host of its own.
struct fault_fixture : queue_fixture {
  fault_fixture() {
    start_node();
    start_host();
  }
  ~fault_fixture() {
    node_dies();
    end_owned();
  }

  /// Where the clients are.
  void start_node() {
    ingress::router_options with;
    with.here = node_id{"n"};
    with.reach = [this](const ingress::route_target& where) { return targets->find(where.replica); };
    with.now = [this] { return now(); };
    sinks = std::make_unique<collect::collectors>(
      sys, own(sys.spawn(gate, caf::actor_cast<queue::handle>(queues), way)), ++number);
    with.collector = [this](const flow_name& flow, const processor_name& processor, const queue_name& queue) {
      return sinks->find(flow, processor, queue);
    };
    routes = std::make_unique<ingress::router>(std::move(with));
  }

  void start_host() {
    ++number;
    replica::request_options opts;
    opts.processor.name = processor_name{"ingest"};
    opts.processor.kind = pattern::collector;
    opts.processor.sink = {"queue", {{"name", "orders"}}};
    opts.processor.http = http_spec{.route = "/orders", .method = method::post};
    opts.consumer = {flow_name{"shop"}, opts.processor.name};
    opts.owner = {node_id{"n"}, host_id{number}, replica_id{number}};
    opts.make_body = processor::collector_factory<processor::function_target<keep>>(
      {{"ingest", true}, true, {}, std::make_shared<processor::value_factories>()});
    opts.threads = std::make_shared<fake_threads>();
    opts.targets = targets;
    opts.owner_actor = own(sys.spawn([](replica::owner_handle::pointer) {
      return replica::owner_handle::behavior_type{[](const replica::status&) {}};
    }));
    ingress::route_entry route;
    route.flow = opts.consumer.flow;
    route.processor = opts.processor.name;
    route.kind = opts.processor.kind;
    route.http = *opts.processor.http;
    route.targets = {{replica_id{number}, flow_version{1}, node_id{"n"}, {}, route.flow}};
    host = own(replica::spawn(sys, std::move(opts)));
    run();
    ingress::route_table table;
    table.routes = {std::move(route)};
    routes->set_routes(table);
  }

  /// As a kill -9 of its process, then the cluster's new one.
  void host_dies() {
    kill(host);
    start_host();
  }

  /// The node with it.
  void node_dies() {
    routes.reset();
    sinks.reset();
    run();
  }
  void node_comes_back() {
    way->where = cut::at::nowhere;
    start_node();
    host_dies();
  }

  std::shared_ptr<test::fake_answer> send(const std::string& id, std::string key = {}) {
    auto call = test::fake_exchange::make(method::post, "/orders", now() + 30s, R"({"id":")" + id + "\"}");
    call->in.headers.add("Content-Type", "application/json");
    if (!key.empty())
      call->in.headers.add("Idempotency-Key", std::move(key));
    auto seen = call->seen;
    routes->handle(std::move(call), nullptr);
    run();
    return seen;
  }

  texts stored() {
    texts all;
    for (const auto& [seq, record] : store->queues_for_test[queue_name{"orders"}].records)
      all.push_back(record.payload);
    return all;
  }

  std::shared_ptr<ingress::local_targets> targets = std::make_shared<ingress::local_targets>();
  std::shared_ptr<cut> way = std::make_shared<cut>();
  std::unique_ptr<collect::collectors> sinks;
  std::unique_ptr<ingress::router> routes;
  std::uint64_t number = 0;
  replica::handle host;
};

const texts once = {R"({"id":"a"})"};
const texts twice = {R"({"id":"a"})", R"({"id":"a"})"};

} // namespace

TEST_CASE_FIXTURE(fault_fixture,
                  "a host that dies while its results are on their way costs the client nothing") {
  for (auto where : {cut::at::before_the_write, cut::at::after_the_write}) {
    way->where = where;
    auto seen = send("a");
    CHECK(seen->status() == 0);
    host_dies();
    CHECK(seen->ends() == 0);
    way->where = cut::at::nowhere;
    advance(20s); // the node tries again
    CHECK(seen->status() == 200);
  }
  CHECK(stored() == twice); // each once
}

TEST_CASE_FIXTURE(fault_fixture, "a write that arrives after the one that repeats it is not stored again") {
  way->where = cut::at::before_the_write;
  auto seen = send("a");
  way->where = cut::at::nowhere;
  advance(20s);
  CHECK(seen->status() == 200);
  REQUIRE(way->on_their_way.size() == 1);
  CHECK(ask<queue::append_reply>(queues, way->on_their_way[0]));
  CHECK(stored() == once);
}

TEST_CASE_FIXTURE(fault_fixture,
                  "a node that dies with a write on its way: no success, and the retry is stored once") {
  for (auto where : {cut::at::before_the_write, cut::at::after_the_write}) {
    const auto key = "key-" + std::to_string(static_cast<int>(where));
    way->where = where;
    auto first = send("a", key);
    node_dies();
    CHECK(first->status() == 502); // of a real client the connection ends
    CHECK(first->body().starts_with(R"({"success":false)"));
    node_comes_back();
    auto again = send("a", key);
    CHECK(again->status() == 200);
    CHECK(again->body() == R"({"success":true})");
    for (const auto& late : way->on_their_way)
      CHECK(ask<queue::append_reply>(queues, late));
  }
  CHECK(stored() == twice); // of each key one
}

TEST_CASE_FIXTURE(fault_fixture,
                  "a node that dies after the answer: the success is in the sink, a repeat is not stored") {
  auto first = send("a", "key-1");
  CHECK(first->status() == 200);
  node_dies();
  node_comes_back();
  CHECK(first->ends() == 1);
  CHECK(stored() == once);
  CHECK(send("a", "key-1")->status() == 200);
  CHECK(stored() == once);
}

TEST_CASE_FIXTURE(fault_fixture, "without a key a retry after that may store it twice") {
  way->where = cut::at::after_the_write;
  auto first = send("a");
  node_dies();
  CHECK(first->status() == 502);
  node_comes_back();
  CHECK(send("a")->status() == 200);
  CHECK(stored() == twice);
}

TEST_CASE_FIXTURE(fault_fixture,
                  "a node that dies again and again: no success before it is stored, and once in the end") {
  for (int i = 0; i < 5; ++i) {
    way->where = i % 2 == 0 ? cut::at::after_the_write : cut::at::before_the_write;
    auto seen = send("a", "key-1");
    node_dies();
    CHECK(seen->status() == 502);
    node_comes_back();
  }
  CHECK(send("a", "key-1")->status() == 200);
  CHECK(send("b", "key-2")->status() == 200);
  CHECK(stored() == texts{R"({"id":"a"})", R"({"id":"b"})"});
}

TEST_CASE_FIXTURE(fault_fixture,
                  "a key that comes back with another body is refused, in any host, and nothing is stored") {
  CHECK(send("a", "key-1")->status() == 200);
  for (int i = 0; i < 2; ++i) {
    auto other = send("b", "key-1");
    CHECK(other->status() == 422);
    CHECK(other->body()
          == R"({"success":false,"error":"Idempotency-Key 'key-1' belongs to another request: with one key, )"
             R"(method, path, query and body must be the same each time"})");
    CHECK(stored() == once);
    host_dies();
  }
  CHECK(send("a", "key-1")->status() == 200);
  CHECK(send("b", "key-2")->status() == 200);
  CHECK(stored() == texts{R"({"id":"a"})", R"({"id":"b"})"});
}

TEST_CASE_FIXTURE(fault_fixture,
                  "of two bodies with one key at the same time one is stored and the other refused") {
  way->where = cut::at::before_the_write;
  auto first = send("a", "key-1");
  way->where = cut::at::nowhere;
  auto second = send("b", "key-1");
  CHECK(second->status() == 200);
  advance(30s); // the first write is tried again
  CHECK(first->status() == 422);
  CHECK(stored() == texts{R"({"id":"b"})"});
}
