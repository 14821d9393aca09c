#include "tests/support/fake_queue_store.hpp"
#include "transport/store/queue_store_thread.hpp"

#include <doctest/doctest.h>

#include <future>
#include <thread>
#include <vector>

using namespace sluice;
using sluice::store::queue_store_thread;
using sluice::testing::fake_queue_store;

TEST_CASE("work runs in order on one thread, which is not the caller's") {
  queue_store_thread thread{std::make_unique<fake_queue_store>()};
  std::vector<int> order;
  std::vector<std::thread::id> where;
  for (int i = 0; i < 100; ++i)
    thread.run([&, i](queue::store_port&) {
      order.push_back(i);
      where.push_back(std::this_thread::get_id());
    });
  thread.stop();
  REQUIRE(order.size() == 100);
  for (int i = 0; i < 100; ++i) {
    CHECK(order[static_cast<std::size_t>(i)] == i);
    CHECK(where[static_cast<std::size_t>(i)] == where.front());
  }
  CHECK(where.front() != std::this_thread::get_id());
}

TEST_CASE("stopping does what is left, closes the store, and drops what comes later") {
  auto closed = std::make_shared<int>(0);
  struct watched : fake_queue_store {
    explicit watched(std::shared_ptr<int> flag) : flag_(std::move(flag)) {}
    ~watched() override { ++*flag_; }
    std::shared_ptr<int> flag_;
  };
  std::promise<void> go_on;
  int done = 0;
  queue_store_thread thread{std::make_unique<watched>(closed)};
  thread.run([&](queue::store_port&) {
    go_on.get_future().wait();
    ++done;
  });
  for (int i = 0; i < 10; ++i)
    thread.run([&](queue::store_port&) { ++done; });
  go_on.set_value();
  thread.stop();
  CHECK(done == 11);
  CHECK(*closed == 1);
  thread.run([&](queue::store_port&) { ++done; });
  thread.stop();
  CHECK(done == 11);
}

TEST_CASE("many threads may send work") {
  int done = 0;
  queue_store_thread thread{std::make_unique<fake_queue_store>()};
  std::vector<std::thread> senders;
  for (int i = 0; i < 4; ++i)
    senders.emplace_back([&] {
      for (int k = 0; k < 250; ++k)
        thread.run([&](queue::store_port&) { ++done; });
    });
  for (auto& one : senders)
    one.join();
  thread.stop();
  CHECK(done == 1000);
}
