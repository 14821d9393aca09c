// Goal: requests reach user code on its own threads, each ends exactly once, and closing refuses what has
// not begun.
#include "tests/support/fake_exchange.hpp"
#include "tests/support/task_loop.hpp"
#include "transport/work/worker_threads.hpp"
#include "actors/replica/request_port.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <stdexcept>
#include <thread>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

/// Answers with the body; "wait" waits for the test, "throw" throws, "collect" is for the sink.
struct probe final : request_body {
  bool handle(const exchange_ptr& call, encoded_results& results) override {
    inside_max = std::max(inside_max.load(), ++inside);
    last_thread = std::this_thread::get_id();
    if (call->in.body == "wait") {
      std::unique_lock lock{mutex};
      ++waiting;
      changed.notify_all();
      changed.wait(lock, [&] { return released; });
    }
    --inside;
    if (call->in.body == "throw")
      throw std::runtime_error{"broken"};
    if (call->in.body == "collect") {
      results.bytes() += "r";
      results.finish_one();
      return true;
    }
    call->respond({200, {}, call->in.body});
    return false;
  }
  void handle_async(const exchange_ptr&, encoded_results&, executor&, std::function<void(bool)>) override {}

  void wait_for_waiting(int count) {
    std::unique_lock lock{mutex};
    changed.wait(lock, [&] { return waiting >= count; });
  }
  void release() {
    std::lock_guard lock{mutex};
    released = true;
    changed.notify_all();
  }

  std::atomic<int> inside{0};
  std::atomic<int> inside_max{0}; ///< exact where 1 is the most there may be
  std::atomic<std::thread::id> last_thread{};
  std::mutex mutex;
  std::condition_variable changed;
  int waiting = 0;
  bool released = false;
};

struct pool {
  std::shared_ptr<probe> body = std::make_shared<probe>();
  work::worker_threads threads;
  std::promise<void> idle;
  std::atomic<int> collected{0};
  bool waits_for_sink = true; ///< where user code was
  std::unique_ptr<replica::request_work_port> work;

  explicit pool(std::uint32_t num_concurrency, std::size_t waiting_max = 1000) {
    replica::request_work_options opts;
    opts.num_concurrency = num_concurrency;
    opts.waiting_max = waiting_max;
    opts.done = [this](const replica::collected& what) {
      collected += static_cast<int>(what.records.count());
      what.call->respond({200, {}, "stored"});
      return waits_for_sink;
    };
    opts.idle = [this] { idle.set_value(); };
    work = threads.make_request_work(std::move(opts));
    work->start(body);
  }
  ~pool() {
    body->release();
    work.reset();
    CHECK(threads.wait_all_ended(60s));
  }

  std::shared_ptr<test::fake_answer>
  send(std::string text,
       std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max(),
       bool wants_sink_notice = false) {
    request in;
    in.body = std::move(text);
    auto call = std::make_shared<test::fake_exchange>(std::move(in), deadline);
    call->wants_sink_notice = wants_sink_notice;
    auto log = call->seen;
    work->target()->submit(std::move(call));
    return log;
  }
};

} // namespace

TEST_CASE("a request is answered by user code, and what that throws is a 500") {
  pool p{2};
  CHECK(p.send("a")->wait_ended().body() == "a");
  CHECK(p.send("throw")->wait_ended().status() == 500);
  CHECK(p.send("b")->wait_ended().body() == "b");
}

TEST_CASE("a request whose deadline has passed while it waited is not begun") {
  pool p{1};
  auto busy = p.send("wait");
  p.body->wait_for_waiting(1);
  auto late = p.send("late", std::chrono::steady_clock::now());
  auto next = p.send("next");
  p.body->release();
  CHECK(late->wait_ended().refused() == errc::timeout);
  CHECK(next->wait_ended().body() == "next");
  CHECK(p.work->load().handled_total <= 2);
}

