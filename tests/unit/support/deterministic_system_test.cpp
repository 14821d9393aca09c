// Goal: what every actor test relies on holds: time moves only by hand, timers fire at
// their due time, requests are answered without a thread.

#include "tests/support/deterministic_system.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;

using tick_atom = caf::atom_constant<caf::atom("tick")>;
using ask_atom = caf::atom_constant<caf::atom("ask")>;
using fail_atom = caf::atom_constant<caf::atom("fail")>;
using never_atom = caf::atom_constant<caf::atom("never")>;

using counter =
  caf::typed_actor<caf::reacts_to<tick_atom>, caf::replies_to<ask_atom>::with<int>,
                   caf::replies_to<fail_atom>::with<int>, caf::replies_to<never_atom>::with<int>>;

struct counter_state {
  std::vector<std::chrono::nanoseconds> ticks;
  std::vector<caf::typed_response_promise<int>> kept;
};

counter::behavior_type count(counter::stateful_pointer<counter_state> self,
                             std::vector<std::chrono::nanoseconds>* out) {
  auto begin = self->clock().now();
  self->delayed_send(self, 1s, tick_atom::value);
  return {
    [self, begin, out](tick_atom) {
      out->push_back(self->clock().now() - begin);
      self->delayed_send(self, 1s, tick_atom::value);
    },
    [](ask_atom) { return 42; },
    [](fail_atom) -> caf::result<int> {
      return sluice::to_caf({sluice::errc::stale, "too late"});
    },
    [self](never_atom) {
      self->state.kept.push_back(self->make_response_promise<int>());
      return self->state.kept.back();
    },
  };
}

struct fixture : sluice::testing::deterministic_system {
  std::vector<std::chrono::nanoseconds> ticks;
  counter actor = own(sys.spawn(count, &ticks));
};

TEST_CASE_FIXTURE(fixture, "a periodic tick fires as often as time says, at its due time") {
  run();
  CHECK(ticks.empty());
  advance(3500ms);
  CHECK(ticks == std::vector<std::chrono::nanoseconds>{1s, 2s, 3s});
  advance(500ms);
  CHECK(ticks.back() == 4s);
}

TEST_CASE_FIXTURE(fixture, "a jump fires a periodic tick once and late") {
  run();
  jump(10s);
  CHECK(ticks == std::vector<std::chrono::nanoseconds>{10s});
}

TEST_CASE_FIXTURE(fixture, "a request is answered with its value or its failure") {
  CHECK(ask<int>(actor, ask_atom::value).value() == 42);
  auto failed = ask<int>(actor, fail_atom::value);
  REQUIRE(!failed);
  CHECK(failed.error() == sluice::failure{sluice::errc::stale, "too late"});
}

TEST_CASE_FIXTURE(fixture, "a request to an actor that is gone or silent fails without hanging") {
  auto silent = ask_later<int>(actor, never_atom::value);
  advance(request_timeout);
  REQUIRE(silent->has_value());
  CHECK((*silent)->error().code == sluice::errc::timeout);
  CHECK(ask<int>(actor, never_atom::value).error().code == sluice::errc::timeout);
  kill(actor);
  CHECK(ask<int>(actor, ask_atom::value).error().code == sluice::errc::unavailable);
}

} // namespace
