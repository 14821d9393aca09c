// Goal: coroutines side by side end together: with the last, the first, or the time; whoever is not needed any
// more ends where it stands, once, and nothing is left behind.

#include "tests/support/coroutines.hpp"
#include "tests/support/manual_executor.hpp"

#include <sluice/all.hpp>
#include <sluice/any.hpp>
#include <sluice/timeout.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

async<std::string> named(std::string name, std::chrono::nanoseconds by) {
  co_await sluice::sleep(by);
  co_return name + "!";
}

async<int> fail_after(std::chrono::nanoseconds by, std::string text) {
  co_await sluice::sleep(by);
  throw std::runtime_error{text};
}

async<int> hold_value(tracked kept, std::chrono::nanoseconds by) {
  tracked local{kept};
  co_await sluice::sleep(by);
  co_return 1;
}

async<std::unique_ptr<int>> boxed(int value) {
  co_await sluice::sleep(1ms);
  co_return std::make_unique<int>(value);
}

/// As users write it: everything within one expression.
async<std::string> all_in_one() {
  auto [number, text] = co_await sluice::all(delayed(7, 2ms), named(std::string(40, 'x'), 1ms));
  co_return text + std::to_string(number);
}

async<int> sum_of(std::vector<int> values) {
  std::vector<async<int>> works;
  for (int value : values)
    works.push_back(delayed(value, std::chrono::milliseconds{value}));
  int total = 0;
  for (int value : co_await sluice::all(std::move(works)))
    total += value;
  co_return total;
}

async<std::string> race_in_one(std::chrono::nanoseconds a, std::chrono::nanoseconds b) {
  auto first = co_await sluice::any(named("a", a), named("b", b));
  co_return first.value + std::to_string(first.index);
}

async<std::string> timed_in_one(std::chrono::nanoseconds work, std::chrono::nanoseconds limit) {
  std::string text;
  try {
    text = co_await sluice::timeout(named("done", work), limit);
  } catch (const timeout_error& e) {
    text = e.what();
  }
  co_return text;
}

async<int> tree(int depth) {
  if (depth == 0) {
    co_await sluice::sleep(1ms);
    co_return 1;
  }
  auto [left, right] = co_await sluice::all(tree(depth - 1), tree(depth - 1));
  co_return left + right;
}

template <class T>
async<T> catch_and_return(async<T> work, T instead) {
  try {
    co_return co_await std::move(work);
  } catch (const std::runtime_error&) {
  }
  co_return instead;
}

} // namespace

TEST_CASE("all gives every value in the order of its arguments") {
  manual_executor where;
  run_of<std::string> run{all_in_one(), where};
  where.advance(1ms);
  CHECK(run.done_count == 0);
  where.advance(1ms);
  CHECK(run.result == std::string(40, 'x') + "!7");
}

TEST_CASE("all of a vector, of none, and of what does not wait") {
  manual_executor where;
  run_of<int> run{sum_of({3, 1, 2}), where};
  where.advance(2ms);
  CHECK(run.done_count == 0);
  where.advance(1ms);
  CHECK(run.result == 6);
  run_of<int> none{sum_of({}), where};
  CHECK(none.result == 0);
  run_of<std::tuple<int, int>> immediate_ones{sluice::all(immediate(1), immediate(2)), where};
  CHECK(immediate_ones.result == std::tuple{1, 2});
  run_of<void> nothing{sluice::all(), where};
  CHECK(nothing.done_count == 1);
}

TEST_CASE("what gives nothing has a place, and all of such gives nothing") {
  manual_executor where;
  run_of<std::tuple<std::monostate, int>> mixed{sluice::all(failing(false), immediate(2)), where};
  CHECK(message_of(mixed.result) == "broken");
  int living = 0;
  run_of<void> both{sluice::all(hold(tracked{living}, 1ms), hold(tracked{living}, 2ms)), where};
  where.advance(1ms);
  CHECK(both.done_count == 0);
  where.advance(1ms);
  CHECK(both.done_count == 1);
  CHECK(living == 0);
  std::vector<async<>> works;
  works.push_back(hold(tracked{living}, 1ms));
  run_of<void> listed{sluice::all(std::move(works)), where};
  where.advance(1ms);
  CHECK(listed.done_count == 1);
}

