#include "transport/process/flight_recorder.hpp"
#include "transport/work/worker_threads.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

using namespace sluice;
using namespace sluice::replica;
using namespace std::chrono_literals;

namespace {

constexpr auto patience = 20s;

struct function_body final : processor_body {
  std::function<result<void>(std::string_view, encoded_results&)> call;
  result<void> process(std::string_view payload, encoded_results& out) override { return call(payload, out); }
  void process_async(std::string_view, encoded_results&, executor&,
                     std::function<void(result<void>)>) override {}
};

/// What came back, and ways to wait for it.
struct fixture {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::uint64_t> acks;
  std::vector<queue::nack> nacks;
  std::vector<std::string> results;
  std::size_t chunks = 0;
  std::size_t bytes = 0;
  bool is_open = false; ///< the gate in `gated`
  int inside = 0;

  std::shared_ptr<process::flight_recorder> recorder = std::move(*process::flight_recorder::create());
  work::worker_threads threads{recorder};
  std::unique_ptr<work_port> pool;

  ~fixture() {
    open();
    pool.reset();
    CHECK(threads.wait_all_ended(patience));
  }

  void make(std::uint32_t num_concurrency,
            std::function<result<void>(std::string_view, encoded_results&)> call) {
    pool = threads.make_work({replica_id{3}, num_concurrency, [this](work_done done) {
                                std::lock_guard lock{mutex};
                                ++chunks;
                                bytes += done.results.bytes().size();
                                acks.insert(acks.end(), done.acks.begin(), done.acks.end());
                                std::move(done.nacks.begin(), done.nacks.end(), std::back_inserter(nacks));
                                for (auto record : done.results)
                                  results.emplace_back(record.payload);
                                changed.notify_all();
                              }});
    auto body = std::make_shared<function_body>();
    body->call = std::move(call);
    pool->start(body);
  }

  void submit(std::uint64_t from, std::uint64_t count) {
    record_block_builder made;
    for (auto seq = from; seq < from + count; ++seq)
      made.add(seq, 0, std::to_string(seq));
    pool->submit(made.finish());
  }

  template <class Condition>
  bool wait(Condition condition) {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, patience, condition);
  }
  bool wait_done(std::size_t count) {
    return wait([&] { return acks.size() + nacks.size() >= count; });
  }

  void pass_gate() {
    std::unique_lock lock{mutex};
    ++inside;
    changed.notify_all();
    changed.wait(lock, [this] { return is_open; });
    --inside;
  }
  void open() {
    std::lock_guard lock{mutex};
    is_open = true;
    changed.notify_all();
  }
};

result<void> echo(std::string_view payload, encoded_results& out) {
  out.bytes() += payload;
  out.finish_one();
  return {};
}

} // namespace

