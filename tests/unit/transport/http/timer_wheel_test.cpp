#include "transport/http/timer_wheel.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <vector>

namespace sluice::http {
namespace {

using namespace std::chrono_literals;

struct named : timer_wheel::entry {
  int name = 0;
};

struct fixture {
  timer_wheel::time_point start{1h};
  timer_wheel wheel{50ms, start};
  std::vector<int> due = {};

  void advance(std::chrono::milliseconds to) {
    wheel.advance(start + to,
                  [&](timer_wheel::entry& which) { due.push_back(static_cast<named&>(which).name); });
  }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "a deadline comes due at most a tick late, and once") {
  named a;
  a.name = 1;
  wheel.set(a, start + 120ms);
  advance(100ms);
  CHECK(due.empty());
  advance(170ms);
  CHECK(due == std::vector{1});
  CHECK(wheel.empty());
  advance(60s);
  CHECK(due.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a deadline can be put off, brought forward and taken away") {
  named off, forward, away;
  off.name = 1;
  forward.name = 2;
  away.name = 3;
  wheel.set(off, start + 100ms);
  wheel.set(off, start + 10s);
  wheel.set(forward, start + 10s);
  wheel.set(forward, start + 100ms);
  wheel.set(away, start + 100ms);
  wheel.cancel(away);
  advance(200ms);
  CHECK(due == std::vector{2});
  advance(9900ms);
  CHECK(due.size() == 1);
  advance(10100ms);
  CHECK(due == std::vector{2, 1});
}

TEST_CASE_FIXTURE(fixture, "a deadline beyond a turn of the wheel is kept") {
  named a;
  a.name = 1;
  wheel.set(a, start + 10min);
  for (auto at = 0ms; at < 10min; at += 5s)
    advance(at);
  CHECK(due.empty());
  advance(10min + 50ms);
  CHECK(due == std::vector{1});
}

TEST_CASE_FIXTURE(fixture, "a clock that jumps finds all that is due") {
  named a, b;
  a.name = 1;
  b.name = 2;
  wheel.set(a, start + 1s);
  wheel.set(b, start + 10min);
  advance(24h);
  CHECK(due.size() == 2);
}

TEST_CASE_FIXTURE(fixture, "what comes due may cancel its neighbours and set itself again") {
  named a, b;
  wheel.set(a, start + 100ms);
  wheel.set(b, start + 100ms);
  int calls = 0;
  auto step = [&](timer_wheel::entry& which) {
    ++calls;
    wheel.cancel(&which == &a ? b : a);
    wheel.set(which, start + calls * 1s);
  };
  wheel.advance(start + 200ms, step);
  CHECK(calls == 1);
  wheel.advance(start + 1100ms, step);
  CHECK(calls == 2);
}

// Goal: against a plain map, over many random moves.
TEST_CASE("the wheel agrees with a sorted list") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    timer_wheel::time_point start{1h};
    auto now = start;
    timer_wheel wheel{50ms, start};
    std::vector<named> entries(50);
    std::map<named*, timer_wheel::time_point> expected;
    for (int step = 0; step < 2000; ++step) {
      auto& one = entries[random() % entries.size()];
      switch (random() % 4) {
      case 0:
        wheel.cancel(one);
        expected.erase(&one);
        break;
      case 1:
        now += std::chrono::milliseconds{random() % (random() % 10 == 0 ? 40000 : 300)};
        wheel.advance(now, [&](timer_wheel::entry& which) {
          auto found = expected.find(&static_cast<named&>(which));
          REQUIRE(found != expected.end());
          CHECK(found->second <= now);
          expected.erase(found);
        });
        for (const auto& [which, when] : expected)
          CHECK(when > now - 100ms);
        break;
      default:
        auto when = now + std::chrono::milliseconds{random() % 60000};
        wheel.set(one, when);
        expected[&one] = when;
      }
    }
    CHECK(wheel.empty() == expected.empty());
  }
}

} // namespace sluice::http
