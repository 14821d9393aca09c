// Goal: a loop polls where its waits are known to be brief, and only there; what comes alone is told from what comes in company.
#include "transport/link/loop_pace.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace sluice::link;

namespace {

using wait = loop_pace::wait;

void go(loop_pace& pace, wait waited, int times = 1, int handlers = 1) {
  for (int i = 0; i < times; ++i)
    pace.turned(waited, handlers);
}

/// How many of `turns` waits it would have polled for, and how many of these in vain.
struct outcome {
  int polled = 0;
  int in_vain = 0;
};

outcome play(loop_pace& pace, int turns, auto next_wait) {
  outcome out;
  for (int i = 0; i < turns; ++i) {
    const auto waited = next_wait(i);
    if (pace.should_poll()) {
      ++out.polled;
      out.in_vain += waited == wait::brief ? 0 : 1;
    }
    pace.turned(waited, 1);
  }
  return out;
}

} // namespace

TEST_CASE("a new loop sleeps, and polls once its waits are known to be brief") {
  loop_pace pace;
  CHECK_FALSE(pace.should_poll());
  go(pace, wait::brief, 31);
  CHECK_FALSE(pace.is_lone());
  CHECK_FALSE(pace.should_poll());
  go(pace, wait::brief);
  CHECK(pace.is_lone());
  CHECK(pace.should_poll());
}

TEST_CASE("a loop whose waits last never polls, however alone its work comes") {
  loop_pace pace;
  const auto seen = play(pace, 1000, [](int) { return wait::lasting; });
  CHECK(pace.is_lone());
  CHECK(seen.polled == 0);
}

TEST_CASE("of a request and its answer in turn only the answer is polled for") {
  loop_pace pace;
  const auto by_turns = [](int i) { return i % 2 == 0 ? wait::lasting : wait::brief; };
  play(pace, 100, by_turns);
  const auto seen = play(pace, 1000, by_turns);
  CHECK(seen.polled == 500);
  CHECK(seen.in_vain == 0);
}

TEST_CASE("waits that cannot be foretold are hardly polled for") {
  loop_pace pace;
  std::mt19937 random{20261129};
  const auto seen = play(pace, 100'000, [&](int) { return random() % 2 == 0 ? wait::brief : wait::lasting; });
  CHECK(seen.in_vain < 1000);
}

TEST_CASE("a wait that lasts costs it little of what it knows, many cost it all") {
  loop_pace pace;
  go(pace, wait::brief, 100);
  go(pace, wait::lasting);
  go(pace, wait::brief, 4); // the same history as before it
  CHECK(pace.should_poll());
  play(pace, 1000, [](int i) { return i % 5 == 0 ? wait::brief : wait::lasting; });
  CHECK(play(pace, 1000, [](int) { return wait::lasting; }).polled == 0);
}

TEST_CASE("a timer now and then does not end being alone") {
  loop_pace pace;
  go(pace, wait::brief, 100);
  for (int i = 0; i < 100; ++i) {
    go(pace, wait::none);
    CHECK(pace.is_lone());
    go(pace, wait::brief, 20);
  }
}

TEST_CASE("work that comes in company ends it, and polling with it") {
  SUBCASE("because it was there without a wait") {
    loop_pace pace;
    go(pace, wait::brief, 100);
    go(pace, wait::none, 3);
    CHECK_FALSE(pace.is_lone());
    CHECK_FALSE(pace.should_poll());
  }
  SUBCASE("because there was more of it") {
    loop_pace pace;
    go(pace, wait::brief, 100);
    go(pace, wait::brief, 3, 2);
    CHECK_FALSE(pace.is_lone());
  }
  SUBCASE("every tenth time") {
    loop_pace pace;
    go(pace, wait::brief, 100);
    for (int i = 0; i < 10; ++i) {
      go(pace, wait::none);
      go(pace, wait::brief, 9);
    }
    CHECK_FALSE(pace.is_lone());
  }
}
