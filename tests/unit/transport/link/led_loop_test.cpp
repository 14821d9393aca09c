// Goal: what a turn leaves is done by the leader itself, never inside a turn; when it does not return the loop goes on; nothing is
// done twice or by two threads at once.
#include "tests/support/task_loop.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

using namespace sluice;

namespace {

struct work final : link::after_turn {
  explicit work(std::function<void()> what) : what(std::move(what)) {}
  void run_after_turn() override { what(); }
  const std::function<void()> what;
};

bool leave(std::function<void()> what) {
  return link::led_loop::leave(std::make_shared<work>(std::move(what)));
}

/// What was done; shared with work that a loop's end does not wait for.
struct counter {
  void add() {
    std::lock_guard lock{mutex};
    ++count;
    changed.notify_all();
  }
  void wait_for(int wanted) {
    std::unique_lock lock{mutex};
    changed.wait(lock, [&] { return count >= wanted; });
    CHECK(count == wanted);
  }

  std::mutex mutex;
  std::condition_variable changed;
  int count = 0;
};

/// Until somebody stands by, which a thread that comes out of its work does soon.
void leave_surely(test::task_loop& loop, const std::function<void()>& what) {
  for (bool is_left = false; !is_left;)
    loop.run([&] { is_left = leave(what); });
}

} // namespace

TEST_CASE("what a turn leaves is done by the leader, after the turn") {
  test::task_loop loop;
  std::atomic<bool> is_in_turn{false};
  std::promise<std::pair<std::thread::id, bool>> done;
  std::thread::id leader;
  for (bool is_left = false; !is_left;)
    loop.run([&] {
      is_in_turn = true;
      leader = std::this_thread::get_id();
      is_left = leave([&] { done.set_value({std::this_thread::get_id(), is_in_turn.load()}); });
      is_in_turn = false;
    });
  const auto [thread, was_in_turn] = done.get_future().get();
  CHECK(thread == leader);
  CHECK_FALSE(was_in_turn);
}

TEST_CASE("a turn leaves one piece of work; outside of a loop, and in the work itself, none can be left") {
  test::task_loop loop;
  std::promise<bool> in_work;
  bool first = false;
  bool second = true;
  while (!first)
    loop.run([&] {
      first = leave([&] { in_work.set_value(leave([] {})); });
      if (first)
        second = leave([] {});
    });
  CHECK_FALSE(second);
  CHECK_FALSE(in_work.get_future().get());
  CHECK_FALSE(leave([] {}));
}

TEST_CASE("while work does not return the other thread leads, and nobody stands by; then the first does, and "
          "may lead again") {
  test::task_loop loop;
  for (int i = 0; i < 10; ++i) {
    std::promise<std::thread::id> begun;
    std::promise<void> released;
    std::promise<void> done;
    leave_surely(loop, [&] {
      begun.set_value(std::this_thread::get_id());
      released.get_future().wait();
      done.set_value();
    });
    const auto worker = begun.get_future().get();
    CHECK(loop.leader() != worker); // the loop goes on, or this waits for ever
    bool is_left = true;
    loop.run([&] { is_left = leave([] {}); });
    CHECK_FALSE(is_left);
    released.set_value();
    done.get_future().wait();
  }
}

TEST_CASE("the loop ends without the thread whose work does not return") {
  std::promise<void> begun;
  std::promise<void> released;
  std::promise<void> done;
  {
    test::task_loop loop;
    leave_surely(loop, [&] {
      begun.set_value();
      released.get_future().wait();
      done.set_value();
    });
    begun.get_future().wait();
  }
  released.set_value();
  done.get_future().wait();
}

TEST_CASE("what the last turn leaves is done") {
  auto done = std::make_shared<counter>();
  int left = 0;
  {
    test::task_loop loop;
    for (int i = 0; i < 1000; ++i)
      loop.post([&, done] { left += leave([done] { done->add(); }) ? 1 : 0; });
  }
  done->wait_for(left);
}

TEST_CASE("turns and what they leave: never two turns at once, nothing lost, whatever blocks in between") {
  test::task_loop loop;
  std::atomic<int> in_turns{0};
  auto done = std::make_shared<counter>();
  auto gate = std::make_shared<std::mutex>();
  int left = 0;
  int overlaps = 0;
  for (int i = 0; i < 3000; ++i) {
    std::unique_lock held{*gate, std::defer_lock};
    if (i % 100 == 0)
      held.lock(); // what is left now waits until others have led for a while
    loop.run([&] {
      overlaps += in_turns.fetch_add(1);
      left += leave([done, gate] {
        std::lock_guard pass{*gate};
        done->add();
      })
                ? 1
                : 0;
      in_turns.fetch_sub(1);
    });
    if (held.owns_lock())
      loop.run([] {});
  }
  loop.end();
  CHECK(overlaps == 0);
  CHECK(left > 0);
  done->wait_for(left);
}
