// Goal: whatever is done on purpose to a cluster costs no HTTP request its answer; what dies takes at most
// the requests with it that it had and that must not be repeated.

#include "tests/support/sim_http.hpp"

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using namespace sluice;
using testing::sim_cluster;
using testing::sim_http;

constexpr auto running = host::replica_phase::running;

testing::sim_settings with_seed(std::uint64_t seed) {
  testing::sim_settings made;
  made.seed = seed;
  return made;
}

struct world : sim_cluster {
  explicit world(std::size_t nodes = 3, std::uint64_t seed = 1) : sim_cluster(with_seed(seed)), http(*this) {
    start_head();
    for (std::size_t index = 0; index < nodes; ++index)
      add_node();
    run_for(2s);
  }

  result<cluster::submit_reply> submit_endpoint(std::uint32_t replicas, double cpus = 1,
                                                std::vector<std::string> args = {}) {
    cluster::submit_request request;
    request.artifact = artifact_id{std::string(64, 'a')};
    request.args = std::move(args);
    request.spec.name = flow_name{"web"};
    for (auto by : {method::get, method::post}) {
      processor_spec work;
      work.name = processor_name{by == method::get ? "read" : "write"};
      work.kind = pattern::endpoint;
      work.http.emplace();
      work.http->route = "/items";
      work.http->method = by;
      work.num_replicas = replicas;
      work.max_replicas = 100;
      work.min_replicas = 0;
      work.max_replicas = 1000;
      work.num_cpus = cpus;
      request.spec.processors.push_back(work);
    }
    return ask<cluster::submit_reply>(request);
  }

  bool is_settled() { return difference().empty(); }

  void deploy(std::uint32_t replicas, double cpus = 1) {
    REQUIRE(submit_endpoint(replicas, cpus));
    REQUIRE(run_until([&] { return is_settled(); }, 20s));
    run_for(100ms); // all have the table
    http.start_load("/items", 400);
    run_for(500ms);
  }

  bool is_at(std::uint64_t version) {
    const auto* web = flow("web");
    return web && web->phase == cluster::flow_phase::running && web->current == flow_version{version}
           && is_settled();
  }

  /// Ends the load and waits for the last answers.
  sim_http::outcome finish() {
    run_for(500ms);
    http.stop_load();
    run_for(35s);
    return http.result();
  }

  sim_http http;
};

void check_all_answered(const sim_http::outcome& sum) {
  CHECK(sum.sent > 500);
  CHECK(sum.answered == sum.sent);
  CHECK(sum.taken == sum.sent); // none was done twice
}

} // namespace

TEST_CASE("requests are answered from every node") {
  world it;
  it.deploy(2);
  it.run_for(1s);
  check_all_answered(it.finish());
}

TEST_CASE("a rolling update, forth and back, loses no request") {
  world it;
  it.deploy(4, 0.5);
  REQUIRE(it.submit_endpoint(4, 0.5));
  REQUIRE(it.run_until([&] { return it.is_at(2); }, 60s));
  REQUIRE(it.ask<cluster::submit_reply>(cluster::rollback_request{flow_name{"web"}, {}, {}}));
  REQUIRE(it.run_until([&] { return it.is_at(1); }, 60s));
  check_all_answered(it.finish());
}

TEST_CASE("an update of a full cluster, which has to make room first, loses no request") {
  world it;
  it.deploy(6);
  REQUIRE(it.submit_endpoint(6));
  REQUIRE(it.run_until([&] { return it.is_at(2); }, 120s));
  check_all_answered(it.finish());
}

TEST_CASE("an update that cannot run loses no request") {
  world it;
  it.deploy(2, 0.5);
  REQUIRE(it.submit_endpoint(2, 0.5, {"fail"}));
  it.run_for(10s);
  CHECK(it.count("web", 1, running) == 4);
  check_all_answered(it.finish());
}

TEST_CASE("scaling up, down and a node that drains, leaves and comes back lose no request") {
  world it;
  it.deploy(4, 0.5);
  for (std::uint32_t replicas : {1, 6, 2}) {
    REQUIRE(it.ask<void>(cluster::scale_request{flow_name{"web"}, processor_name{"read"}, replicas}));
    REQUIRE(it.run_until([&] { return it.is_settled(); }, 20s));
  }
  REQUIRE(it.ask<void>(cluster::drain_node_request{it.id_of(1), false}));
  it.run_for(5s);
  REQUIRE(it.ask<void>(cluster::drain_node_request{it.id_of(1), true}));
  it.run_for(2s);
  check_all_answered(it.finish());
}

