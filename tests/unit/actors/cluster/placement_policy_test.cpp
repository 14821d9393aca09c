// Goal: a replica goes where it fits, spread first, and a place that is not there is explained.

#include "actors/cluster/placement_policy.hpp"

#include <doctest/doctest.h>

#include <vector>

namespace {

using namespace sluice;
using namespace sluice::cluster;

candidate node(std::string id, double cpus, std::uint64_t memory_mib = 1024) {
  candidate it;
  it.node = node_id{id};
  it.cpus_free = cpus;
  it.memory_bytes_free = memory_mib << 20;
  return it;
}

std::string chosen(const replica_need& need, const std::vector<candidate>& nodes) {
  auto choice = place(need, nodes);
  return choice.node ? choice.node->value : "nowhere: " + choice.reason;
}

TEST_CASE("the fewest replicas of the processor win, then a running host, then free slots, then the id") {
  std::vector<candidate> nodes{node("c", 2), node("b", 2), node("a", 8)};
  nodes[2].replicas_same = 1;
  CHECK(chosen({1, 0}, nodes) == "b");
  nodes[0].runs_flow = true;
  CHECK(chosen({1, 0}, nodes) == "c");
  nodes[0].replicas_same = nodes[1].replicas_same = 1;
  nodes[2].runs_flow = true;
  CHECK(chosen({1, 0}, nodes) == "a");
}

TEST_CASE("a node where the last replica failed comes last, but is better than none") {
  std::vector<candidate> nodes{node("a", 4), node("b", 4)};
  nodes[0].failed_here = true;
  nodes[1].replicas_same = 5;
  CHECK(chosen({1, 0}, nodes) == "b");
  nodes[1].cpus_free = 0;
  CHECK(chosen({1, 0}, nodes) == "a");
}

TEST_CASE("fractions of a slot add up: ten tenths fill one") {
  double free = 1.0;
  for (int replica = 0; replica < 10; ++replica) {
    CHECK(fits({0.1, 0}, free, 0));
    free -= 0.1;
  }
  CHECK(!fits({0.1, 0}, free, 0));
  CHECK(fits({0, 0}, free, 0));
}

TEST_CASE("memory counts only where it is reserved") {
  std::vector<candidate> nodes{node("a", 4, 100), node("b", 1, 1000)};
  CHECK(chosen({1, 0}, nodes) == "a");
  CHECK(chosen({1, 101u << 20}, nodes) == "b");
  CHECK(chosen({1, 1000ull << 20}, nodes) == "b"); // to the last byte
}

TEST_CASE("what is needed and what is free never look the same") {
  CHECK(chosen({0.1, 0}, {node("a", 0.06)}) == "nowhere: needs 0.10 CPUs, most free is 0.06 on a");
  CHECK(chosen({0.05, 0}, {node("a", 0)}) == "nowhere: needs 0.05 CPUs, most free is 0.00 on a");
  CHECK(chosen({1, 0}, {node("a", 0.999)}) == "nowhere: needs 1.000 CPUs, most free is 0.999 on a");
  CHECK(chosen({1, 0}, {node("a", -0.01)}) == "nowhere: needs 1.0 CPUs, most free is 0.0 on a");
  const auto with_bytes = [](std::uint64_t free) {
    auto it = node("a", 1);
    it.memory_bytes_free = free;
    return std::vector{it};
  };
  CHECK(chosen({1, 100u << 20}, with_bytes((100u << 20) - 1))
        == "nowhere: needs 100 MiB of memory, most free with 1.0 CPUs is 99 MiB on a");
  CHECK(chosen({1, (100u << 20) + 2048}, with_bytes(100u << 20))
        == "nowhere: needs 102402 KiB of memory, most free with 1.0 CPUs is 102400 KiB on a");
  CHECK(chosen({1, 101}, with_bytes(100))
        == "nowhere: needs 101 B of memory, most free with 1.0 CPUs is 100 B on a");
}

TEST_CASE("a replica goes only where a node has all of its labels, and says so where none has") {
  std::vector<candidate> nodes{node("a", 8), node("b", 2), node("c", 1)};
  nodes[1].labels = {{"gpu", "1"}, {"zone", "x"}};
  nodes[2].labels = {{"gpu", "1"}};
  CHECK(chosen({1, 0, {{"gpu", "1"}}}, nodes) == "b");
  CHECK(chosen({1, 0, {{"zone", "x"}, {"gpu", "1"}}}, nodes) == "b");
  CHECK(chosen({1, 0, {}}, nodes) == "a");
  CHECK(chosen({1, 0, {{"gpu", "2"}}}, nodes) == "nowhere: no node has the label gpu=2");
  CHECK(chosen({1, 0, {{"gpu", "1"}, {"zone", "y"}}}, nodes)
        == "nowhere: no node has the labels gpu=1, zone=y");
  CHECK(chosen({4, 0, {{"gpu", "1"}}}, nodes)
        == "nowhere: needs 4.0 CPUs on a node with gpu=1, most free is 2.0 on b");
  CHECK(
    chosen({1, 2048ull << 20, {{"gpu", "1"}}}, nodes)
    == "nowhere: needs 2048 MiB of memory on a node with gpu=1, most free with 1.0 CPUs is 1024 MiB on b");
}

TEST_CASE("where nothing fits, the reason names the need and the most that is free") {
  std::vector<candidate> nodes{node("node-a", 0.5), node("node-b", 1), node("node-c", -0.2)};
  CHECK(chosen({2, 0}, nodes) == "nowhere: needs 2.0 CPUs, most free is 1.0 on node-b");
  CHECK(chosen({1, 2048ull << 20}, nodes)
        == "nowhere: needs 2048 MiB of memory, most free with 1.0 CPUs is 1024 MiB on node-b");
  CHECK(chosen({1, 0}, {}) == "nowhere: no node takes work");
  CHECK(chosen({1, 0}, {node("node-c", -0.2)}) == "nowhere: needs 1.0 CPUs, most free is 0.0 on node-c");
}

} // namespace
