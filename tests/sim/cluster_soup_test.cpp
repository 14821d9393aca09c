// Goal: after any mixture of faults and requests, once the faults stop, what runs is what is wanted;
// no replica id ever runs twice; the same seed gives the same history.
//
// A failing seed is printed; replay it alone with SLUICE_SIM_SEED=<seed>, then add it to `seeds`.

#include "tests/support/sim_cluster.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <random>

namespace {

using namespace std::chrono_literals;
using namespace sluice;
using testing::sim_cluster;

constexpr std::uint64_t seeds[] = {1, 2, 3, 5, 8, 13, 21, 34, 55, 89};

/// Does one thing after another to a cluster of five nodes and two flows.
class soup {
public:
  explicit soup(std::uint64_t seed) : random_(seed ^ 0x9e3779b97f4a7c15ull), world({.seed = seed}) {
    world.start_head();
    for (int index = 0; index < 5; ++index)
      world.add_node();
    world.run_for(2s);
    REQUIRE(world.submit("first", 6));
    REQUIRE(world.submit("second", 4, 0.5));
  }

  /// Stirs for about a minute of the world's time.
  void stir() {
    for (int round = 0; round < 60; ++round) {
      stir_once();
      world.run_for(std::chrono::milliseconds{draw(2000)});
      REQUIRE(world.double_owner() == "");
    }
  }

  /// Ends all faults and asks for a version that can run.
  void calm() {
    world.store().fail_writes_with.reset();
    if (!world.head_is_up())
      world.start_head();
    if (head_is_paused_)
      world.resume_head();
    for (std::size_t index = 0; index < world.node_count(); ++index) {
      if (world.is_paused(index))
        world.resume_node(index);
      if (world.is_cut(index))
        world.heal(index);
      if (!world.is_up(index))
        world.restart_node(index);
    }
    world.run_for(2s);
    for (std::size_t index = 0; index < world.node_count(); ++index)
      static_cast<void>(world.ask<void>(cluster::drain_node_request{world.id_of(index), true}));
    for (const char* flow : {"first", "second"}) // one that is being deleted has to be gone first
      REQUIRE(world.run_until([&] { return world.submit(flow, 5, 0.5).has_value(); }, 60s));
  }

private:
  std::uint64_t draw(std::uint64_t below) { return random_() % below; }

  bool chance(std::uint64_t percent) { return draw(100) < percent; }

  void stir_once() {
    const auto index = static_cast<std::size_t>(draw(world.node_count()));
    const bool is_well = world.is_up(index) && !world.is_paused(index);
    switch (draw(12)) {
    case 0:
      if (is_well)
        world.kill_node(index);
      else if (!world.is_up(index))
        world.restart_node(index);
      break;
    case 1:
      if (!world.is_up(index))
        world.restart_node(index);
      break;
    case 2:
      if (is_well)
        world.pause_node(index);
      else if (world.is_paused(index))
        world.resume_node(index);
      break;
    case 3:
      if (world.is_paused(index))
        world.resume_node(index);
      break;
    case 4:
      if (world.is_cut(index))
        world.heal(index);
      else
        world.cut(index);
      break;
    case 5:
      if (world.is_cut(index))
        world.heal(index);
      break;
    case 6:
      if (is_well)
        world.kill_host(index);
      break;
    case 7:
      stir_head();
      break;
    case 8:
      if (chance(30))
        world.store().fail_writes_with = failure{errc::exhausted, "disk full"};
      else
        world.store().fail_writes_with.reset();
      break;
    default:
      if (world.head_is_up() && !head_is_paused_)
        request(index);
    }
  }

  void stir_head() {
    if (head_is_paused_) {
      world.resume_head();
      head_is_paused_ = false;
    } else if (!world.head_is_up()) {
      world.start_head();
    } else if (chance(50)) {
      world.kill_head();
    } else {
      world.pause_head();
      head_is_paused_ = true;
    }
  }

  /// Answers do not matter here: a full disk or an unknown version may refuse.
  void request(std::size_t index) {
    const auto name = chance(50) ? "first" : "second";
    switch (draw(7)) {
    case 0:
      static_cast<void>(world.submit(name, static_cast<std::uint32_t>(1 + draw(8))));
      break;
    case 1:
      static_cast<void>(world.submit(name, 2, 1, {chance(50) ? "exit" : chance(50) ? "fail" : "crash"}));
      break;
    case 2:
      static_cast<void>(world.ask<cluster::submit_reply>(cluster::rollback_request{flow_name{name}, {}, {}}));
      break;
    case 3:
      static_cast<void>(world.ask<void>(cluster::scale_request{flow_name{name}, processor_name{"work"},
                                                               static_cast<std::uint32_t>(draw(9))}));
      break;
    case 4:
      static_cast<void>(world.ask<void>(cluster::drain_node_request{world.id_of(index), chance(50)}));
      break;
    case 5:
      static_cast<void>(world.ask<void>(cluster::drain_flow_request{flow_name{name}, chance(60)}));
      break;
    default:
      if (chance(20))
        static_cast<void>(world.ask<void>(cluster::delete_flow_request{flow_name{name}}));
    }
  }

  std::mt19937_64 random_;
  bool head_is_paused_ = false;

public:
  sim_cluster world;
};

void try_seed(std::uint64_t seed) {
  INFO("seed " << seed);
  soup it(seed);
  it.stir();
  it.calm();
  const bool is_settled = it.world.run_until([&] { return it.world.difference().empty(); }, 90s).has_value();
  INFO(it.world.difference());
  CHECK(is_settled);
  it.world.run_for(10s);
  CHECK(it.world.difference() == "");
  CHECK(it.world.double_owner() == "");
}

TEST_CASE("a soup of faults: what runs is what is wanted once they stop (fixed seeds)") {
  if (const char* only = std::getenv("SLUICE_SIM_SEED"))
    return try_seed(std::strtoull(only, nullptr, 0));
  for (auto seed : seeds)
    try_seed(seed);
}

TEST_CASE("a soup of faults: what runs is what is wanted once they stop (a fresh seed)") {
  if (std::getenv("SLUICE_SIM_SEED"))
    return;
  const auto seed = static_cast<std::uint64_t>(std::random_device{}()) << 20 | 1;
  MESSAGE("fresh seed " << seed);
  try_seed(seed);
}

TEST_CASE("the same seed gives the same history, another one another") {
  auto trace_of = [](std::uint64_t seed) {
    soup it(seed);
    it.stir();
    return it.world.trace();
  };
  const auto first = trace_of(7);
  CHECK(trace_of(7) == first);
  CHECK(trace_of(8) != first);
}

} // namespace
