// Goal: a stream waits between its values without blocking anybody, runs only while it is read, and ends where it
// stands when it is given up.

#include "tests/support/coroutines.hpp"
#include "tests/support/manual_executor.hpp"

#include <sluice/all.hpp>
#include <sluice/stream.hpp>
#include <sluice/timeout.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

stream<int> count(int to, std::chrono::nanoseconds pause) {
  for (int i = 1; i <= to; ++i) {
    if (pause > 0ns)
      co_await sluice::sleep(pause);
    co_yield i;
  }
}

stream<std::string> mixed(tracked kept) {
  co_yield "at once";
  std::string slow = std::to_string(co_await delayed(5, 1ms));
  co_yield slow;
  auto [a, b] = co_await sluice::all(delayed(1, 1ms), delayed(2, 2ms));
  co_yield std::to_string(a + b);
  static_cast<void>(kept);
}

stream<int> throws_after_one() {
  co_yield 1;
  co_await sluice::sleep(1ms);
  throw std::runtime_error{"broken"};
}

stream<int> twice(stream<int> from) {
  while (auto value = co_await from.next())
    co_yield *value * 2;
}

template <class T>
async<std::vector<T>> collect(stream<T> from) {
  std::vector<T> seen;
  while (auto value = co_await from.next())
    seen.push_back(std::move(*value));
  co_return seen;
}

async<std::optional<int>> one_of(stream<int>& from) { co_return co_await from.next(); }

async<std::string> give_up_and_go_on(stream<int> from) {
  std::string text;
  try {
    co_await sluice::timeout(one_of(from), 1ms);
  } catch (const timeout_error&) {
    text = "given up, ";
  }
  try {
    co_await from.next();
  } catch (const std::logic_error& e) {
    text += e.what();
  }
  co_return text;
}

async<std::vector<std::string>> past_the_end(stream<int> from) {
  std::vector<std::string> seen;
  for (int i = 0; i < 4; ++i)
    try {
      auto value = co_await from.next();
      seen.push_back(value ? std::to_string(*value) : "end");
    } catch (const std::runtime_error& e) {
      seen.push_back(e.what());
    }
  co_return seen;
}

} // namespace

TEST_CASE("values come in order, at once or over time") {
  manual_executor where;
  run_of<std::vector<int>> quick{collect(count(3, 0ns)), where};
  CHECK(quick.result == std::vector<int>{1, 2, 3});
  run_of<std::vector<int>> slow{collect(count(3, 1ms)), where};
  for (int i = 0; i < 3; ++i) {
    CHECK(slow.done_count == 0);
    where.advance(1ms);
  }
  CHECK(slow.result == std::vector<int>{1, 2, 3});
  run_of<std::vector<int>> none{collect(count(0, 0ns)), where};
  CHECK(none.result == std::vector<int>{});
}

TEST_CASE("a stream may wait for anything") {
  manual_executor where;
  int living = 0;
  run_of<std::vector<std::string>> run{collect(mixed(tracked{living})), where};
  where.advance(1ms);
  where.advance(2ms);
  CHECK(run.result == std::vector<std::string>{"at once", "5", "3"});
  CHECK(living == 0);
}

TEST_CASE("many values need no stack") {
  manual_executor where;
  run_of<std::vector<int>> run{collect(count(60000, 0ns)), where};
  REQUIRE(run.result);
  CHECK(run.result->size() == 60000);
}

TEST_CASE("streams feed each other") {
  manual_executor where;
  run_of<std::vector<int>> quick{collect(twice(twice(count(2, 0ns)))), where};
  CHECK(quick.result == std::vector<int>{4, 8});
  run_of<std::vector<int>> slow{collect(twice(twice(count(2, 1ms)))), where};
  where.advance(1ms);
  where.advance(1ms);
  CHECK(slow.result == std::vector<int>{4, 8});
}

TEST_CASE("an exception is thrown by next, once, and then there is nothing more") {
  manual_executor where;
  run_of<std::vector<std::string>> run{past_the_end(throws_after_one()), where};
  where.advance(1ms);
  CHECK(run.result == std::vector<std::string>{"1", "broken", "end", "end"});
}

TEST_CASE("whoever gives up a value half-way has given up the stream") {
  manual_executor where;
  run_of<std::string> run{give_up_and_go_on(count(2, 1h)), where};
  where.advance(1ms);
  CHECK(run.result
        == std::string{"given up, sluice::stream: next() while another one waits or was given up"});
  where.advance(2h); // the sleep it was in ends, nobody is woken
}

TEST_CASE("a stream that nobody reads does nothing, and ends where it stands") {
  int living = 0;
  manual_executor where;
  {
    auto unread = mixed(tracked{living});
    CHECK(living == 1);
  }
  CHECK(living == 0);
  run_of<std::vector<std::string>> run{collect(mixed(tracked{living})), where};
  CHECK(living == 1);
  run.started.cancel();
  CHECK(living == 0);
  run_of<std::vector<std::string>> other{collect(mixed(tracked{living})), where};
  where.drop_all();
  CHECK(living == 0);
}
