// Goal: a coroutine runs on its executor only, once, to its end or to where it was given
// up; values, exceptions and locals fare as in a plain call.

#include "tests/support/coroutines.hpp"
#include "tests/support/manual_executor.hpp"

#include <sluice/async.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

async<int> sum(int count, bool wait) {
  int total = 0;
  for (int i = 1; i <= count; ++i) {
    auto step = wait ? delayed(i, 1ms) : immediate(i);
    int value = co_await std::move(step);
    total += value;
  }
  co_return total;
}

async<int> nested(int depth) {
  if (depth == 0) {
    co_await sluice::sleep(1ms);
    co_return 0;
  }
  auto inner = nested(depth - 1);
  int value = co_await std::move(inner);
  co_return value + 1;
}

async<int> sleep_until_taken() {
  for (int refused = 0;; ++refused) {
    try {
      co_await sluice::sleep(-1ms);
      co_return refused;
    } catch (const std::runtime_error&) {
    }
  }
}

async<std::string> caught() {
  std::string text = "nothing";
  auto step = failing(true);
  try {
    co_await std::move(step);
  } catch (const std::runtime_error& e) {
    text = e.what();
  }
  co_return text;
}

async<> hold_below(tracked kept, std::chrono::nanoseconds by) {
  auto inner = hold(kept, by);
  co_await std::move(inner);
}

struct move_only {
  explicit move_only(int v) : value(std::make_unique<int>(v)) {}
  std::unique_ptr<int> value;
};

async<move_only> make_move_only() { co_return move_only{7}; }

async<int> use_move_only() {
  auto making = make_move_only();
  move_only made = co_await std::move(making);
  co_return *made.value;
}

async<> append_in_turn(std::vector<int>& to, int first) {
  for (int i = 0; i < 3; ++i) {
    to.push_back(first + i);
    co_await sluice::sleep(0ms);
  }
}

} // namespace

TEST_CASE("a coroutine that does not wait is done when start returns") {
  manual_executor where;
  run_of<int> run{immediate(3), where};
  CHECK(run.done_count == 1);
  CHECK(run.result == 3);
  CHECK(where.waiting_count() == 0);
}

TEST_CASE("nothing runs before it is started, and dropping it runs nothing") {
  int living = 0;
  {
    auto work = hold(tracked{living}, 1ms);
    CHECK(living == 1); // the argument, in the frame
  }
  CHECK(living == 0);
}

TEST_CASE("sleep waits as long as it says") {
  manual_executor where;
  run_of<int> run{delayed(5, 10ms), where};
  CHECK(run.done_count == 0);
  where.advance(9ms);
  CHECK(run.done_count == 0);
  where.advance(1ms);
  CHECK(run.done_count == 1);
  CHECK(run.result == 5);
}

TEST_CASE("the longest waits there are do not overflow to none") {
  using namespace std::chrono;
  constexpr auto longest = detail::bounded_wait(hours{24 * 365});
  CHECK(detail::bounded_wait(nanoseconds::max()) == longest);
  CHECK(detail::bounded_wait(hours::max()) == longest);
  CHECK(detail::bounded_wait(years::max()) == longest);
  CHECK(detail::bounded_wait(hours::min()) == nanoseconds{0});
  CHECK(detail::bounded_wait(duration<double>{0.5}) == milliseconds{500});
  CHECK(steady_clock::now() + longest > steady_clock::now());
}

TEST_CASE("a sleep of zero or less lets others run once") {
  manual_executor where;
  for (auto delay : {0ms, -5ms}) {
    run_of<int> run{delayed(1, delay), where};
    CHECK(run.done_count == 0);
    CHECK(where.run() == 1);
    CHECK(run.done_count == 1);
  }
}

TEST_CASE("coroutines of one executor take turns") {
  manual_executor where;
  std::vector<int> seen;
  run_of<void> a{append_in_turn(seen, 10), where};
  run_of<void> b{append_in_turn(seen, 20), where};
  where.run();
  CHECK(seen == std::vector<int>{10, 20, 11, 21, 12, 22});
  CHECK(a.done_count == 1);
  CHECK(b.done_count == 1);
}

