// Goal: a replica for requests starts, drains and ends as its chart says.
#include "actors/replica/replica_policy.hpp"
#include "actors/replica/request_state.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::replica;
using namespace std::chrono_literals;

namespace {

const time_point start{};
constexpr auto drain_max = 60s;

template <class T>
bool is_only(const request_actions& all) {
  return all.size() == 1 && std::holds_alternative<T>(all[0]);
}

} // namespace

TEST_CASE("without a sink it runs once user code is set up") {
  request_state s{false, 1, drain_max};
  CHECK(is_only<make_body>(s.on_spawned()));
  CHECK(s.phase() == replica_phase::starting);
  CHECK(is_only<open_gate>(s.on_body({}, start)));
  CHECK(s.phase() == replica_phase::running);
}

TEST_CASE("a setup that fails ends it with the reason") {
  request_state s{false, 1, drain_max};
  s.on_spawned();
  CHECK(is_only<finish>(s.on_body(fail(errc::internal, "no database"), start)));
  CHECK(s.phase() == replica_phase::failed);
  CHECK(s.last_error() == "no database");
}

TEST_CASE("a sink that is away is tried again, one that can never open is fatal") {
  request_state s{true, 1, drain_max};
  s.on_spawned();
  CHECK(is_only<open_sink>(s.on_body({}, start)));
  CHECK(s.on_sink_open(fail(errc::unavailable, "refused"), start).empty());
  CHECK(s.on_tick(true, start).empty());
  CHECK(is_only<open_sink>(s.on_tick(true, start + 10s)));
  CHECK(s.on_tick(true, start + 20s).empty()); // its answer is due
  SUBCASE("then it opens") {
    CHECK(is_only<open_gate>(s.on_sink_open({}, start + 10s)));
    CHECK(s.phase() == replica_phase::running);
  }
  SUBCASE("then it cannot") {
    CHECK(is_only<finish>(s.on_sink_open(fail(errc::invalid_argument, "no path"), start + 10s)));
    CHECK(s.phase() == replica_phase::failed);
  }
}

TEST_CASE("a drain waits for what has begun and for its results, then tears down") {
  request_state s{false, 1, drain_max};
  s.on_spawned();
  s.on_body({}, start);
  CHECK(is_only<close_gate>(s.on_drain(start)));
  CHECK(s.on_drain(start).empty());
  CHECK(s.phase() == replica_phase::draining);
  CHECK(s.on_tick(true, start).empty()); // user code is still inside
  CHECK(s.on_idle().empty());
  CHECK(s.on_tick(false, start).empty()); // results are still on their way
  CHECK(is_only<tear_down>(s.on_tick(true, start)));
  CHECK(s.on_tick(true, start).empty());
  CHECK(is_only<finish>(s.on_torn_down({})));
  CHECK(s.phase() == replica_phase::down);
}

TEST_CASE("a drain does not wait for ever") {
  request_state s{false, 1, drain_max};
  s.on_spawned();
  s.on_body({}, start);
  s.on_drain(start);
  CHECK(s.on_tick(false, start + drain_max - 1ms).empty());
  SUBCASE("for user code, which is not torn down while it runs") {
    CHECK(is_only<finish>(s.on_tick(false, start + drain_max)));
    CHECK(s.phase() == replica_phase::down);
    CHECK(!s.last_error().empty());
  }
  SUBCASE("for the sink") {
    s.on_idle();
    CHECK(s.on_tick(false, start + drain_max - 1ms).empty());
    CHECK(is_only<tear_down>(s.on_tick(false, start + drain_max)));
  }
}

TEST_CASE("user code that does not return is not waited for when a drain is asked") {
  request_state s{true, 1, drain_max};
  s.on_spawned();
  const auto ends = start + drain_max;
  SUBCASE("in setup") {
    CHECK(s.on_tick(true, start + 1h).empty());
    s.on_drain(start + 1h);
    CHECK(s.on_tick(true, start + 1h + setup_wait_max - 1ms).empty());
    CHECK(is_only<finish>(s.on_tick(true, start + 1h + setup_wait_max)));
  }
  SUBCASE("while the sink opens") {
    s.on_body({}, start);
    s.on_drain(start);
    CHECK(is_only<finish>(s.on_tick(true, ends)));
  }
  SUBCASE("in teardown") {
    s.on_body({}, start);
    s.on_sink_open({}, start);
    s.on_drain(start);
    s.on_idle();
    CHECK(is_only<tear_down>(s.on_tick(false, ends)));
    CHECK(s.on_tick(false, ends + 1s).empty()); // it has a little time of its own
    CHECK(is_only<finish>(s.on_tick(false, ends + 10s)));
  }
  CHECK(s.phase() == replica_phase::down);
  CHECK(s.on_tick(true, ends + 9h).empty());
}

TEST_CASE("a drain while it starts takes effect once the step under way has ended") {
  request_state s{true, 1, drain_max};
  s.on_spawned();
  SUBCASE("during setup") {
    CHECK(s.on_drain(start).empty());
    CHECK(is_only<tear_down>(s.on_body({}, start)));
  }
  SUBCASE("while the sink opens") {
    s.on_body({}, start);
    CHECK(s.on_drain(start).empty());
    CHECK(is_only<tear_down>(s.on_sink_open({}, start)));
  }
  SUBCASE("while it waits to open the sink again") {
    s.on_body({}, start);
    s.on_sink_open(fail(errc::unavailable, "away"), start);
    CHECK(is_only<tear_down>(s.on_drain(start)));
  }
}
