#include "actors/replica/timer_set.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <string>

using namespace sluice::replica;
using namespace std::chrono_literals;

namespace {

constexpr timer_set::time_point start{};

/// Cancels another timer as it ends, as the frame of a coroutine does.
class cancels {
public:
  cancels(timer_set& where, std::uint64_t other) : where_(where), other_(other) {}
  ~cancels() { where_.cancel(other_); }
  cancels(const cancels&) = delete;
  cancels& operator=(const cancels&) = delete;

private:
  timer_set& where_;
  std::uint64_t other_;
};

} // namespace

TEST_CASE("timers run by their time, and those of one time in the order in which they were set") {
  timer_set timers;
  std::string ran;
  timers.add(1, start + 20ms, [&] { ran += "c"; });
  timers.add(2, start + 10ms, [&] { ran += "a"; });
  timers.add(3, start + 10ms, [&] { ran += "b"; });
  CHECK(timers.next() == start + 10ms);
  CHECK_FALSE(timers.take_due(start + 9ms));
  while (auto work = timers.take_due(start + 20ms))
    work();
  CHECK(ran == "abc");
  CHECK_FALSE(timers.next());
}

TEST_CASE("what is cancelled goes at once") {
  timer_set timers;
  auto held = std::make_shared<int>();
  timers.add(1, start + 1h, [held] {});
  timers.add(2, start + 2h, [] {});
  timers.cancel(1);
  CHECK(held.use_count() == 1);
  CHECK(timers.next() == start + 2h);
  timers.cancel(1);
  CHECK(timers.size() == 1);
}

TEST_CASE("the end of one may cancel others, itself too") {
  timer_set timers;
  timers.add(1, start + 1h, [held = std::make_shared<cancels>(timers, 2)] {});
  timers.add(2, start + 2h, [held = std::make_shared<cancels>(timers, 1)] {});
  SUBCASE("of one that is cancelled") { timers.cancel(1); }
  SUBCASE("of one that has run") { timers.take_due(start + 1h)(); }
  SUBCASE("of all") { timers.clear(); }
  CHECK(timers.size() == 0);
}