TEST_CASE("awaiting a coroutine gives its value, whether it waits or not") {
  manual_executor where;
  run_of<int> quick{sum(4, false), where};
  CHECK(quick.result == 10);
  run_of<int> slow{sum(4, true), where};
  for (int i = 0; i < 4; ++i) {
    CHECK(slow.done_count == 0);
    where.advance(1ms);
  }
  CHECK(slow.result == 10);
}

TEST_CASE("a long loop over coroutines that do not wait needs no stack") {
  manual_executor where;
  run_of<int> run{sum(60000, false), where};
  CHECK(run.result == 1'800'030'000);
}

TEST_CASE("deep chains come back up") {
  manual_executor where;
  run_of<int> run{nested(200), where};
  CHECK(run.done_count == 0);
  where.advance(1ms);
  CHECK(run.result == 200);
}

TEST_CASE("an exception ends up with who started it, or is caught on the way") {
  manual_executor where;
  run_of<void> quick{failing(false), where};
  CHECK(message_of(quick.result) == "broken");
  run_of<void> slow{failing(true), where};
  run_of<std::string> saved{caught(), where};
  where.advance(1ms);
  CHECK(message_of(slow.result) == "broken");
  CHECK(slow.done_count == 1);
  CHECK(saved.result == std::string{"broken"});
}

TEST_CASE("values that can only be moved are moved") {
  manual_executor where;
  run_of<int> run{use_move_only(), where};
  CHECK(run.result == 7);
}

TEST_CASE("locals and arguments go at the end, once") {
  manual_executor where;
  int living = 0;
  run_of<void> run{hold_below(tracked{living}, 1ms), where};
  CHECK(living == 3);
  where.advance(1ms);
  CHECK(run.done_count == 1);
  CHECK(living == 0);
}

TEST_CASE("work that the executor forgets ends where it stands, without done") {
  int living = 0;
  int done_count = 0;
  {
    manual_executor where;
    start(hold_below(tracked{living}, 1ms), where, [&](outcome<void>) { ++done_count; });
    CHECK(living == 3);
    SUBCASE("while it runs") { where.drop_all(); }
    SUBCASE("when it goes") {}
  }
  CHECK(living == 0);
  CHECK(done_count == 0);
}

TEST_CASE("work that the executor does not take ends at once") {
  manual_executor where;
  where.drops_work = true;
  int living = 0;
  int done_count = 0;
  start(hold_below(tracked{living}, 1ms), where, [&](outcome<void>) { ++done_count; });
  CHECK(living == 0);
  CHECK(done_count == 0);
}

TEST_CASE("an executor may refuse by an exception, which the coroutine sees") {
  struct refusing : manual_executor {
    std::uint64_t set_timer(std::chrono::nanoseconds, std::function<void()>) override {
      throw std::runtime_error{"full"};
    }
  } where;
  run_of<int> run{delayed(1, 1ms), where};
  CHECK(run.done_count == 1);
  CHECK(message_of(run.result) == "full");
}

TEST_CASE("a coroutine that catches the refusal goes on and can wait again") {
  struct refusing_twice : manual_executor {
    std::uint64_t set_timer(std::chrono::nanoseconds delay, std::function<void()> work) override {
      CHECK(delay == 0ns); // never less
      if (refusals++ < 2)
        throw std::runtime_error{"full"};
      return manual_executor::set_timer(delay, std::move(work));
    }
    int refusals = 0;
  } where;
  run_of<int> run{sleep_until_taken(), where};
  CHECK(run.done_count == 0);
  where.run();
  CHECK(run.done_count == 1);
  CHECK(run.result == 2);
}

TEST_CASE("done may end the executor's last piece of work and start the next") {
  manual_executor where;
  int second = 0;
  start(delayed(1, 1ms), where, [&](outcome<int> first) {
    start(delayed(*first + 1, 1ms), where, [&](outcome<int> got) { second = *got; });
  });
  where.advance(1ms);
  where.advance(1ms);
  CHECK(second == 2);
}

TEST_CASE("a coroutine object can be moved before it is used") {
  manual_executor where;
  auto first = immediate(1);
  auto second = immediate(2);
  first = std::move(second);
  run_of<int> run{std::move(first), where};
  CHECK(run.result == 2);
}
