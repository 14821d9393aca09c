#include "actors/replica/settle_state.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>

using namespace sluice;
using namespace sluice::replica;
using namespace std::chrono_literals;

namespace {

record_block block(std::uint64_t from, std::uint64_t count) {
  record_block_builder made;
  for (auto seq = from; seq < from + count; ++seq)
    made.add(seq, 0, "in" + std::to_string(seq));
  return made.finish();
}

/// `seqs` succeeded with `fan_out` results each.
work_done done(const std::vector<std::uint64_t>& seqs, std::size_t fan_out = 1, std::size_t size = 4) {
  work_done out;
  record_block_builder results;
  for (auto seq : seqs) {
    out.acks.push_back(seq);
    for (std::size_t i = 0; i < fan_out; ++i)
      results.add(seq, 0, std::string(size, 'x'));
  }
  out.results = results.finish();
  return out;
}

std::vector<std::uint64_t> seqs_of(const settle_group& group) {
  std::vector<std::uint64_t> out;
  for (const auto& each : group.results) {
    for (auto record : each)
      out.push_back(record.seq);
  }
  return out;
}

using seqs = std::vector<std::uint64_t>;

} // namespace

TEST_CASE("whole chunks are settled together up to the bounds of a commit") {
  leased_settle settle;
  seqs many(1000);
  for (int i = 0; i < 6; ++i)
    settle.add(done(many));
  CHECK(settle.cut().count() == 4000);
  CHECK(settle.cut().count() == 2000);
  CHECK(settle.empty());
  for (int i = 0; i < 6; ++i)
    settle.add(done({1}, 1, 1 << 20));
  CHECK(settle.cut().count() == 3);
  settle.clear();
  settle.add(done({1}, 1, group_bytes_max * 2));
  CHECK(settle.cut().count() == 1); // too large for the bound, and alone
}

TEST_CASE("failures travel with the chunk they were in") {
  leased_settle settle;
  auto chunk = done({1, 3});
  chunk.nacks.push_back({2, "no", true});
  settle.add(std::move(chunk));
  const auto group = settle.cut();
  CHECK(group.acks == seqs{1, 3});
  REQUIRE(group.nacks.size() == 1);
  CHECK(group.nacks[0].seq == 2);
  CHECK_FALSE(group.position);
}

TEST_CASE("what is done out of order is given out in order, up to the first gap") {
  ordered_settle settle;
  settle.taken(block(1, 5));
  settle.add(done({4, 2}, 2));
  CHECK_FALSE(settle.ready());
  settle.add(done({1}, 0));
  REQUIRE(settle.ready());
  auto group = settle.cut();
  CHECK(group.acks == seqs{1, 2});
  CHECK(group.position == 2);
  CHECK(seqs_of(group) == seqs{2, 2});
  CHECK(settle.open_count() == 3);
  settle.add(done({3, 5}));
  group = settle.cut();
  CHECK(group.acks == seqs{3, 4, 5});
  CHECK(seqs_of(group) == seqs{3, 4, 4, 5});
  CHECK(settle.open_count() == 0);
}

TEST_CASE("a position goes with the mark of the pull that it is in") {
  ordered_settle settle;
  settle.taken(block(1, 3), {}, "a");
  settle.taken({}, {{4, "", "no"}}, "b");
  settle.taken(block(5, 2), {}, "c");
  settle.add(done({1, 2}));
  CHECK(settle.cut().mark == "a");
  settle.add(done({3}));
  CHECK(settle.cut().mark == "a");
  settle.bury(4, {"", "no", 1});
  CHECK(settle.cut().mark == "b");
  settle.add(done({5}));
  CHECK(settle.cut().mark == "c");
  settle.add(done({6}));
  CHECK(settle.cut().mark == "c");
}

TEST_CASE("a record that is given up lets the rest go on") {
  ordered_settle settle;
  settle.taken(block(10, 3));
  settle.add(done({11, 12}));
  settle.bury(10, {"in10", "no", 5});
  const auto group = settle.cut();
  CHECK(group.acks == seqs{11, 12});
  REQUIRE(group.burials.size() == 1);
  CHECK(group.burials[0].error == "no");
  CHECK(group.position == 12);
  CHECK(group.count() == 3);
}

TEST_CASE("payloads are kept until their record is given out, and travel with the group") {
  ordered_settle settle;
  settle.taken(block(1, 2));
  settle.taken(block(3, 2));
  CHECK(settle.payload_of(4) == "in4");
  CHECK(settle.payload_of(9).empty());
  settle.add(done({1, 2, 3}));
  const auto group = settle.cut();
  CHECK(find_payload(group.inputs, 1) == "in1");
  CHECK(find_payload(group.inputs, 3) == "in3");
  CHECK(settle.payload_of(1).empty());
  CHECK(settle.payload_of(4) == "in4");
}

