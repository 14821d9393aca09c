// Goal: what queues take up is bounded, and who fills a bound is pushed back and loses nothing.
#include "tests/support/queue_fixture.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::queue;
using namespace std::chrono_literals;
using sluice::testing::queue_fixture;

namespace {

struct small_bounds : queue_fixture {
  static bounds tiny() {
    bounds out;
    out.memory_bytes = 64 * 1024;
    out.window_bytes = 16 * 1024;
    out.read_bytes = 8 * 1024;
    out.pending_bytes = 4096;
    out.waiting_count = 2;
    out.outstanding_count = 10;
    out.queue_count = 3;
    out.depth_count = 5000;
    out.producer_count = 2;
    return out;
  }
  small_bounds() : queue_fixture(tiny()) {}
};

} // namespace

TEST_CASE_FIXTURE(small_bounds, "a backlog larger than memory comes out in order and complete") {
  for (std::size_t i = 0; i < 5000; i += 100)
    REQUIRE(ask<append_reply>(queues, append_of("in", numbered(i, 100))).has_value());
  CHECK(store->reads_for_test == 0);
  std::size_t expected = 0;
  while (expected < 5000) {
    auto got = take("in", 10);
    REQUIRE(got.records.count() > 0);
    for (auto record : got.records)
      REQUIRE(record.payload == "r" + std::to_string(expected++));
    commit(commit_of("in", seqs(got.records)));
  }
  CHECK(take("in").records.empty());
  CHECK(stat("in").depth_count == 0);
  CHECK(store->reads_for_test >= 3);
  CHECK(reports.empty());
}

TEST_CASE_FIXTURE(
  small_bounds,
  "where there is no place for a name, the queue forgotten is the one used least, and is empty") {
  REQUIRE(put("a", {"1"}));
  REQUIRE(put("b", {"2"}));
  REQUIRE(put("c", {"3"}));
  commit(commit_of("a", seqs(take("a").records)));
  commit(commit_of("b", seqs(take("b").records)));
  REQUIRE(put("d", {"4"})); // in the place of `a`
  CHECK(store->queues_for_test.size() == 3);
  CHECK_FALSE(store->queues_for_test.contains(queue_name{"a"}));
  REQUIRE(put("a", {"5"}));             // in the place of `b`
  CHECK(stat("a").appended_total == 1); // it is another queue
  CHECK(stat("a").settled_total + stat("a").depth_count == stat("a").appended_total);
  CHECK(put("e", {"6"}).error().code == errc::exhausted); // all of them hold something
  open();
  for (const auto* name : {"a", "c", "d"})
    CHECK(take(name).records.count() == 1);
  CHECK(put("e", {"6"}).error().code == errc::exhausted); // leased
}

TEST_CASE_FIXTURE(small_bounds,
                  "a place that is only asked for by consumers is given back, not one somebody waits at") {
  REQUIRE(put("a", {"1"}));
  auto waits = ask_later<lease_reply>(queues, lease_of("b", 1, 5s));
  run();
  CHECK(take("c").records.empty());
  REQUIRE(put("d", {"4"})); // in the place of `c`
  CHECK(put("e", {"5"}).error().code == errc::exhausted);
  REQUIRE(put("b", {"2"}));
  REQUIRE(waits->has_value());
  CHECK((*waits)->value().records.count() == 1);
}

TEST_CASE_FIXTURE(small_bounds, "a queue is forgotten in the write that takes its place, or in a later one") {
  for (const auto* name : {"a", "b", "c"}) {
    REQUIRE(put(name, {"x"}));
    commit(commit_of(name, seqs(take(name).records)));
  }
  store->write_failures_for_test.push_back({errc::overloaded, "full"});
  CHECK_FALSE(put("d", {"1"}));
  CHECK(store->queues_for_test.contains(queue_name{"a"}));
  REQUIRE(put("a", {"2"})); // known to the store with more records than this one
  CHECK(payloads(take("a").records) == std::vector<std::string>{"2"});
}

