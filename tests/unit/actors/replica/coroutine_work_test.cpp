#include "tests/support/manual_executor.hpp"
#include "actors/replica/coroutine_work.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <string>

using namespace sluice;
using namespace sluice::replica;
using namespace std::chrono_literals;

namespace {

/// Keeps each call until the test ends it.
struct held_body final : processor_body {
  struct call {
    std::string payload;
    encoded_results* results;
    std::function<void(result<void>)> done;
  };
  std::deque<call> calls;
  bool at_once = false;
  std::size_t at_once_size = 2;

  bool is_async() const noexcept override { return true; }
  result<void> process(std::string_view, encoded_results&) override { return {}; }
  void process_async(std::string_view payload, encoded_results& out, executor&,
                     std::function<void(result<void>)> done) override {
    if (at_once) {
      out.bytes().append(at_once_size, 'x');
      out.finish_one();
      done({});
      return;
    }
    calls.push_back({std::string{payload}, &out, std::move(done)});
  }

  void end(std::size_t i, result<void> outcome = {}) {
    auto call = std::move(calls[i]);
    calls.erase(calls.begin() + static_cast<std::ptrdiff_t>(i));
    if (outcome) {
      call.results->bytes() += "<" + call.payload + ">";
      call.results->finish_one();
    }
    call.done(std::move(outcome));
  }
};

struct no_jobs final : work_port {
  void run(std::function<void()> job) override { job(); }
  void start(std::shared_ptr<processor_body>) override {}
  void submit(record_block) override {}
  std::vector<std::uint64_t> withdraw() override { return {}; }
  void flush() override {}
  void results_settled(std::size_t) override {}
  std::chrono::milliseconds busy_longest() const override { return 0ms; }
};

/// A recorder that shows which records are inside.
struct map_recorder final : flight_recorder_port {
  std::map<flight_slot*, std::unique_ptr<flight_slot>> slots;
  flight_slot* claim(replica_id replica) override {
    auto made = std::make_unique<flight_slot>();
    made->replica = replica.value;
    auto* at = made.get();
    slots.emplace(at, std::move(made));
    return at;
  }
  void give_back(flight_slot* slot) override { slots.erase(slot); }
  std::vector<std::uint64_t> inside() const {
    std::vector<std::uint64_t> out;
    for (const auto& [at, slot] : slots) {
      if (slot->seq != 0)
        out.push_back(slot->seq);
    }
    std::sort(out.begin(), out.end());
    return out;
  }
};

struct fixture {
  std::shared_ptr<held_body> body = std::make_shared<held_body>();
  std::shared_ptr<manual_executor> where = std::make_shared<manual_executor>();
  std::shared_ptr<map_recorder> recorder = std::make_shared<map_recorder>();
  std::chrono::steady_clock::time_point now{1h};
  std::vector<work_done> chunks;
  std::unique_ptr<work_port> work;

  // A call that never ends keeps its body, and this body keeps its calls.
  ~fixture() { body->calls.clear(); }

