// Goal: each step of an update is right whatever the steps before it were.

#include "actors/cluster/rollout_policy.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

namespace {

using namespace sluice;
using namespace sluice::cluster;

const processor_name price{"price"};
const processor_name audit{"audit"};

/// Builds an input and applies a plan.
struct fixture {
  rollout_input input;
  std::vector<node_room> nodes;
  std::uint64_t id_last = 0;

  void node(const std::string& id, double cpus) { nodes.push_back({node_id{id}, cpus, 1ull << 30}); }

  void want(const processor_name& processor, std::uint32_t count, double cpus = 1) {
    input.wants.push_back({processor, count, {cpus, 0}});
  }

  /// Adds a replica that takes its slots from the node's.
  member& add(const processor_name& processor, const std::string& on, bool is_target,
              replica_health health = replica_health::up, double cpus = 1) {
    member one;
    one.id = replica_id{++id_last};
    one.processor = processor;
    one.node = node_id{on};
    one.is_target = is_target;
    one.health = health;
    input.needs[one.id] = {cpus, 0};
    for (auto& room : nodes)
      if (room.node == one.node)
        room.cpus_free -= cpus;
    input.members.push_back(one);
    return input.members.back();
  }

  rollout_plan plan() {
    auto rooms = nodes;
    return plan_rollout(input, rooms);
  }

