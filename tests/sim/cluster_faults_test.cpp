// Goal: whatever happens to nodes, links and the head, the cluster comes back to what is wanted,
// in the time it promises, and never has one replica run twice.

#include "tests/support/sim_cluster.hpp"

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using namespace sluice;
using testing::sim_cluster;

struct world : sim_cluster {
  explicit world(std::size_t nodes = 3, testing::sim_settings settings = {}) : sim_cluster(settings) {
    start_head();
    for (std::size_t index = 0; index < nodes; ++index)
      add_node();
    run_for(2s); // all have joined: what comes is spread over all
  }

  bool is_settled() { return head_is_up() && difference().empty(); }

  /// Submits and waits until all runs.
  void deploy(const std::string& flow, std::uint32_t replicas, double cpus = 1) {
    REQUIRE(submit(flow, replicas, cpus));
    INFO(difference());
    REQUIRE(run_until([&] { return is_settled(); }, 10s));
  }

  cluster::node_phase phase_of(std::size_t index) {
    for (const auto& node : view()->nodes)
      if (node.info.id == id_of(index))
        return node.phase;
    return cluster::node_phase::left;
  }

  bool was_told(const std::string& text) {
    for (const auto& line : view()->events)
      if (line.text.find(text) != std::string::npos)
        return true;
    return false;
  }
};

TEST_CASE("a flow runs on all nodes within 2 s of its submit") {
  world it;
  REQUIRE(it.submit("orders", 6));
  const auto took = it.run_until([&] { return it.is_settled(); }, 10s);
  REQUIRE(took);
  CHECK(*took <= 2s);
  std::map<node_id, std::size_t> per_node;
  for (const auto* host : it.hosts())
    per_node[host->node] += host->replicas.size();
  CHECK(per_node.size() == 3);
  for (const auto& [node, count] : per_node)
    CHECK(count == 2);
}

TEST_CASE("a killed node is dead in under 5 s and its replicas run elsewhere in under 10 s") {
  world it;
  it.deploy("orders", 6);
  const auto before = it.releases().size();
  it.kill_node(1);
  const auto dead = it.run_until([&] { return it.phase_of(1) == cluster::node_phase::dead; }, 10s);
  REQUIRE(dead);
  CHECK(*dead < 5s);
  const auto replaced = it.run_until([&] { return it.is_settled(); }, 10s);
  REQUIRE(replaced);
  CHECK(*dead + *replaced < 10s);
  REQUIRE(it.releases().size() > before);
  CHECK(it.releases().back().owner.node == it.id_of(1));
  CHECK(!it.releases().back().failed); // no record of it is to blame
}

TEST_CASE("a node whose machine vanishes without a word is dead in under 5 s") {
  world it;
  it.deploy("orders", 6);
  it.cut(1);
  it.kill_node(1);
  const auto dead = it.run_until([&] { return it.phase_of(1) == cluster::node_phase::dead; }, 10s);
  REQUIRE(dead);
  CHECK(*dead < 5s);
}

TEST_CASE("a node that stood still for 2 s is suspect and comes back with its work") {
  world it;
  it.deploy("orders", 6);
  const auto started = it.hosts_started_count();
  it.pause_node(1);
  CHECK(it.run_until([&] { return it.phase_of(1) == cluster::node_phase::suspect; }, 2s));
  it.run_for(200ms);
  it.resume_node(1);
  CHECK(it.run_until([&] { return it.phase_of(1) == cluster::node_phase::alive; }, 1s));
  it.run_for(10s);
  CHECK(it.difference().empty());
  CHECK(it.hosts_started_count() == started);
  CHECK(it.releases().empty());
  CHECK(!it.was_told("is dead"));
}

TEST_CASE("a node that stood still for 10 s stops what runs elsewhere by then") {
  world it;
  it.deploy("orders", 6);
  it.pause_node(1);
  it.run_for(10s);
  CHECK(it.phase_of(1) == cluster::node_phase::dead);
  CHECK(it.count("orders", 1, host::replica_phase::running)
        == 8); // two of them only remembered by a stopped process
  CHECK(it.double_owner().empty());
  it.resume_node(1);
  const auto settled = it.run_until([&] { return it.is_settled(); }, 10s);
  INFO(it.difference());
  REQUIRE(settled);
  CHECK(*settled <= 5s);
  CHECK(it.double_owner().empty());
}

TEST_CASE("a dead node whose replicas found no place takes them up again without a new start") {
  world it(2);
  it.deploy("orders", 8);
  const auto started = it.hosts_started_count();
  it.pause_node(1);
  it.run_for(5s);
  CHECK(it.phase_of(1) == cluster::node_phase::dead);
  REQUIRE(it.flow("orders"));
  CHECK(it.flow("orders")->phase == cluster::flow_phase::degraded);
  CHECK(it.flow("orders")->detail.find("most free is 0.0 on node-000") != std::string::npos);
  it.resume_node(1);
  REQUIRE(it.run_until([&] { return it.is_settled(); }, 5s));
  CHECK(it.hosts_started_count() == started);
}

