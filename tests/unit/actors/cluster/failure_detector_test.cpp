// Goal: silence makes a node suspect and then dead at the promised times, a sign of life undoes it,
// and the head's own absence is never taken for that of the nodes.

#include "actors/cluster/failure_detector.hpp"

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::cluster;

const node_id a{"node-a"};
const node_id b{"node-b"};

struct fixture {
  failure_detector detector;
  time_point now{1h};

  /// Ticks every 250 ms; returns all changes.
  std::vector<transition> pass(std::chrono::milliseconds length) {
    std::vector<transition> all;
    for (auto end = now + length; now < end;) {
      now += 250ms;
      for (const auto& change : detector.tick(now))
        all.push_back(change);
    }
    return all;
  }
};

TEST_CASE_FIXTURE(fixture, "silence makes a node suspect after 1.5 s and dead after 4 s, each told once") {
  detector.watch(a, now);
  detector.tick(now);
  CHECK(pass(1250ms).empty());
  auto changes = pass(250ms);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].after == liveness::suspect);
  CHECK(changes[0].silence == 1500ms);
  CHECK(!changes[0].link_lost);
  CHECK(pass(2250ms).empty());
  changes = pass(250ms);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].before == liveness::suspect);
  CHECK(changes[0].after == liveness::dead);
  CHECK(pass(10s).empty());
}

TEST_CASE_FIXTURE(fixture, "a node that falls silent for good is dead in under 5 s, whenever it does") {
  for (auto phase = 0ms; phase < 250ms; phase += 10ms) {
    detector.watch(a, now);
    detector.tick(now);
    now += phase;
    CHECK(!detector.heard(a, now)); // its last words
    const auto silent_since = now;
    now -= phase;
    while (detector.of(a) != liveness::dead)
      pass(250ms);
    CHECK(now - silent_since < 5s);
  }
}

TEST_CASE_FIXTURE(fixture, "a node that is heard stays alive for ever") {
  detector.watch(a, now);
  for (int beat = 0; beat < 100; ++beat) {
    CHECK(pass(1250ms).empty());
    CHECK(!detector.heard(a, now));
  }
  CHECK(detector.of(a) == liveness::alive);
}

TEST_CASE_FIXTURE(fixture, "a suspect node that is heard is alive, and its silence counts from then") {
  detector.watch(a, now);
  detector.tick(now);
  pass(2s);
  auto back = detector.heard(a, now);
  REQUIRE(back);
  CHECK(back->before == liveness::suspect);
  CHECK(back->silence == 2s);
  CHECK(detector.of(a) == liveness::alive);
  CHECK(detector.silence(a, now + 1s) == 1s);
  CHECK(pass(1250ms).empty());
}

TEST_CASE_FIXTURE(fixture, "a dead node that is heard is alive again") {
  detector.watch(a, now);
  detector.tick(now);
  pass(5s);
  CHECK(detector.of(a) == liveness::dead);
  auto back = detector.heard(a, now);
  REQUIRE(back);
  CHECK(back->before == liveness::dead);
}

TEST_CASE_FIXTURE(fixture, "a closed link makes a node suspect at once and dead after 2 s") {
  detector.watch(a, now);
  detector.tick(now);
  auto change = detector.link_lost(a, now);
  REQUIRE(change);
  CHECK(change->after == liveness::suspect);
  CHECK(change->link_lost);
  CHECK(!detector.link_lost(a, now)); // told twice counts once
  CHECK(pass(1750ms).empty());
  auto changes = pass(250ms);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].after == liveness::dead);
  CHECK(changes[0].link_lost);
}

TEST_CASE_FIXTURE(fixture, "a second loss of the link does not put death off") {
  detector.watch(a, now);
  detector.tick(now);
  detector.link_lost(a, now);
  pass(1500ms);
  detector.link_lost(a, now);
  CHECK(pass(500ms).size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a node whose link is back is not dead 2 s after it was lost") {
  detector.watch(a, now);
  detector.tick(now);
  detector.link_lost(a, now);
  pass(1s);
  CHECK(detector.heard(a, now));
  CHECK(pass(1250ms).empty());
}

TEST_CASE_FIXTURE(fixture, "after a gap between ticks every node gets its time anew") {
  detector.watch(a, now);
  detector.watch(b, now);
  detector.tick(now);
  detector.link_lost(b, now);
  now += 60s;
  CHECK(detector.tick(now).empty());
  CHECK(detector.of(a) == liveness::alive);
  CHECK(detector.of(b) == liveness::suspect);
  auto changes = pass(1750ms);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].node == a);
  CHECK(changes[0].after == liveness::suspect);
  changes = pass(250ms);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].node == b);
  CHECK(changes[0].after == liveness::dead);
}

TEST_CASE_FIXTURE(fixture, "a gap of exactly the bound is no gap") {
  detector.watch(a, now);
  detector.tick(now);
  now += 1s;
  CHECK(detector.tick(now).empty());
  now += 1s;
  CHECK(detector.tick(now).size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a node known from before is suspect until it is heard and dead after its grace") {
  detector.expect(a, now, 10s);
  detector.expect(b, now, 10s);
  detector.tick(now);
  CHECK(detector.of(a) == liveness::suspect);
  CHECK(pass(9s).empty());
  CHECK(detector.heard(b, now));
  auto changes = pass(1s);
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].node == a);
  CHECK(changes[0].after == liveness::dead);
  changes = pass(500ms);
  REQUIRE(changes.size() == 1); // from here on the ordinary times hold
  CHECK(changes[0].node == b);
  CHECK(changes[0].after == liveness::suspect);
}

TEST_CASE_FIXTURE(fixture, "the grace of a node known from before stands still while the head does") {
  detector.expect(a, now, 10s);
  detector.tick(now);
  now += 30s;
  CHECK(detector.tick(now).empty());
  CHECK(pass(9750ms).empty());
  CHECK(pass(250ms).size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a node that is not watched is dead, silent for 0 s, and cannot change") {
  CHECK(detector.of(a) == liveness::dead);
  CHECK(detector.silence(a, now) == 0s);
  CHECK(!detector.heard(a, now));
  CHECK(!detector.link_lost(a, now));
  detector.watch(a, now);
  detector.forget(a);
  CHECK(pass(10s).empty());
  detector.watch_dead(b, now);
  CHECK(pass(10s).empty());
  CHECK(!detector.link_lost(b, now));
  CHECK(detector.heard(b, now));
}

} // namespace