TEST_CASE("values that can only be moved are moved") {
  manual_executor where;
  run_of<std::tuple<std::unique_ptr<int>, std::unique_ptr<int>>> run{sluice::all(boxed(1), boxed(2)), where};
  where.advance(1ms);
  REQUIRE(run.result);
  CHECK(*std::get<1>(*run.result) == 2);
  run_of<first_of<std::unique_ptr<int>>> first{sluice::any(boxed(3), boxed(4)), where};
  where.advance(1ms);
  REQUIRE(first.result);
  CHECK(*first.result->value == 3);
  run_of<std::unique_ptr<int>> timed{sluice::timeout(boxed(5), 1s), where};
  where.advance(1ms);
  REQUIRE(timed.result);
  CHECK(**timed.result == 5);
}

TEST_CASE("the first exception ends the others where they stand") {
  manual_executor where;
  int living = 0;
  run_of<std::tuple<int, int, int>> run{
    sluice::all(hold_value(tracked{living}, 1h), fail_after(1ms, "first"), fail_after(2ms, "second")), where};
  CHECK(living == 2);
  where.advance(1ms);
  CHECK(run.done_count == 1);
  CHECK(message_of(run.result) == "first");
  CHECK(living == 0);
  where.advance(2h); // their sleeps end, nobody is woken
  CHECK(run.done_count == 1);
}

TEST_CASE("what would start after an exception does not start") {
  manual_executor where;
  int living = 0;
  run_of<std::tuple<std::monostate, int>> run{sluice::all(failing(false), hold_value(tracked{living}, 1h)),
                                              where};
  CHECK(message_of(run.result) == "broken");
  CHECK(living == 0);
  CHECK(where.waiting_count() == 0);
}

TEST_CASE("any gives the first, and the others end") {
  manual_executor where;
  run_of<std::string> run{race_in_one(2ms, 1ms), where};
  where.advance(1ms);
  CHECK(run.result == std::string{"b!1"});
  run_of<std::string> other{race_in_one(1ms, 1ms), where};
  where.advance(1ms);
  CHECK(other.result == std::string{"a!0"});

  int living = 0;
  run_of<first_of<int>> held{
    sluice::any(hold_value(tracked{living}, 1h), immediate(5), hold_value(tracked{living}, 1h)), where};
  REQUIRE(held.result);
  CHECK(held.result->index == 1);
  CHECK(held.result->value == 5);
  CHECK(living == 0);
}

TEST_CASE("an exception is an end, too, and any of nothing is refused") {
  manual_executor where;
  run_of<first_of<int>> run{sluice::any(fail_after(1ms, "lost"), delayed(1, 1h)), where};
  where.advance(1ms);
  CHECK(message_of(run.result) == "lost");
  run_of<first_of<int>> none{sluice::any(std::vector<async<int>>{}), where};
  CHECK(message_of(none.result) == "sluice::any of nothing would wait for ever");
  run_of<first_of<void>> nothing{sluice::any(failing(false), failing(true)), where};
  CHECK(message_of(nothing.result) == "broken");
}

TEST_CASE("the timer of a timeout goes when the work is done before") {
  const auto held = std::make_shared<manual_executor>(); // as every executor is
  auto& where = *held;
  int living = 0;
  run_of<int> quick{sluice::timeout(delayed(5, 1ms), 1h), where};
  CHECK(where.waiting_count() == 2);
  where.advance(1ms);
  CHECK(quick.done_count == 1);
  CHECK(where.waiting_count() == 0);
  auto given_up = start(hold(tracked{living}, 1h), where, [](const outcome<void>&) {});
  CHECK(where.waiting_count() == 1);
  given_up.cancel();
  CHECK(where.waiting_count() == 0);
  CHECK(living == 0);
}

