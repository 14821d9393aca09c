// Goal: updates, rollbacks and drains take a flow from one version to another without a moment in
// which less runs than has to, also when nodes die meanwhile, and stop by themselves when
// the new version cannot run.

#include "tests/support/sim_cluster.hpp"

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using namespace sluice;
using testing::sim_cluster;

constexpr auto running = host::replica_phase::running;

struct world : sim_cluster {
  explicit world(std::size_t nodes = 3) : sim_cluster({}) {
    start_head();
    for (std::size_t index = 0; index < nodes; ++index)
      add_node();
    run_for(2s); // all have joined: what comes is spread over all
  }

  bool is_settled() { return difference().empty(); }

  void deploy(std::uint32_t replicas, double cpus = 1) {
    REQUIRE(submit("orders", replicas, cpus));
    REQUIRE(run_until([&] { return is_settled(); }, 10s));
  }

  std::size_t running_of(std::uint64_t version) { return count("orders", version, running); }

  bool is_at(std::uint64_t version) {
    const auto* orders = flow("orders");
    return orders && orders->phase == cluster::flow_phase::running && orders->current == flow_version{version}
           && is_settled();
  }

  /// Runs until `version` runs alone; returns the fewest replicas of any version that ran meanwhile.
  std::size_t roll_to(std::uint64_t version, std::uint64_t from, std::chrono::seconds most = 30s) {
    std::size_t fewest = 1000;
    REQUIRE(run_until(
      [&] {
        fewest = std::min(fewest, running_of(from) + running_of(version));
        return is_at(version);
      },
      most));
    return fewest;
  }
};

TEST_CASE("an update with room starts the new replicas first: never fewer run than before") {
  world it;
  it.deploy(6);
  CHECK(it.submit("orders", 6)->version == flow_version{2});
  CHECK(it.roll_to(2, 1) >= 6);
  CHECK(it.running_of(1) == 0);
  CHECK(it.flow("orders")->versions.size() == 2);
}

TEST_CASE("an update of a full cluster makes room one replica at a time") {
  world it;
  it.deploy(12);
  REQUIRE(it.submit("orders", 12));
  CHECK(it.roll_to(2, 1, 60s) >= 11);
}

TEST_CASE("an update that fits nowhere drains nothing and says why") {
  world it;
  it.deploy(6);
  REQUIRE(it.submit("orders", 2, 8.0));
  it.run_for(20s);
  CHECK(it.running_of(1) == 6);
  const auto* orders = it.flow("orders");
  CHECK(orders->phase == cluster::flow_phase::updating);
  CHECK(orders->detail.find("needs 8.0 CPUs") != std::string::npos);
  CHECK(it.ask<cluster::submit_reply>(cluster::rollback_request{flow_name{"orders"}, {}, {}})->version
        == flow_version{1});
  CHECK(it.run_until([&] { return it.is_at(1); }, 5s));
}

TEST_CASE("an update to a bigger replica clears one node at a time") {
  world it;
  it.deploy(12);
  REQUIRE(it.submit("orders", 3, 3.0));
  it.roll_to(2, 1, 60s);
  CHECK(it.running_of(2) == 3);
}

TEST_CASE("a version that crashes at start is given up: the old one stays whole, the reason is shown") {
  world it;
  it.deploy(6);
  for (const char* fault : {"exit", "crash", "fail"}) {
    const auto version = it.submit("orders", 6, 1, {fault})->version;
    INFO(std::string{fault});
    REQUIRE(it.run_until([&] { return it.flow("orders")->phase == cluster::flow_phase::degraded; }, 30s));
    const auto* orders = it.flow("orders");
    CHECK(orders->current == flow_version{1});
    CHECK(orders->target == flow_version{1});
    CHECK(orders->detail.find("update to version " + std::to_string(version.value) + " failed")
          != std::string::npos);
    const std::string reason = fault == std::string{"exit"}    ? "exited with code 3"
                               : fault == std::string{"crash"} ? "SIGSEGV"
                                                               : "no database";
    CHECK(orders->detail.find(reason) != std::string::npos);
    CHECK(it.running_of(1) == 6);
    CHECK(it.run_until([&] { return it.hosts().size() == 3; }, 10s)); // those of the old version
  }
  REQUIRE(it.submit("orders", 6));
  CHECK(it.roll_to(5, 1) >= 6);
}

TEST_CASE("a first version that crashes is failed, with its reason") {
  world it;
  REQUIRE(it.submit("orders", 2, 1, {"exit"}));
  REQUIRE(it.run_until([&] { return it.flow("orders")->phase == cluster::flow_phase::failed; }, 30s));
  CHECK(it.flow("orders")->detail.find("exited with code 3") != std::string::npos);
  REQUIRE(it.submit("orders", 2));
  REQUIRE(it.run_until([&] { return it.is_at(2); }, 30s));
}

