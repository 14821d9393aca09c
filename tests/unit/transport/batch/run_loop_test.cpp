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

TEST_CASE("a timer that is called off goes at once, also by one that is due with it") {
  auto loop = batch::make_run_loop(nullptr);
  auto held = std::make_shared<int>();
  const auto late = loop->set_timer(1h, [held] {});
  loop->cancel_timer(late);
  CHECK(held.use_count() == 1);
  loop->cancel_timer(late);

  bool second_ran = false;
  bool is_done = false;
  std::uint64_t second = 0;
  loop->set_timer(0ns, [&] { loop->cancel_timer(second); });
  second = loop->set_timer(0ns, [&] { second_ran = true; });
  loop->set_timer(0ns, [&] { is_done = true; });
  loop->run([&] { return is_done; });
  CHECK_FALSE(second_ran);
}

TEST_CASE("the end of a timer's work may post and call off others") {
  auto loop = batch::make_run_loop(nullptr);
  struct caller {
    batch::loop_executor& where;
    std::uint64_t other;
    ~caller() {
      where.cancel_timer(other);
      where.post([] {});
    }
  };
  auto held = std::make_shared<int>();
  const auto other = loop->set_timer(1h, [held] {});
  loop->cancel_timer(loop->set_timer(1h, [with = std::make_shared<caller>(*loop, other)] {}));
  CHECK(held.use_count() == 1);
}

TEST_CASE("timers of no time and posted work take turns") {
  auto loop = batch::make_run_loop(nullptr);
  bool is_done = false;
  std::function<void()> again = [&] { loop->set_timer(0ns, again); };
  again();
  loop->post([&] { is_done = true; });
  loop->run([&] { return is_done; });
  std::function<void()> post_again = [&] { loop->post(post_again); };
  is_done = false;
  post_again();
  loop->set_timer(0ns, [&] { is_done = true; });
  loop->run([&] { return is_done; });
  CHECK(is_done);
  loop->close();
}