TEST_CASE("requests wait while a flow is scaled to none and go on with its first replica") {
  world it;
  it.deploy(1);
  REQUIRE(it.ask<void>(cluster::scale_request{flow_name{"web"}, processor_name{"read"}, 0}));
  it.run_for(2s);
  CHECK(it.http.result().open > 200);
  REQUIRE(it.ask<void>(cluster::scale_request{flow_name{"web"}, processor_name{"read"}, 1}));
  REQUIRE(it.run_until([&] { return it.is_settled(); }, 20s));
  check_all_answered(it.finish());
}

TEST_CASE("a head that dies and comes back costs no request") {
  world it;
  it.deploy(2);
  it.kill_head();
  it.run_for(8s);
  it.start_head();
  it.run_for(15s);
  CHECK(it.is_settled());
  check_all_answered(it.finish());
}

TEST_CASE("a killed host costs no GET, and a POST only where the host had it") {
  world it;
  it.deploy(2);
  for (int round = 0; round < 5; ++round) {
    it.kill_host(static_cast<std::size_t>(round % 3));
    it.run_for(3s);
  }
  auto sum = it.finish();
  CHECK(sum.lost_get == 0);
  CHECK(sum.lost <= 5 * 4); // two in flight at each of two replicas, per kill
  CHECK(sum.answered + sum.lost == sum.sent);
}

TEST_CASE("a killed node costs what its own ingress had, and of others only what was there and is no GET") {
  world it;
  it.deploy(3);
  it.kill_node(2);
  it.run_for(10s);
  auto sum = it.finish();
  CHECK(sum.lost_get == 0);
  CHECK(sum.lost <= 8);
  CHECK(sum.gone <= 8);
  CHECK(sum.answered + sum.lost + sum.gone == sum.sent);
}

TEST_CASE("a drained flow refuses, a deleted one is not found") {
  world it;
  it.deploy(2);
  REQUIRE(it.ask<void>(cluster::drain_flow_request{flow_name{"web"}, false}));
  it.run_for(3s);
  const auto drained = it.http.result();
  CHECK(drained.refused > 0);
  CHECK(drained.lost + drained.not_found + drained.open == 0);
  REQUIRE(it.ask<void>(cluster::delete_flow_request{flow_name{"web"}}));
  it.run_for(3s);
  const auto deleted = it.finish();
  CHECK(deleted.not_found > 0);
  CHECK(deleted.lost + deleted.open == 0);
}

TEST_CASE("updates, scaling and drains in any order, under many seeds, lose no request") {
  for (std::uint64_t seed = 100; seed < 112; ++seed) {
    CAPTURE(seed);
    world it{4, seed};
    it.deploy(3, 0.5);
    std::mt19937_64 random{seed};
    for (int step = 0; step < 8; ++step) {
      const auto node = random() % 4;
      switch (random() % 5) {
      case 0:
        static_cast<void>(it.submit_endpoint(3, 0.5));
        break;
      case 1:
        static_cast<void>(it.ask<cluster::submit_reply>(cluster::rollback_request{flow_name{"web"}, {}, {}}));
        break;
      case 2:
        static_cast<void>(it.ask<void>(
          cluster::scale_request{flow_name{"web"}, processor_name{random() % 2 == 0 ? "read" : "write"},
                                 1 + static_cast<std::uint32_t>(random() % 5)}));
        break;
      case 3:
        static_cast<void>(it.ask<void>(cluster::drain_node_request{it.id_of(node), false}));
        it.run_for(1s);
        static_cast<void>(it.ask<void>(cluster::drain_node_request{it.id_of(node), true}));
        break;
      default:
        it.kill_head();
        it.run_for(1s);
        it.start_head();
        it.run_for(3s);
        break;
      }
      it.run_for(std::chrono::milliseconds{random() % 2000});
    }
    check_all_answered(it.finish());
  }
}