TEST_CASE("a timeout throws when the time is over, and ends the work") {
  manual_executor where;
  run_of<std::string> in_time{timed_in_one(1ms, 2ms), where};
  run_of<std::string> late{timed_in_one(1500ms, 1200ms), where};
  where.advance(1ms);
  CHECK(in_time.result == std::string{"done!"});
  where.advance(1200ms);
  CHECK(late.result == std::string{"timed out after 1.2 s"});
  int living = 0;
  run_of<int> held{sluice::timeout(hold_value(tracked{living}, 1h), 1s), where};
  where.advance(1s);
  CHECK(message_of(held.result) == "timed out after 1 s");
  CHECK(living == 0);
  run_of<int> thrown{sluice::timeout(fail_after(1ms, "own"), 1s), where};
  where.advance(1ms);
  CHECK(message_of(thrown.result) == "own");
  run_of<void> empty{sluice::timeout(hold(tracked{living}, 1ms), 1s), where};
  where.advance(1ms);
  CHECK(empty.done_count == 1);
}

TEST_CASE("they nest") {
  manual_executor where;
  run_of<int> run{tree(6), where};
  where.advance(1ms);
  CHECK(run.result == 64);
  run_of<int> timed{catch_and_return(sluice::timeout(tree(5), 500us), -1), where};
  where.advance(1ms);
  CHECK(timed.result == -1);
  run_of<std::tuple<int, int>> inner{
    sluice::all(catch_and_return(fail_after(1ms, "x"), 5), sluice::timeout(delayed(6, 2ms), 1s)), where};
  where.advance(2ms);
  CHECK(inner.result == std::tuple{5, 6});
}

TEST_CASE("what is cancelled ends where it stands, with all that is below it") {
  manual_executor where;
  int living = 0;
  std::vector<async<>> works;
  works.push_back(hold(tracked{living}, 1h));
  works.push_back(sluice::timeout(hold(tracked{living}, 1h), 2h));
  works.push_back(sluice::all(hold(tracked{living}, 1h), hold(tracked{living}, 1h)));
  run_of<void> run{sluice::all(std::move(works)), where};
  CHECK(living == 8);
  CHECK(run.started.is_running());
  run.started.cancel();
  CHECK(living == 0);
  CHECK_FALSE(run.started.is_running());
  run.started.cancel();
  where.advance(3h);
  CHECK(run.done_count == 0);
}

TEST_CASE("one that cancels itself ends when it waits next") {
  manual_executor where;
  int living = 0;
  std::optional<started> self;
  int steps = 0;
  auto work = [](tracked kept, std::optional<started>& self, int& steps) -> async<> {
    co_await sluice::sleep(1ms);
    self->cancel();
    ++steps;
    co_await sluice::sleep(1ms);
    ++steps;
    static_cast<void>(kept);
  };
  int done_count = 0;
  self = start(work(tracked{living}, self, steps), where, [&](outcome<void>) { ++done_count; });
  where.advance(1ms);
  CHECK(steps == 1);
  CHECK(living == 0);
  where.advance(1h);
  CHECK(steps == 1);
  CHECK(done_count == 0);
}

TEST_CASE("an executor that drops a child's work ends the parent where it stands") {
  int living = 0;
  int done_count = 0;
  auto nothing_left = [&] { return living == 0 && done_count == 0; };
  auto work = [&] {
    return sluice::all(hold(tracked{living}, 1h), sluice::timeout(hold(tracked{living}, 2h), 3h));
  };
  SUBCASE("while it runs") {
    manual_executor where;
    start(work(), where, [&](outcome<void>) { ++done_count; });
    CHECK(living == 4);
    where.drop_all();
    CHECK(nothing_left());
  }
  SUBCASE("when it goes") {
    {
      manual_executor where;
      start(work(), where, [&](outcome<void>) { ++done_count; });
    }
    CHECK(nothing_left());
  }
  SUBCASE("at once") {
    manual_executor where;
    where.drops_work = true;
    start(work(), where, [&](outcome<void>) { ++done_count; });
    CHECK(nothing_left());
  }
  SUBCASE("below an any") {
    manual_executor where;
    start(sluice::any(hold(tracked{living}, 1h), hold(tracked{living}, 1h)), where,
          [&](outcome<first_of<void>>) { ++done_count; });
    where.drop_all();
    CHECK(nothing_left());
  }
}