TEST_CASE("an ordered group keeps the bounds of a commit") {
  ordered_settle settle;
  settle.taken(block(1, group_count_max + 10));
  seqs all;
  for (std::uint64_t seq = 1; seq <= group_count_max + 10; ++seq)
    all.push_back(seq);
  settle.add(done(all));
  CHECK(settle.cut().count() == group_count_max);
  REQUIRE(settle.ready());
  CHECK(settle.cut().count() == 10);
  settle.taken(block(10'000, 3));
  settle.add(done({10'000, 10'001, 10'002}, 1, group_bytes_max));
  CHECK(settle.cut().position == 10'000);
  CHECK(settle.cut().position == 10'001);
}

TEST_CASE("records that are given up count with their payloads, so that their commit fits a frame") {
  constexpr std::size_t record_bytes = 1 << 20;
  const auto bytes_of = [](const settle_group& group) {
    std::size_t total = 0;
    for (const auto& burial : group.burials)
      total += burial.payload.size() + burial.error.size();
    return total;
  };
  ordered_settle settle;
  std::vector<refused_record> refused;
  for (std::uint64_t seq = 1; seq <= 40; ++seq)
    refused.push_back({seq, {}, {}});
  settle.taken({}, refused);
  for (std::uint64_t seq = 1; seq <= 40; ++seq)
    settle.bury(seq, {std::string(record_bytes, 'x'), "no line", 1});
  std::uint64_t position = 0;
  while (settle.ready()) {
    const auto group = settle.cut();
    CHECK(bytes_of(group) <= group_bytes_max + record_bytes + 100);
    CHECK(group.position == position + group.count());
    position = *group.position;
  }
  CHECK(position == 40);
  CHECK(settle.open_count() == 0);
  CHECK(settle.held_bytes() == 0);
}

TEST_CASE("a group whose results are small can be refused as a whole and still fits a frame") {
  constexpr std::size_t record_bytes = 1 << 20;
  ordered_settle settle;
  seqs all;
  for (std::uint64_t first = 1; first <= 40; first += 4) {
    record_block_builder made;
    for (auto seq = first; seq < first + 4; ++seq) {
      made.add(seq, 0, std::string(record_bytes, 'x'));
      all.push_back(seq);
    }
    settle.taken(made.finish());
  }
  SUBCASE("with results") {
    settle.add(done(all));
    seqs given;
    while (settle.ready()) {
      const auto group = settle.cut();
      CHECK(group.count() <= 5);
      given.insert(given.end(), group.acks.begin(), group.acks.end());
    }
    CHECK(given == all);
  }
  SUBCASE("without, there is nothing that can be refused") {
    settle.add(done(all, 0));
    CHECK(settle.cut().count() == 40);
  }
  CHECK(settle.held_bytes() == 0);
}

TEST_CASE("what is held is told until the last record of a block is given out") {
  ordered_settle settle;
  const auto records = block(1, 3);
  settle.taken(records, {{9, "refused", "no"}});
  settle.bury(9, {"refused", "no", 1});
  CHECK(settle.held_bytes() == records.bytes().size() + 9);
  settle.add(done({1, 2}));
  CHECK(settle.cut().freed_bytes == 0);
  settle.add(done({3}));
  CHECK(settle.cut().freed_bytes == records.bytes().size() + 9);
  CHECK(settle.held_bytes() == 0);
}

TEST_CASE("in any order of ends, each record is given out once and the position only grows") {
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random{seed};
    ordered_settle settle;
    settle.taken(block(1, 40));
    settle.taken(block(50, 10));
    seqs open;
    for (std::uint64_t i = 1; i <= 40; ++i)
      open.push_back(i);
    for (std::uint64_t i = 50; i < 60; ++i)
      open.push_back(i);
    const auto all = open;
    std::shuffle(open.begin(), open.end(), random);
    seqs given;
    std::uint64_t position = 0;
    while (!open.empty()) {
      seqs some;
      for (auto n = 1 + random() % 5; n > 0 && !open.empty(); --n) {
        some.push_back(open.back());
        open.pop_back();
      }
      if (random() % 8 == 0)
        settle.bury(some.front(), {});
      else
        settle.add(done({some.front()}, random() % 3));
      some.erase(some.begin());
      settle.add(done(some, 2));
      while (settle.ready()) {
        const auto group = settle.cut();
        given.insert(given.end(), group.acks.begin(), group.acks.end());
        for (std::size_t i = 0; i < group.burials.size(); ++i)
          given.push_back(0);
        REQUIRE(group.position > position);
        position = *group.position;
        // Nothing up to the position is still open.
        for (auto seq : open)
          REQUIRE(seq > position);
      }
    }
    CHECK(given.size() == all.size());
    CHECK(position == 59);
  }
}

TEST_CASE("a failed record is due again after its back-off, and once per attempt") {
  retry_state retries{3};
  const time_point start{1h};
  CHECK_FALSE(retries.failed({7, "no", true}, "payload", start, 0));
  CHECK(retries.due(start + 99ms).empty());
  auto due = retries.due(start + 100ms);
  REQUIRE(due.count() == 1);
  CHECK((*due.begin()).seq == 7);
  CHECK((*due.begin()).attempts == 1);
  CHECK((*due.begin()).payload == "payload");
  CHECK(retries.due(start + 1h).empty());
  CHECK_FALSE(retries.failed({7, "no", true}, "payload", start, 0));
  CHECK(retries.due(start + 200ms).count() == 1);
  auto burial = retries.failed({7, "still no", true}, "payload", start, 0);
  REQUIRE(burial);
  CHECK(burial->attempts == 3);
  CHECK(burial->error == "still no");
  CHECK(burial->payload == "payload");
  CHECK(retries.empty());
}

TEST_CASE("a record that can never succeed is buried at once, one that succeeded begins anew") {
  retry_state retries{3};
  CHECK(retries.failed({1, "no", false}, "p", {}, 0)->attempts == 1);
  CHECK_FALSE(retries.failed({2, "no", true}, "p", {}, 0));
  retries.succeeded(2);
  CHECK(retries.empty());
}
