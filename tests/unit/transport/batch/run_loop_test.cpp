// Goal: a split's coroutines run on its thread, and what still waits when it ends is let go.

#include "transport/batch/run_loop.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>

using namespace sluice;
using namespace std::chrono_literals;

TEST_CASE("what is posted runs on the thread of the loop, until it is ready") {
  auto loop = batch::make_run_loop(nullptr);
  int runs = 0;
  loop->post_after(1ns, [&] { ++runs; });
  loop->post([&] { ++runs; });
  loop->run([&] { return runs == 2; });
  CHECK(runs == 2);
}

TEST_CASE("a loop that is closed drops what waits and what comes, also what holds the loop itself") {
  auto loop = batch::make_run_loop(nullptr);
  const std::weak_ptr<batch::loop_executor> seen = loop;
  struct poster {
    std::shared_ptr<batch::loop_executor> where;
    ~poster() {
      where->post([] {});
    }
  };
  loop->post([held = std::make_shared<poster>(loop)] {});
  loop->post_after(1h, [held = std::make_shared<poster>(loop)] {});
  loop->close();
  loop->post_after(1h, [held = std::make_shared<poster>(loop)] {});
  loop.reset();
  CHECK(seen.expired());
}