TEST_CASE("a link cut for 30 s: work goes elsewhere, and all is as wanted 5 s after it heals") {
  world it;
  it.deploy("orders", 6);
  it.cut(2);
  REQUIRE(it.run_until([&] { return it.phase_of(2) == cluster::node_phase::dead; }, 5s));
  it.run_for(25s);
  CHECK(it.double_owner().empty());
  it.heal(2);
  const auto settled = it.run_until([&] { return it.is_settled(); }, 10s);
  REQUIRE(settled);
  CHECK(*settled <= 5s);
}

TEST_CASE("a link that flaps every second for two minutes loses no work") {
  world it;
  it.deploy("orders", 6);
  const auto started = it.hosts_started_count();
  for (int round = 0; round < 60; ++round) {
    it.cut(1);
    it.run_for(1s);
    it.heal(1);
    it.run_for(1s);
  }
  CHECK(it.hosts_started_count() == started);
  CHECK(!it.was_told("is dead"));
  CHECK(it.difference().empty());
}

TEST_CASE("a head that stood still for 20 s declares nobody dead") {
  world it;
  it.deploy("orders", 6);
  const auto started = it.hosts_started_count();
  it.pause_head();
  it.run_for(20s);
  it.resume_head();
  it.run_for(10s);
  CHECK(it.difference().empty());
  CHECK(!it.was_told("is dead"));
  CHECK(it.hosts_started_count() == started);
}

TEST_CASE("a head that is killed and started adopts what runs: nothing is started, nothing gets a new id") {
  world it;
  it.deploy("orders", 6);
  std::set<replica_id> ids;
  for (const auto& replica : it.view()->replicas)
    ids.insert(replica.id);
  const auto started = it.hosts_started_count();
  it.kill_head();
  it.run_for(3s);
  CHECK(it.count("orders", 1, host::replica_phase::running) == 6);
  it.start_head();
  const auto settled = it.run_until([&] { return it.is_settled(); }, 10s);
  REQUIRE(settled);
  CHECK(*settled <= 5s);
  it.run_for(20s);
  CHECK(it.difference().empty());
  CHECK(it.hosts_started_count() == started);
  for (const auto& replica : it.view()->replicas)
    CHECK(ids.contains(replica.id));
}

TEST_CASE("a node that died while the head was down is replaced once the head has waited for it") {
  world it;
  it.deploy("orders", 6);
  it.kill_head();
  it.kill_node(0);
  it.run_for(1s);
  it.start_head();
  it.run_for(5s);
  CHECK(it.phase_of(0) == cluster::node_phase::suspect);
  const auto replaced = it.run_until([&] { return it.is_settled(); }, 15s);
  REQUIRE(replaced);
  CHECK(*replaced < 8s);
}

TEST_CASE("a node that is killed and started at once runs its replicas again, its leases are back") {
  world it;
  it.deploy("orders", 6);
  it.kill_node(1);
  it.restart_node(1);
  REQUIRE(it.run_until([&] { return it.is_settled(); }, 10s));
  CHECK(it.was_told("was started again"));
  REQUIRE(!it.releases().empty());
  CHECK(it.releases()[0].owner.node == it.id_of(1));
}

TEST_CASE("a node that stops on purpose gives its work away at once and is blamed for nothing") {
  world it;
  it.deploy("orders", 6);
  it.stop_node(1);
  CHECK(it.phase_of(1) == cluster::node_phase::left);
  REQUIRE(it.run_until([&] { return it.is_settled(); }, 3s));
  for (const auto& release : it.releases())
    CHECK(!release.failed);
}

TEST_CASE("a killed host is started again by its node, under the same replica ids") {
  world it;
  it.deploy("orders", 6);
  std::set<replica_id> ids;
  for (const auto& replica : it.view()->replicas)
    ids.insert(replica.id);
  it.kill_host(1);
  it.run_for(300ms);
  REQUIRE(it.run_until([&] { return it.is_settled(); }, 5s));
  for (const auto& replica : it.view()->replicas)
    CHECK(ids.contains(replica.id));
  CHECK(it.was_told("killed by SIGKILL"));
}

TEST_CASE("200 nodes and 2,000 replicas come to what is wanted, and again after 20 nodes die") {
  testing::sim_settings settings;
  settings.node_cpus = 16;
  world it(200, settings);
  for (int flow = 0; flow < 20; ++flow)
    REQUIRE(it.submit("flow-" + std::to_string(flow), 100));
  REQUIRE(it.run_until([&] { return it.is_settled(); }, 20s));
  CHECK(it.hosts().size() >= 200);
  for (std::size_t index = 0; index < 200; index += 10)
    it.kill_node(index);
  const auto replaced = it.run_until([&] { return it.is_settled(); }, 20s);
  REQUIRE(replaced);
  CHECK(*replaced < 10s);
  CHECK(it.double_owner().empty());
}

} // namespace