TEST_CASE_FIXTURE(fixture, "one thread gives records to user code in their order and brings all results") {
  make(1, echo);
  for (std::uint64_t i = 0; i < 100; ++i)
    submit(1 + i * 100, 100);
  REQUIRE(wait_done(10'000));
  CHECK(std::is_sorted(acks.begin(), acks.end()));
  CHECK(acks.back() == 10'000);
  CHECK(results.size() == 10'000);
  CHECK(results[41] == "42");
  CHECK(chunks < 1000);
}

TEST_CASE_FIXTURE(fixture, "several threads share the records, each once") {
  std::set<std::thread::id> seen;
  std::mutex seen_mutex;
  make(4, [&](std::string_view payload, encoded_results& out) {
    {
      std::lock_guard lock{seen_mutex};
      seen.insert(std::this_thread::get_id());
    }
    return echo(payload, out);
  });
  for (std::uint64_t i = 0; i < 100; ++i)
    submit(1 + i * 100, 100);
  REQUIRE(wait_done(10'000));
  std::sort(acks.begin(), acks.end());
  CHECK(std::adjacent_find(acks.begin(), acks.end()) == acks.end());
  CHECK(acks.front() == 1);
  CHECK(acks.back() == 10'000);
  CHECK(seen.size() <= 4);
}

TEST_CASE_FIXTURE(fixture, "so many records are in user code at once as are allowed") {
  make(3, [&](std::string_view payload, encoded_results& out) {
    pass_gate();
    return echo(payload, out);
  });
  submit(1, 10);
  REQUIRE(wait([&] { return inside == 3; }));
  CHECK(recorder->inside().size() == 3);
  open();
  REQUIRE(wait_done(10));
  CHECK(recorder->inside().empty());
}

TEST_CASE_FIXTURE(fixture,
                  "failures and exceptions are the record's, with their text and whether to try again") {
  make(1, [](std::string_view payload, encoded_results& out) -> result<void> {
    if (payload == "2")
      return fail(errc::invalid_argument, "no JSON");
    if (payload == "3")
      throw std::runtime_error{"thrown"};
    if (payload == "4") {
      out.bytes() += "half";
      out.finish_one();
      return fail(errc::internal, std::string(10'000, 'e'));
    }
    return echo(payload, out);
  });
  submit(1, 5);
  REQUIRE(wait_done(5));
  CHECK(results == std::vector<std::string>{"1", "5"});
  REQUIRE(nacks.size() == 3);
  CHECK_FALSE(nacks[0].retry);
  CHECK(nacks[1].error == "thrown");
  CHECK(nacks[1].retry);
  CHECK(nacks[2].error.size() == limits::error_text_bytes_max);
}

TEST_CASE_FIXTURE(fixture, "what is done is taken away from a thread that stays inside user code") {
  make(1, [&](std::string_view payload, encoded_results& out) {
    if (payload == "5")
      pass_gate();
    return echo(payload, out);
  });
  submit(1, 8);
  REQUIRE(wait([&] { return inside == 1; }));
  pool->flush();
  REQUIRE(wait_done(4));
  pool->flush(); // nothing there: no harm
  CHECK(recorder->inside().size() == 1);
  CHECK(recorder->inside()[0].seq == 5);
  CHECK(recorder->inside()[0].replica == replica_id{3});
  open();
  REQUIRE(wait_done(8));
  CHECK(acks == std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8});
}

TEST_CASE_FIXTURE(fixture, "what no thread has claimed is withdrawn, the rest comes back as done") {
  make(1, [&](std::string_view payload, encoded_results& out) {
    pass_gate();
    return echo(payload, out);
  });
  submit(1, 100);
  submit(101, 100);
  REQUIRE(wait([&] { return inside == 1; }));
  const auto back = pool->withdraw();
  REQUIRE_FALSE(back.empty());
  CHECK(back.back() == 200);
  CHECK(back.size() + 32 >= 200);
  open();
  REQUIRE(wait_done(200 - back.size()));
  CHECK(acks.size() == 200 - back.size());
  CHECK(acks.back() + 1 == back.front());
}

TEST_CASE_FIXTURE(fixture, "results that nobody takes hold user code back") {
  std::atomic<int> calls{0};
  make(1, [&](std::string_view, encoded_results& out) {
    ++calls;
    out.bytes().append(1 << 20, 'x');
    out.finish_one();
    return result<void>{};
  });
  submit(1, 100);
  REQUIRE(wait([&] { return bytes >= results_waiting_bytes_max; }));
  CHECK(calls < 60);
  std::size_t settled = 0;
  for (;;) {
    std::size_t now = 0;
    {
      std::unique_lock lock{mutex};
      if (acks.size() == 100)
        break;
      REQUIRE(changed.wait_for(lock, patience, [&] { return bytes > settled || acks.size() == 100; }));
      now = bytes;
    }
    pool->results_settled(now - settled);
    settled = now;
  }
  CHECK(calls == 100);
}

TEST_CASE_FIXTURE(fixture, "jobs run on the first thread, in order, between records") {
  make(1, echo);
  std::vector<int> ran;
  std::thread::id thread;
  std::atomic<int> left{2};
  pool->run([&] {
    ran.push_back(1);
    thread = std::this_thread::get_id();
    --left;
  });
  submit(1, 10);
  pool->run([&] {
    ran.push_back(2);
    CHECK(thread == std::this_thread::get_id());
    std::lock_guard lock{mutex};
    --left;
    changed.notify_all();
  });
  REQUIRE(wait([&] { return left == 0; }));
  REQUIRE(wait_done(10));
  CHECK(ran == std::vector<int>{1, 2});
}

TEST_CASE_FIXTURE(fixture, "the age of the oldest call is told") {
  make(2, [&](std::string_view payload, encoded_results& out) {
    pass_gate();
    return echo(payload, out);
  });
  CHECK(pool->busy_longest() == 0ms);
  submit(1, 1);
  REQUIRE(wait([&] { return inside == 1; }));
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (pool->busy_longest() < 5ms && std::chrono::steady_clock::now() < limit)
    std::this_thread::yield();
  CHECK(pool->busy_longest() >= 5ms);
}

TEST_CASE_FIXTURE(fixture, "a pool that ends does not wait for user code, and what comes late is dropped") {
  make(1, [&](std::string_view payload, encoded_results& out) {
    pass_gate();
    return echo(payload, out);
  });
  submit(1, 5);
  REQUIRE(wait([&] { return inside == 1; }));
  pool.reset();
  CHECK_FALSE(threads.wait_all_ended(0ms));
  open();
  CHECK(threads.wait_all_ended(patience));
  CHECK(acks.empty());
}

TEST_CASE_FIXTURE(fixture, "a runner runs its jobs in order and forgets them when it ends") {
  std::vector<int> ran;
  auto runner = threads.make_runner("a name that is longer than fifteen");
  for (int i = 0; i < 100; ++i)
    runner->run([&, i] {
      std::lock_guard lock{mutex};
      ran.push_back(i);
      changed.notify_all();
    });
  REQUIRE(wait([&] { return ran.size() == 100; }));
  CHECK(std::is_sorted(ran.begin(), ran.end()));
  runner->run([&] { pass_gate(); });
  REQUIRE(wait([&] { return inside == 1; }));
  runner->run([&] { ran.push_back(1000); });
  runner.reset();
  open();
  CHECK(threads.wait_all_ended(patience));
  CHECK(ran.size() == 100);
}

TEST_CASE_FIXTURE(fixture, "chunks that are taken away all the time are neither lost nor doubled") {
  make(2, echo);
  for (std::uint64_t i = 0; i < 200; ++i)
    submit(1 + i * 100, 100);
  const auto limit = std::chrono::steady_clock::now() + patience;
  for (std::size_t count = 0; count < 20'000;) {
    pool->flush();
    std::lock_guard lock{mutex};
    count = acks.size();
    REQUIRE(std::chrono::steady_clock::now() < limit);
  }
  std::sort(acks.begin(), acks.end());
  CHECK(std::adjacent_find(acks.begin(), acks.end()) == acks.end());
  CHECK(acks.size() == 20'000);
  CHECK(results.size() == 20'000);
}