  static std::set<std::uint64_t> ids(const rollout_plan& plan) {
    std::set<std::uint64_t> all;
    for (auto id : plan.drains)
      all.insert(id.value);
    return all;
  }
};

TEST_CASE_FIXTURE(fixture, "what is missing is started, spread over the nodes") {
  node("a", 4);
  node("b", 4);
  want(price, 4);
  want(audit, 1);
  auto step = plan();
  REQUIRE(step.starts.size() == 5);
  CHECK(std::ranges::count(step.starts, node_id{"a"}, &new_replica::node) >= 2);
  CHECK(std::ranges::count(step.starts, node_id{"b"}, &new_replica::node) >= 2);
  CHECK(step.drains.empty());
  CHECK(!step.is_complete);
}

TEST_CASE_FIXTURE(fixture, "what waits with a host in a crash loop goes where the flow does well or is new") {
  node("a", 4);
  node("b", 4);
  node("c", 4);
  want(price, 2);
  add(price, "a", true, replica_health::failing).host_loops = true;
  add(price, "b", true);
  input.looped = {node_id{"a"}};
  SUBCASE("the untried node has the fewest replicas") {
    auto step = plan();
    REQUIRE(step.starts.size() == 1);
    CHECK(step.starts[0].node == node_id{"c"});
    CHECK(ids(step) == std::set<std::uint64_t>{1});
    CHECK(step.loops_left == std::set{node_id{"a"}});
  }
  SUBCASE("no other is free: the one that does well") {
    nodes.pop_back();
    auto step = plan();
    REQUIRE(step.starts.size() == 1);
    CHECK(step.starts[0].node == node_id{"b"});
  }
  SUBCASE("it fits nowhere else: it stays") {
    nodes[1].cpus_free = nodes[2].cpus_free = 0.5;
    auto step = plan();
    CHECK(step.starts.empty());
    CHECK(step.drains.empty());
  }
  SUBCASE("its move under way is not planned again") {
    input.members[0].is_draining = true;
    add(price, "c", true, replica_health::starting);
    auto step = plan();
    CHECK(step.starts.empty());
    CHECK(step.drains.empty());
  }
}

TEST_CASE_FIXTURE(fixture, "a crash loop is not spread") {
  for (const auto* name : {"a", "b", "c", "d", "e"})
    node(name, 4);
  want(price, 1);
  add(price, "a", true, replica_health::failing).host_loops = true;
  SUBCASE("after three nodes it is the program: a fourth is not tried") {
    input.looped = {node_id{"a"}, node_id{"b"}, node_id{"c"}};
    CHECK(plan().drains.empty());
  }
  SUBCASE("but one where it does well is, always") {
    input.looped = {node_id{"a"}, node_id{"b"}, node_id{"c"}};
    input.wants[0].count = 2;
    add(price, "e", true);
    auto step = plan();
    REQUIRE(step.starts.size() == 1);
    CHECK(step.starts[0].node == node_id{"e"});
  }
  SUBCASE("a node that is being tried is waited for") {
    nodes.resize(2);
    input.looped = {node_id{"a"}};
    input.wants[0].count = 2;
    add(price, "b", true, replica_health::starting);
    CHECK(plan().drains.empty());
  }
  SUBCASE("all nodes have been tried") {
    nodes.resize(2);
    input.looped = {node_id{"a"}, node_id{"b"}};
    auto step = plan();
    CHECK(step.starts.empty());
    CHECK(step.drains.empty());
  }
}

TEST_CASE_FIXTURE(fixture, "a new replica is put beside a crash loop only where nothing else fits") {
  node("a", 4);
  node("b", 1);
  want(price, 2);
  input.looped = {node_id{"a"}};
  auto step = plan();
  REQUIRE(step.starts.size() == 2);
  CHECK(step.starts[0].node == node_id{"b"});
  CHECK(step.starts[1].node == node_id{"a"});
}

TEST_CASE_FIXTURE(fixture,
                  "a reader that is the only one leaves a crash loop first and starts elsewhere then") {
  node("a", 4);
  node("b", 4);
  want(price, 1);
  input.wants[0].has_one_owner = true;
  input.looped = {node_id{"a"}};
  add(price, "a", true, replica_health::failing).host_loops = true;
  auto step = plan();
  CHECK(step.starts.empty());
  CHECK(ids(step) == std::set<std::uint64_t>{1});
  input.members.clear(); // it is gone
  step = plan();
  REQUIRE(step.starts.size() == 1);
  CHECK(step.starts[0].node == node_id{"b"});
}

TEST_CASE_FIXTURE(fixture, "two processors share what a node has free") {
  node("a", 3);
  want(price, 2);
  want(audit, 2);
  auto step = plan();
  CHECK(step.starts.size() == 3);
  REQUIRE(step.waiting.contains(audit));
  CHECK(step.waiting[audit].count == 1);
  CHECK(step.waiting[audit].reason == "needs 1.0 CPUs, most free is 0.0 on a");
}

TEST_CASE_FIXTURE(fixture, "a flow at rest stays as it is") {
  node("a", 4);
  want(price, 2);
  add(price, "a", true);
  add(price, "a", true);
  auto step = plan();
  CHECK(step.starts.empty());
  CHECK(step.drains.empty());
  CHECK(step.is_complete);
}

TEST_CASE_FIXTURE(fixture,
                  "scaling down drains what is not up, then from the fullest node, then the youngest") {
  node("a", 8);
  node("b", 8);
  want(price, 3);
  add(price, "a", true);                           // 1
  add(price, "a", true);                           // 2
  add(price, "b", true);                           // 3
  add(price, "a", true);                           // 4
  add(price, "b", true, replica_health::starting); // 5
  CHECK(ids(plan()) == std::set<std::uint64_t>{4, 5});
  input.wants[0].count = 0;
  CHECK(ids(plan()) == std::set<std::uint64_t>{1, 2, 3, 4, 5});
}

TEST_CASE_FIXTURE(fixture, "an update starts all new ones beside the old ones and drains none of these") {
  node("a", 4);
  want(price, 2);
  add(price, "a", false);
  add(price, "a", false);
  auto step = plan();
  CHECK(step.starts.size() == 2);
  CHECK(step.drains.empty());
}

TEST_CASE_FIXTURE(fixture, "old ones are drained once all new ones of all processors are up, not before") {
  node("a", 8);
  want(price, 1);
  want(audit, 1);
  add(price, "a", false);
  add(audit, "a", false);
  add(price, "a", true);
  auto& last = add(audit, "a", true, replica_health::starting);
  CHECK(plan().drains.empty());
  last.health = replica_health::failing;
  CHECK(plan().drains.empty());
  input.members[3].health = replica_health::up;
  CHECK(ids(plan()) == std::set<std::uint64_t>{1, 2});
  CHECK(!plan().is_complete);
}

TEST_CASE_FIXTURE(fixture, "an update is complete when no old one is left, draining ones included") {
  node("a", 8);
  want(price, 1);
  add(price, "a", true);
  add(price, "a", false).is_draining = true;
  CHECK(!plan().is_complete);
  CHECK(plan().drains.empty());
  input.members.pop_back();
  CHECK(plan().is_complete);
}

TEST_CASE_FIXTURE(fixture, "a processor that the new version lacks goes with the others") {
  node("a", 8);
  want(price, 1);
  add(price, "a", true);
  add(audit, "a", false);
  CHECK(ids(plan()) == std::set<std::uint64_t>{2});
}

TEST_CASE_FIXTURE(fixture, "without room one old replica is drained, and no other until that step is over") {
  node("a", 2);
  want(price, 2);
  add(price, "a", false);
  add(price, "a", false);
  auto step = plan();
  REQUIRE(ids(step) == std::set<std::uint64_t>{2});
  CHECK(step.waiting[price].count == 2);
  input.members[1].is_draining = true;
  CHECK(plan().drains.empty()); // it is not gone yet
  input.members.pop_back();
  nodes[0].cpus_free += 1;
  step = plan();
  CHECK(step.starts.size() == 1);
  CHECK(step.drains.empty());
  auto& fresh = add(price, "a", true, replica_health::starting);
  CHECK(plan().drains.empty()); // it is not up yet
  fresh.health = replica_health::up;
  CHECK(ids(plan()) == std::set<std::uint64_t>{1});
}

TEST_CASE_FIXTURE(fixture, "room is made where the fewest have to go, of the same processor first") {
  node("a", 2);
  node("b", 2);
  want(price, 2, 2.0);
  add(price, "a", false);                          // 1: two would have to go on a
  add(audit, "a", false);                          // 2
  add(audit, "b", false, replica_health::up, 2.0); // 3: one on b
  CHECK(ids(plan()) == std::set<std::uint64_t>{3});
  input.members.pop_back();
  nodes[1].cpus_free = 0; // somebody else's now
  CHECK(ids(plan()) == std::set<std::uint64_t>{1});
}

TEST_CASE_FIXTURE(fixture, "nothing is drained for a replica that would not fit even then") {
  node("a", 2);
  want(price, 1, 4.0);
  add(price, "a", false);
  add(price, "a", false);
  auto step = plan();
  CHECK(step.drains.empty());
  CHECK(step.waiting[price].reason == "needs 4.0 CPUs, most free is 0.0 on a");
}

TEST_CASE_FIXTURE(fixture, "what must go is drained and replaced at once") {
  node("b", 4); // a drains and takes nothing
  want(price, 2);
  add(price, "a", true).must_go = true;
  add(price, "b", true);
  auto step = plan();
  CHECK(ids(step) == std::set<std::uint64_t>{1});
  REQUIRE(step.starts.size() == 1);
  CHECK(step.starts[0].node == node_id{"b"});
}

TEST_CASE_FIXTURE(fixture, "a failed replica is started again on another node if there is one") {
  node("a", 4);
  node("b", 1);
  want(price, 1);
  input.failed_last[price] = node_id{"a"};
  CHECK(plan().starts.at(0).node == node_id{"b"});
}

TEST_CASE_FIXTURE(fixture,
                  "no wants: everything of the flow that runs is complete and stays scaled to nothing") {
  node("a", 4);
  want(price, 0);
  CHECK(plan().is_complete);
  CHECK(plan().starts.empty());
}

TEST_CASE_FIXTURE(fixture,
                  "a source with one owner is passed on: drained, gone, begun anew, after all others") {
  node("a", 4);
  want(price, 1);
  want(audit, 1);
  input.wants[0].has_one_owner = true;
  add(price, "a", false);
  add(audit, "a", false);
  auto step = plan(); // the other processor first
  REQUIRE(step.starts.size() == 1);
  CHECK(step.starts[0].processor == audit);
  CHECK(step.drains.empty());
  CHECK(step.waiting.empty());
  add(audit, "a", true);
  step = plan(); // then the owner goes
  CHECK(step.starts.empty());
  CHECK(ids(step) == std::set<std::uint64_t>{1});
  input.members[0].is_draining = true;
  step = plan();
  CHECK(step.starts.empty());
  CHECK(step.drains.empty());
  input.members.erase(input.members.begin());
  step = plan(); // and once it is gone the new one starts
  REQUIRE(step.starts.size() == 1);
  CHECK(step.starts[0].processor == price);
  CHECK(step.drains.empty());
  add(price, "a", true);
  step = plan();
  CHECK(ids(step) == std::set<std::uint64_t>{2});
}

TEST_CASE_FIXTURE(fixture,
                  "the owner of a source is not drained for one that fits nowhere, and moves as it updates") {
  node("a", 1);
  node("b", 2);
  want(price, 1, 3);
  input.wants[0].has_one_owner = true;
  add(price, "a", false);
  auto step = plan();
  CHECK(step.starts.empty());
  CHECK(step.drains.empty());
  CHECK(step.waiting.contains(price));
  input.wants[0].need.cpus = 1;
  CHECK(ids(plan()) == std::set<std::uint64_t>{1});
  auto& moves = input.members[0]; // its node drains
  moves.is_target = true;
  moves.must_go = true;
  step = plan();
  CHECK(step.starts.empty());
  CHECK(step.drains == std::vector{replica_id{1}});
  moves.is_draining = true;
  CHECK(plan().starts.empty());
  input.members.clear();
  CHECK(plan().starts.size() == 1);
}

} // namespace
