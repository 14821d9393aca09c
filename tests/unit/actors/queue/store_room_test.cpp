// Goal: a store that fills up holds producers back, lets consumers go on, and takes records again once there is room.
#include "tests/support/queue_fixture.hpp"

#include <doctest/doctest.h>

namespace {

using namespace sluice;
using namespace sluice::testing;

/// A store of 80 kB, told in payload bytes: producers may fill 70, results 77.5.
struct full_fixture : queue_fixture {
  full_fixture() {
    store->bytes_max_for_test = 80'000;
    open();
  }

  static std::string payload(std::size_t size) { return std::string(size, 'x'); }

  std::size_t fill() {
    std::size_t stored = 0;
    while (put("in", {payload(1000)}))
      ++stored;
    return stored;
  }
};

TEST_CASE_FIXTURE(queue_fixture,
                  "a disk that is full is told once, shown as long as it is, and told once that it is not") {
  const auto shown = [&] { return ask<queue::stats_reply>(queues, queue::stats_request{})->trouble; };
  REQUIRE(put("in", {"a"}));
  CHECK(shown().empty());
  store->write_failures_for_test.assign(3, {errc::overloaded, "no space left"});
  for (int i = 0; i < 2; ++i) {
    CHECK_FALSE(put("in", {"b"}));
    CHECK(shown() == "disk full: no space left");
  }
  auto purged = ask<queue::count_reply>(queues, queue::purge_request{queue_name{"in"}});
  REQUIRE_FALSE(purged);
  CHECK(purged.error().message.find("no space left; forgetting records takes a little room") == 0);
  const auto taken = take("in");
  REQUIRE(taken.records.count() == 1);
  REQUIRE(
    commit(commit_of("in", seqs(taken.records)))); // that this goes does not say that records can be put
  CHECK(shown() == "disk full: no space left");
  CHECK(troubles == std::vector<std::string>{"disk full: no space left"});
  REQUIRE(put("in", {"c"}));
  CHECK(shown().empty());
  CHECK(troubles == std::vector<std::string>{"disk full: no space left", ""});
}

TEST_CASE_FIXTURE(
  queue_fixture,
  "what makes room is written for itself: no record beside it is refused with it, or the other way") {
  queue::queues_state state{{}, [] { return 1.0; }, [](const std::string&) {}};
  state.opened({});
  std::vector<std::string> answers;
  const auto put_one = [&](const char* payload) {
    state.append(append_of("in", block({payload})),
                 [&](const auto& reply) { answers.push_back(reply ? "put" : reply.error().message); });
  };
  put_one("a");
  REQUIRE(state.launch(wall));
  state.landed(queue::write_outcome{}, now());
  put_one("b");
  state.purge_records(queue_name{"in"}, [&](const auto& reply) {
    answers.push_back(reply ? "purged " + std::to_string(reply->count) : reply.error().message);
  });
  put_one("c");
  const auto full = [] { return result<queue::write_outcome>{fail(errc::overloaded, "full")}; };
  auto first = state.launch(wall);
  REQUIRE(first);
  CHECK(first->batch.appends.size() == 1);
  CHECK(first->batch.settled.empty());
  state.landed(full(), now());
  auto second = state.launch(wall);
  REQUIRE(second);
  CHECK(second->batch.appends.empty());
  CHECK(second->batch.settled.size() == 1);
  state.landed(queue::write_outcome{}, now());
  auto third = state.launch(wall);
  REQUIRE(third);
  CHECK(third->batch.appends.size() == 1);
  state.landed(queue::write_outcome{}, now());
  CHECK(answers == std::vector<std::string>{"put", "full", "purged 1", "put"});
}

TEST_CASE_FIXTURE(full_fixture, "producers are held back with a clear error before the store is full") {
  const auto stored = fill();
  CHECK(stored > 60);
  CHECK(stored < 70);
  auto refused = put("in", {payload(1000)});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == errc::overloaded);
  CHECK(refused.error().message.find("the queues are full") == 0);
  CHECK(refused.error().message.find("queue-size-max") != std::string::npos);
}

TEST_CASE_FIXTURE(full_fixture, "consumers go on from a full queue into another one, and make room") {
  const auto stored = fill();
  std::size_t moved = 0;
  while (stat("in").depth_count > 0) {
    auto some = take("in", 5);
    REQUIRE(some.records.count() > 0);
    auto request = commit_of("in", seqs(some.records));
    record_block_builder results;
    for (auto record : some.records)
      results.add(record.seq, 0, payload(900));
    request.results.push_back({queue_name{"out"}, results.finish()});
    auto done = commit(std::move(request));
    REQUIRE_MESSAGE(done, done.error().message);
    moved += some.records.count();
  }
  CHECK(moved == stored);
  CHECK(stat("out").depth_count == stored);
  CHECK(put("in", {payload(1000)}));
}

TEST_CASE_FIXTURE(full_fixture, "results that would not fit wait, what only settles does not") {
  fill();
  auto some = take("in", 20);
  auto request = commit_of("in", seqs(some.records));
  record_block_builder results;
  for (auto record : some.records)
    results.add(record.seq, 0, payload(5000));
  request.results.push_back({queue_name{"out"}, results.finish()});
  auto refused = commit(request);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == errc::overloaded);
  CHECK(commit(commit_of("in", seqs(some.records)))); // the leases are still theirs
  CHECK(put("in", {payload(1000)}));
}

TEST_CASE_FIXTURE(full_fixture, "a purge makes room, and so it is after a restart of the head") {
  fill();
  open();
  CHECK_FALSE(put("in", {payload(1000)}));
  CHECK(ask<queue::count_reply>(queues, queue::purge_request{queue_name{"in"}}));
  CHECK(put("in", {payload(1000)}));
}

} // namespace