TEST_CASE("num_concurrency requests are inside at once, others wait up to the bound, more are refused") {
  pool p{2, 1};
  auto a = p.send("wait");
  p.body->wait_for_waiting(1);
  auto b = p.send("wait");
  p.body->wait_for_waiting(2);
  auto c = p.send("c");
  auto d = p.send("d");
  CHECK(d->wait_ended().refused() == errc::overloaded);
  CHECK(p.work->load().in_flight == 3);
  CHECK_FALSE(c->answer());
  p.body->release();
  CHECK(c->wait_ended().body() == "c");
  CHECK(a->wait_ended().status() == 200);
  CHECK(b->wait_ended().status() == 200);
}

TEST_CASE("closing refuses what waits and what comes, and tells when the last one is out") {
  pool p{1};
  auto a = p.send("wait");
  p.body->wait_for_waiting(1);
  auto b = p.send("b");
  p.work->close();
  CHECK(b->wait_ended().refused() == errc::shutting_down);
  CHECK(p.send("c")->wait_ended().refused() == errc::shutting_down);
  p.body->release();
  p.idle.get_future().wait();
  CHECK(a->wait_ended().status() == 200);
}

TEST_CASE("while held back, new requests are refused as overloaded") {
  pool p{1};
  p.work->hold_back(true);
  CHECK(p.send("a")->wait_ended().refused() == errc::overloaded);
  p.work->hold_back(false);
  CHECK(p.send("a")->wait_ended().body() == "a");
}

TEST_CASE("a replica that ends drops what has not begun") {
  pool p{1};
  auto a = p.send("wait");
  p.body->wait_for_waiting(1);
  auto b = p.send("b");
  auto target = p.work->target();
  p.work.reset();
  CHECK(b->wait_ended().is_cut());
  auto call = std::make_shared<test::fake_exchange>(request{});
  auto log = call->seen;
  target->submit(std::move(call));
  CHECK(log->wait_ended().refused());
}

TEST_CASE("from many threads at once, every request ends exactly once") {
  pool p{3, 100};
  constexpr int each = 2000;
  std::atomic<int> answered{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i)
    clients.emplace_back([&] {
      std::vector<std::shared_ptr<test::fake_answer>> logs;
      for (int k = 0; k < each; ++k)
        logs.push_back(p.send(k % 5 == 0 ? "collect" : "x"));
      for (const auto& log : logs) {
        CHECK(log->wait_ended().ends() == 1);
        ++(log->answer() ? answered : refused);
      }
    });
  for (auto& client : clients)
    client.join();
  CHECK(answered + refused == 4 * each);
  p.work->close(); // a call is answered a little before it is counted
  p.idle.get_future().wait();
  CHECK(p.work->load().in_flight == 0);
  CHECK(p.work->load().handled_total == static_cast<std::uint64_t>(answered.load()));
}

TEST_CASE(
  "who wants to hear that user code is done with a collector's request does, whatever waits behind it") {
  pool p{1};
  const auto no_deadline = std::chrono::steady_clock::time_point::max();
  auto busy = p.send("wait");
  p.body->wait_for_waiting(1);
  std::vector<std::shared_ptr<test::fake_answer>> all;
  for (int i = 0; i < 100; ++i)
    all.push_back(p.send("collect", no_deadline, i != 50));
  auto plain = p.send("plain", no_deadline, true);
  p.body->release();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i != 50)
      CHECK(all[i]->wait_at_sink().sink_notices() == 1);
    CHECK(all[i]->wait_ended().status() == 200);
  }
  CHECK(all[50]->sink_notices() == 0);
  CHECK(plain->wait_ended().sink_notices() == 0); // it went to no sink
}

namespace {

/// Sends from a turn of the loop, one after another, until user code is called by the loop's own thread.
void warm_up(pool& p, test::task_loop& loop) {
  std::thread::id leader;
  do {
    std::shared_ptr<test::fake_answer> log;
    loop.run([&] {
      leader = std::this_thread::get_id();
      log = p.send("quick");
    });
    log->wait_ended();
  } while (p.body->last_thread.load() != leader);
}

} // namespace