TEST_CASE_FIXTURE(small_bounds, "every bound pushes back on who fills it") {
  for (auto* name : {"a", "b", "c"})
    CHECK(put(name, {"x"}).has_value());
  CHECK(put("d", {"x"}).error().code == errc::exhausted);

  std::vector<answer<lease_reply>> waits;
  for (int i = 0; i < 3; ++i)
    waits.push_back(ask_later<lease_reply>(queues, lease_of("c", 1, 5s)));
  run();
  CHECK((*waits[0])->value().records.count() == 1);
  auto third = ask_later<lease_reply>(queues, lease_of("c", 1, 5s));
  run();
  REQUIRE(third->has_value());
  CHECK((*third)->error().code == errc::overloaded);

  runner->is_held = true;
  auto big = [&] { return ask_later<append_reply>(queues, append_of("a", block({std::string(3000, 'x')}))); };
  auto first = big();
  run();
  auto second = big();
  auto refused = big();
  run();
  REQUIRE(refused->has_value());
  CHECK((*refused)->error().code == errc::overloaded);
  while (runner->release() > 0)
    run();
  CHECK(first->has_value());
  CHECK(second->has_value());
}

TEST_CASE_FIXTURE(small_bounds, "no more is handed out than may be outstanding") {
  ask<append_reply>(queues, append_of("in", numbered(0, 30)));
  CHECK(take("in", 10).records.count() == 10);
  auto request = lease_of("in");
  request.consumer.flow = flow_name{"other"};
  const auto none = ask<lease_reply>(queues, request);
  REQUIRE(none.has_value());
  CHECK(none->records.empty());
  CHECK(none->more_may_come); // that is not the end of the queue
  auto more = ask_later<lease_reply>(queues, lease_of("in", 10, 5s));
  run();
  CHECK_FALSE(more->has_value());
  commit(commit_of("in", {1, 2, 3}));
  CHECK(more->has_value());
}

TEST_CASE_FIXTURE(small_bounds, "a full queue refuses records until some are settled") {
  ask<append_reply>(queues, append_of("in", numbered(0, 500)));
  for (int i = 0; i < 9; ++i)
    ask<append_reply>(queues, append_of("in", numbered(0, 500)));
  CHECK(put("in", {"x"}).error().code == errc::overloaded);
  auto got = take("in", 1);
  commit(commit_of("in", seqs(got.records)));
  CHECK(put("in", {"x"}).has_value());
}

TEST_CASE_FIXTURE(small_bounds, "the least recent producers are forgotten first") {
  auto from = [&](const std::string& producer, std::uint64_t seq) {
    auto request = append_of("q", block({"x"}));
    request.producer = producer;
    request.producer_seq = seq;
    return ask<append_reply>(queues, request).has_value();
  };
  CHECK(from("a", 1));
  CHECK(from("b", 1));
  CHECK(from("a", 2));
  CHECK(from("c", 1)); // forgets b
  CHECK(from("a", 2)); // known
  CHECK(stat("q").depth_count == 4);
  open();
  CHECK(from("a", 2));
  CHECK(from("c", 1));
  CHECK(stat("q").depth_count == 4);
  CHECK(from("b", 1)); // no longer known
  CHECK(stat("q").depth_count == 5);
}

TEST_CASE_FIXTURE(small_bounds, "memory of queues nobody reads is given to one that is read") {
  for (auto* name : {"a", "b", "c"})
    for (std::size_t i = 0; i < 5; ++i)
      ask<append_reply>(queues, append_of(name, numbered(i * 200, 200)));
  for (auto* name : {"a", "b", "c"}) {
    std::size_t expected = 0;
    while (expected < 1000) {
      auto got = take(name, 10);
      REQUIRE(got.records.count() > 0);
      for (auto record : got.records)
        REQUIRE(record.payload == "r" + std::to_string(expected++));
      commit(commit_of(name, seqs(got.records)));
    }
  }
  CHECK(reports.empty());
}