  void make(std::uint32_t num_concurrency, std::chrono::milliseconds timeout = 0ms) {
    work = make_coroutine_work(
      {{replica_id{1}, num_concurrency, [this](work_done done) { chunks.push_back(std::move(done)); }},
       timeout,
       where,
       [this] { return now; },
       recorder,
       std::make_unique<no_jobs>()});
    work->start(body);
  }
  void submit(std::uint64_t from, std::uint64_t count) {
    record_block_builder made;
    for (auto seq = from; seq < from + count; ++seq)
      made.add(seq, 0, std::to_string(seq));
    work->submit(made.finish());
  }
  std::size_t done_count() const {
    std::size_t count = 0;
    for (const auto& each : chunks)
      count += each.count();
    return count;
  }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "so many coroutines are in flight as are allowed, in the order of the records") {
  make(2);
  submit(1, 5);
  REQUIRE(body->calls.size() == 2);
  CHECK(recorder->inside() == std::vector<std::uint64_t>{1, 2});
  body->end(1);
  REQUIRE(body->calls.size() == 2);
  CHECK(body->calls[1].payload == "3");
  CHECK(recorder->inside() == std::vector<std::uint64_t>{1, 3});
  while (!body->calls.empty())
    body->end(0);
  CHECK(done_count() == 5);
  CHECK(recorder->inside().empty());
  CHECK(chunks.back().results.count() > 0);
}

TEST_CASE_FIXTURE(fixture,
                  "a chunk is handed over when nothing is left, when it is old and when it is full") {
  make(2);
  submit(1, 2);
  body->end(0);
  CHECK(chunks.empty());
  where->advance(chunk_age_max);
  REQUIRE(chunks.size() == 1);
  CHECK(chunks[0].acks == std::vector<std::uint64_t>{1});
  CHECK((*chunks[0].results.begin()).payload == "<1>");
  body->end(0);
  CHECK(chunks.size() == 2);
}

TEST_CASE_FIXTURE(fixture, "coroutines that never suspend neither recurse nor hold up the replica") {
  body->at_once = true;
  make(4);
  submit(1, 20'000);
  CHECK(done_count() < 20'000);
  where->run();
  CHECK(done_count() == 20'000);
  for (const auto& each : chunks)
    CHECK(each.count() <= chunk_count_max);
}

TEST_CASE_FIXTURE(fixture, "what has not begun is withdrawn, what has begun ends") {
  make(2);
  submit(1, 3);
  submit(10, 2);
  CHECK(work->withdraw() == std::vector<std::uint64_t>{3, 10, 11});
  body->end(0);
  body->end(0);
  CHECK(body->calls.empty());
  CHECK(done_count() == 2);
}

TEST_CASE_FIXTURE(fixture, "a coroutine that takes too long fails, and its late end is ignored") {
  make(1, 2s);
  submit(1, 2);
  now += 1999ms;
  work->flush();
  CHECK(chunks.empty());
  now += 1ms;
  work->flush();
  REQUIRE(chunks.size() == 1);
  REQUIRE(chunks[0].nacks.size() == 1);
  CHECK(chunks[0].nacks[0].error == "timed out after 2 s");
  CHECK(chunks[0].nacks[0].retry);
  REQUIRE(body->calls.size() == 2); // the next has begun
  CHECK(body->calls[1].payload == "2");
  body->end(0);
  CHECK(done_count() == 1);
  body->end(0);
  CHECK(done_count() == 2);
  CHECK(chunks.back().acks == std::vector<std::uint64_t>{2});
}

TEST_CASE_FIXTURE(fixture,
                  "coroutines that never end are no more started at their bound, and their age is told") {
  make(1, 100ms);
  submit(1, abandoned_max + 10);
  const auto began = now;
  for (std::size_t i = 0; i < abandoned_max; ++i) {
    now += 100ms;
    work->flush();
  }
  CHECK(body->calls.size() == abandoned_max);
  CHECK(work->busy_longest() == now - began);
  body->end(0);
  CHECK(body->calls.size() == abandoned_max);
  CHECK(work->busy_longest() == 0ms);
}

TEST_CASE_FIXTURE(fixture, "the age of the oldest call is told") {
  make(2);
  CHECK(work->busy_longest() == 0ms);
  submit(1, 1);
  now += 30ms;
  submit(2, 1);
  now += 10ms;
  CHECK(work->busy_longest() == 40ms);
  body->end(0);
  CHECK(work->busy_longest() == 10ms);
}

TEST_CASE_FIXTURE(fixture, "results that nobody takes hold the next records back") {
  body->at_once = true;
  body->at_once_size = 1 << 20;
  make(1);
  submit(1, 40);
  where->run();
  const auto before = done_count();
  CHECK(before < 20);
  std::size_t bytes = 0;
  for (const auto& each : chunks)
    bytes += each.results.bytes().size();
  CHECK(bytes >= results_waiting_bytes_max);
  work->results_settled(bytes);
  where->run();
  CHECK(done_count() > before);
}

TEST_CASE_FIXTURE(fixture, "a replica that has gone leaves coroutines in flight to themselves") {
  make(2, 1s);
  submit(1, 2);
  work.reset();
  CHECK(recorder->slots.empty());
  body->end(0);
  body->end(0);
  where->advance(10s);
  CHECK(chunks.empty());
}

TEST_CASE_FIXTURE(fixture, "a record whose results are too large fails for good") {
  body->at_once = true;
  body->at_once_size = limits::record_size_bytes_max + 1;
  make(1);
  submit(1, 1);
  REQUIRE(chunks.size() == 1);
  REQUIRE(chunks[0].nacks.size() == 1);
  CHECK_FALSE(chunks[0].nacks[0].retry);
  CHECK(chunks[0].nacks[0].error == "the results of this record have 16777217 bytes, allowed are 16777216");
}