TEST_CASE(
  "quick user code is called by the io thread that brings a lone request, once it has shown to be quick") {
  pool p{1};
  test::task_loop loop;
  std::thread::id leader;
  std::shared_ptr<test::fake_answer> log;
  loop.run([&] {
    leader = std::this_thread::get_id();
    log = p.send("first");
  });
  CHECK(log->wait_ended().body() == "first");
  CHECK(p.body->last_thread.load() != leader); // nothing is known of it yet
  warm_up(p, loop);
}

TEST_CASE(
  "an io thread that calls user code which does not return holds up neither its loop nor other requests") {
  pool p{2};
  test::task_loop loop;
  std::shared_ptr<test::fake_answer> stuck;
  std::thread::id leader;
  warm_up(p, loop);
  loop.run([&] {
    leader = std::this_thread::get_id();
    stuck = p.send("wait");
  });
  p.body->wait_for_waiting(1);
  for (int i = 0; i < 3; ++i) {
    std::shared_ptr<test::fake_answer> log;
    loop.run([&] { log = p.send("next"); });
    CHECK(log->wait_ended().body() == "next");
  }
  CHECK(p.work->load().in_flight >= 1);
  CHECK_FALSE(stuck->answer());
  p.body->release();
  CHECK(stuck->wait_ended().status() == 200);
}

TEST_CASE(
  "an io thread inside user code counts: for num_concurrency, for the replica's end and for the process's") {
  auto p = std::make_unique<pool>(1);
  test::task_loop loop;
  warm_up(*p, loop);
  std::shared_ptr<test::fake_answer> stuck;
  std::shared_ptr<test::fake_answer> next;
  loop.run([&] { stuck = p->send("wait"); });
  p->body->wait_for_waiting(1);
  loop.run([&] { next = p->send("next"); });
  p->work->close();
  CHECK(next->wait_ended().refused() == errc::shutting_down);
  CHECK(p->body->inside == 1);
  auto idle = p->idle.get_future();
  CHECK(idle.wait_for(0s) == std::future_status::timeout);
  p->body->release();
  idle.wait();
  CHECK(stuck->wait_ended().status() == 200);
}

TEST_CASE("from many io threads at once, every request ends exactly once and one is inside at a time") {
  pool p{1, 100'000};
  constexpr int each = 3000;
  std::atomic<int> answered{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i)
    clients.emplace_back([&] {
      test::task_loop loop;
      std::vector<std::shared_ptr<test::fake_answer>> logs;
      for (int k = 0; k < each; ++k)
        loop.run([&] { logs.push_back(p.send(k % 5 == 0 ? "collect" : "x")); });
      for (const auto& log : logs) {
        CHECK(log->wait_ended().ends() == 1);
        answered += log->answer() ? 1 : 0;
      }
    });
  for (auto& client : clients)
    client.join();
  CHECK(answered == 3 * each);
  CHECK(p.body->inside_max == 1);
  p.work->close();
  p.idle.get_future().wait();
  CHECK(p.work->load().handled_total == 3u * each);
}

TEST_CASE("an io thread that leaves while requests wait has told who wants to hear that user code is done") {
  pool p{1};
  test::task_loop loop;
  warm_up(p, loop);
  const auto no_deadline = std::chrono::steady_clock::time_point::max();
  std::vector<std::shared_ptr<test::fake_answer>> all;
  loop.run([&] { // more than one visit does, and the first ends with fewer notices than are sent together
    all.push_back(p.send("plain"));
    for (int i = 0; i < 40; ++i)
      all.push_back(p.send("collect", no_deadline, true));
  });
  for (std::size_t i = 1; i < all.size(); ++i)
    CHECK(all[i]->wait_at_sink().sink_notices() == 1);
}