TEST_CASE("a rollback is a rolling update to the older version, and submits go on counting") {
  world it;
  it.deploy(6);
  REQUIRE(it.submit("orders", 6));
  it.roll_to(2, 1);
  CHECK(it.ask<cluster::submit_reply>(cluster::rollback_request{flow_name{"orders"}, {}, {}})->version
        == flow_version{1});
  CHECK(it.roll_to(1, 2) >= 6);
  CHECK(it.submit("orders", 6)->version == flow_version{3});
  CHECK(it.roll_to(3, 1) >= 6);
}

TEST_CASE("an update goes on when a node dies in the middle of it") {
  for (int step = 0; step < 8; ++step) {
    world it(4);
    it.deploy(8);
    REQUIRE(it.submit("orders", 8));
    it.run_for(step * 60ms);
    it.kill_node(static_cast<std::size_t>(step) % 4);
    it.roll_to(2, 1, 40s);
    CHECK(it.running_of(2) == 8);
    CHECK(it.double_owner().empty());
  }
}

TEST_CASE("an update goes on when the head dies in the middle of it") {
  for (int step = 0; step < 8; ++step) {
    world it;
    it.deploy(6);
    REQUIRE(it.submit("orders", 6));
    it.run_for(step * 60ms);
    it.kill_head();
    it.run_for(500ms);
    it.start_head();
    CHECK(it.roll_to(2, 1, 40s) >= 6);
  }
}

TEST_CASE("a submit during an update takes its place") {
  world it;
  it.deploy(4);
  REQUIRE(it.submit("orders", 4));
  it.run_for(150ms);
  REQUIRE(it.submit("orders", 4));
  it.roll_to(3, 1);
  CHECK(it.running_of(1) + it.running_of(2) == 0);
}

TEST_CASE("a drained flow has nothing in flight, keeps its place and resumes") {
  world it;
  it.deploy(6);
  REQUIRE(it.ask<void>(cluster::drain_flow_request{flow_name{"orders"}, false}));
  REQUIRE(it.run_until([&] { return it.flow("orders")->phase == cluster::flow_phase::drained; }, 10s));
  CHECK(it.hosts().size() <= 3); // empty ones may be on their way out
  CHECK(it.running_of(1) == 0);
  CHECK(it.count("orders", 1, host::replica_phase::draining) == 0);
  it.run_for(10s);
  CHECK(it.hosts().empty());
  REQUIRE(it.ask<void>(cluster::drain_flow_request{flow_name{"orders"}, true}));
  REQUIRE(it.run_until([&] { return it.is_at(1); }, 10s));
  CHECK(it.running_of(1) == 6);
}

TEST_CASE("a drained node has no replicas and gets none until it is resumed") {
  world it;
  it.deploy(6);
  REQUIRE(it.ask<void>(cluster::drain_node_request{it.id_of(0), false}));
  REQUIRE(it.run_until(
    [&] { return it.view()->nodes.at(0).phase == cluster::node_phase::drained && it.is_settled(); }, 10s));
  CHECK(it.running_of(1) == 6);
  it.kill_head();
  it.start_head();
  it.run_for(3s);
  CHECK(it.view()->nodes.at(0).phase == cluster::node_phase::drained);
  REQUIRE(it.submit("more", 4));
  it.run_for(3s);
  REQUIRE(it.flow("more"));
  CHECK(it.flow("more")->detail.find("cannot be placed") != std::string::npos);
  REQUIRE(it.ask<void>(cluster::drain_node_request{it.id_of(0), true}));
  REQUIRE(it.run_until([&] { return it.is_settled(); }, 10s));
}

TEST_CASE("scaling up and down reaches the number and drains what is too much") {
  world it;
  it.deploy(2);
  for (std::uint32_t count : {9u, 1u, 0u, 12u}) {
    REQUIRE(it.ask<void>(cluster::scale_request{flow_name{"orders"}, processor_name{"work"}, count}));
    REQUIRE(it.run_until([&] { return it.is_settled(); }, 10s));
    CHECK(it.running_of(1) == count);
  }
}

TEST_CASE("a deleted flow drains, is forgotten, and may be submitted anew, as a version that never was") {
  world it;
  it.deploy(6);
  REQUIRE(it.ask<void>(cluster::delete_flow_request{flow_name{"orders"}}));
  CHECK(it.submit("orders", 1).error().code == errc::conflict);
  REQUIRE(it.run_until([&] { return it.view()->flows.empty(); }, 10s));
  CHECK(it.view()->replicas.empty());
  it.run_for(5s);
  CHECK(it.hosts().empty());
  CHECK(it.submit("orders", 1)->version == flow_version{2});
  REQUIRE(it.run_until([&] { return it.is_at(2); }, 10s));
}

} // namespace
