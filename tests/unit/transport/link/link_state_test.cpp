#include "transport/link/link_state.hpp"

#include <doctest/doctest.h>

namespace sluice::link {
namespace {

using namespace std::chrono_literals;

constexpr time_point start{1000s};

/// Times as of the defaults when these tests were written, so that they do not move with them.
link_timing timing() { return {5s, 500ms, 6s}; }

link_state opened() {
  auto state = begin_link(timing(), start);
  open_link(state, start);
  return state;
}

TEST_CASE("a link whose peer vanished is given up in under 5 s, whenever between two ticks it fell silent") {
  for (auto last_words = 1ms; last_words <= limits::ping_interval; last_words += 1ms) {
    auto state = begin_link({}, start);
    open_link(state, start);
    state.heard = true; // until last_words after the first tick
    tick(state, *next_tick(state));
    auto vanished = *next_tick(state) - limits::ping_interval + last_words;
    state.heard = true;
    while (state.phase == link_phase::open)
      tick(state, *next_tick(state));
    CHECK(state.ticked - vanished < 5s);
  }
}

TEST_CASE("a handshake is given up at its deadline and not before") {
  auto state = begin_link(timing(), start);
  CHECK(next_tick(state) == start + 5s);
  CHECK_FALSE(tick(state, start + 5s - 1ns).close);
  CHECK(state.phase == link_phase::handshake);
  auto action = tick(state, start + 5s);
  REQUIRE(action.close);
  CHECK(action.close->code == errc::timeout);
  CHECK(state.phase == link_phase::closed);
  CHECK_FALSE(next_tick(state));
}

TEST_CASE("bytes without a hello do not put the handshake deadline off") {
  auto state = begin_link(timing(), start);
  state.heard = state.heard_payload = true;
  CHECK(tick(state, start + 5s).close);
}

TEST_CASE("a quiet link pings at every tick, a busy one at none") {
  auto state = opened();
  for (int i = 1; i <= 4; ++i) {
    REQUIRE(next_tick(state) == start + i * 500ms);
    state.heard = true; // the pong
    CHECK(tick(state, start + i * 500ms).ping);
  }
  for (int i = 5; i <= 8; ++i) {
    state.heard = state.heard_payload = true;
    CHECK_FALSE(tick(state, start + i * 500ms).ping);
  }
}

TEST_CASE("a silent peer is given up once the timeout was seen to pass") {
  auto state = opened();
  for (int i = 1; i < 12; ++i) {
    auto action = tick(state, start + i * 500ms);
    CHECK(action.ping);
    REQUIRE_FALSE(action.close);
  }
  auto action = tick(state, start + 6s);
  REQUIRE(action.close);
  CHECK_FALSE(action.ping);
  CHECK(action.close->code == errc::unavailable);
  CHECK(state.phase == link_phase::closed);
}

TEST_CASE("one byte is enough to start the silence again") {
  auto state = opened();
  for (int i = 1; i <= 40; ++i) {
    state.heard = i % 11 == 0;
    REQUIRE_FALSE(tick(state, start + i * 500ms).close);
  }
  CHECK(state.silent_for == 7 * 500ms);
}

TEST_CASE("a process that was stopped itself does not take its peer for dead") {
  auto state = opened();
  state.heard = true;
  tick(state, start + 500ms);
  auto action = tick(state, start + 1h);
  CHECK_FALSE(action.close);
  CHECK(action.ping);
  CHECK(state.silent_for == 1s);
  SUBCASE("but finds out within the timeout when it is") {
    auto now = start + 1h;
    bool closed = false;
    for (int i = 0; i < 10 && !closed; ++i)
      closed = tick(state, now += 500ms).close.has_value();
    CHECK(closed);
  }
}

TEST_CASE("ticks that always come late still end in a verdict") {
  auto state = opened();
  auto now = start;
  int ticks = 0;
  while (!tick(state, now += 20s).close)
    REQUIRE(++ticks < 7);
  CHECK(ticks == 5);
}

TEST_CASE("time that goes backwards counts as none") {
  auto state = opened();
  CHECK_FALSE(tick(state, start - 1h).close);
  CHECK(state.silent_for == 0s);
  CHECK(next_tick(state) == start + 500ms);
}

TEST_CASE("a peer that talks and takes nothing is given up") {
  auto state = opened();
  std::optional<failure> closed;
  int ticks = 0;
  while (!closed) {
    state.heard = state.heard_payload = state.waiting = true;
    closed = tick(state, start + ++ticks * 500ms).close;
    REQUIRE(ticks <= 12);
  }
  CHECK(ticks == 12);
  CHECK(closed->code == errc::unavailable);
}

TEST_CASE("progress keeps a slow reader, and so does nothing to take") {
  for (bool by_progress : {true, false}) {
    auto state = opened();
    auto now = start;
    for (int i = 1; i <= 60; ++i) {
      state.heard = true;
      state.waiting = by_progress || i % 5 != 0;
      state.progressed = by_progress && i % 5 == 0;
      REQUIRE_FALSE(tick(state, now += 500ms).close);
    }
    // One bit of progress long ago does not keep it for ever.
    bool closed = false;
    for (int i = 0; i < 12 && !closed; ++i) {
      state.heard = state.waiting = true;
      closed = tick(state, now += 500ms).close.has_value();
    }
    CHECK(closed);
  }
}

TEST_CASE("a closed link asks for nothing") {
  auto state = opened();
  close_link(state);
  auto action = tick(state, start + 1h);
  CHECK_FALSE(action.close);
  CHECK_FALSE(action.ping);
  CHECK_FALSE(next_tick(state));
}

TEST_CASE("reconnect delays double up to their end and are drawn over the whole span") {
  backoff bounds{100ms, 1s};
  CHECK(reconnect_delay(0, 0.0, bounds) == 100ms);
  CHECK(reconnect_delay(0, 0.999, bounds) == 100ms);
  CHECK(reconnect_delay(1, 0.0, bounds) == 100ms);
  CHECK(reconnect_delay(1, 1.0, bounds) == 200ms);
  CHECK(reconnect_delay(2, 0.5, bounds) == 250ms);
  CHECK(reconnect_delay(3, 1.0, bounds) == 800ms);
  CHECK(reconnect_delay(4, 1.0, bounds) == 1s);
  CHECK(reconnect_delay(4000000000u, 1.0, bounds) == 1s);
}

TEST_CASE("reconnect delays stay within bounds for any draw") {
  backoff bounds{100ms, 1s};
  for (std::uint32_t failures = 0; failures < 70; ++failures)
    for (double draw : {-1.0, 0.0, 0.3, 0.99999, 1.0, 5.0}) {
      auto delay = reconnect_delay(failures, draw, bounds);
      CHECK(delay >= bounds.delay_min);
      CHECK(delay <= bounds.delay_max);
    }
  CHECK(reconnect_delay(5, 1.0, {2s, 1s}) == 2s);
}

TEST_CASE("a second link replaces the first unless another living process holds the name") {
  CHECK(judge_duplicate(true, 0s) == duplicate_verdict::replace_old);
  CHECK(judge_duplicate(false, 0s) == duplicate_verdict::refuse_new);
  CHECK(judge_duplicate(false, limits::suspect_after - 1ns) == duplicate_verdict::refuse_new);
  CHECK(judge_duplicate(false, limits::suspect_after) == duplicate_verdict::replace_old);
}

} // namespace
} // namespace sluice::link
