// Goal: a collector's results go to the sink in groups, each call is told once and truly, and a
// repeat after an unknown outcome is the same write.
#include "actors/collect/collect_state.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>

using namespace sluice;
using namespace sluice::collect;
using namespace std::chrono_literals;

namespace {

const time_point start{};

record_block results_of(const std::vector<std::string>& texts) {
  record_block_builder out;
  for (const auto& each : texts)
    out.add(each);
  return out.finish();
}

void add(collect_state& s, std::uint64_t call, std::string key = {}, time_point deadline = start + 1h) {
  s.add(call, results_of({"r" + std::to_string(call)}), {std::move(key), 1}, deadline);
}

std::vector<std::string> payloads(const record_block& block) {
  std::vector<std::string> out;
  for (auto record : block)
    out.emplace_back(record.payload);
  return out;
}

using ids = std::vector<std::uint64_t>;

} // namespace

TEST_CASE("what comes in while a write is out goes together in the next") {
  collect_state s{false, 1};
  add(s, 1);
  auto first = s.next(start);
  REQUIRE(first.size() == 1);
  add(s, 2);
  add(s, 3);
  CHECK(s.next(start).empty());
  CHECK(s.on_stored(first[0], {}, start).stored == ids{1});
  auto second = s.next(start);
  REQUIRE(second.size() == 1);
  CHECK(payloads(s.group(second[0]).records) == std::vector<std::string>{"r2", "r3"});
  CHECK(s.group(second[0]).seq == 2);
  CHECK(s.on_stored(second[0], {}, start).stored == ids{2, 3});
  CHECK(s.empty());
  CHECK(s.size_bytes() == 0);
}

TEST_CASE("a write that may succeed later is repeated unchanged, after a while") {
  collect_state s{false, 1};
  add(s, 1);
  auto first = s.next(start);
  add(s, 2);
  CHECK(s.on_stored(first[0], fail(errc::unavailable, "no link"), start).stored.empty());
  CHECK(s.next(start).empty());
  auto again = s.next(start + 5s);
  REQUIRE(again == first);
  CHECK(payloads(s.group(again[0]).records) == std::vector<std::string>{"r1"});
  CHECK(s.group(again[0]).seq == 1);
}

TEST_CASE("a write that is refused for good fails its calls and no others") {
  collect_state s{false, 1};
  add(s, 1);
  auto first = s.next(start);
  add(s, 2);
  auto told = s.on_stored(first[0], fail(errc::invalid_argument, "no such table"), start);
  CHECK(told.failed == ids{1});
  CHECK(told.why.message == "no such table");
  CHECK(told.stored.empty());
  auto second = s.next(start);
  CHECK(s.on_stored(second.at(0), {}, start).stored == ids{2});
}

TEST_CASE("a key has a write of its own, whatever else is out") {
  collect_state s{true, 1};
  add(s, 1);
  s.next(start);
  add(s, 2, "k");
  add(s, 3);
  auto due = s.next(start);
  REQUIRE(due.size() == 1);
  CHECK(s.group(due[0]).key == "k");
  CHECK(s.group(due[0]).seq == 1);
  CHECK(s.group(due[0]).calls == ids{2});
}

TEST_CASE("keys are ignored where the sink cannot know them") {
  collect_state s{false, 1};
  add(s, 1, "k");
  add(s, 2, "k");
  auto due = s.next(start);
  REQUIRE(due.size() == 1);
  CHECK(s.group(due[0]).key.empty());
  CHECK(s.group(due[0]).calls == ids{1, 2});
}

TEST_CASE("a call whose client is gone before its write is forgotten, one in a write is not") {
  collect_state s{false, 1};
  add(s, 1, {}, start + 1s);
  auto first = s.next(start);
  add(s, 2, {}, start + 1s);
  add(s, 3, {}, start + 9s);
  CHECK(s.take_late(start + 2s) == ids{2});
  CHECK(s.on_stored(first[0], {}, start + 2s).stored == ids{1});
  auto second = s.next(start + 2s);
  CHECK(s.group(second.at(0)).calls == ids{3});
}

TEST_CASE("a group keeps the bounds of one transaction, and a result above them goes alone") {
  collect_state s{false, 1};
  const std::string big(limits::block_size_bytes_max / 2 + 1, 'x');
  s.add(1, results_of({big}), {}, start + 1h);
  s.add(2, results_of({big}), {}, start + 1h);
  s.add(3, results_of({big + big + big}), {}, start + 1h);
  for (std::uint64_t call = 1; call <= 3; ++call) {
    auto due = s.next(start);
    REQUIRE(due.size() == 1);
    CHECK(s.group(due[0]).calls == ids{call});
    s.on_stored(due[0], {}, start);
  }
  CHECK(s.empty());
}

TEST_CASE("whatever fails and in whatever order, every call is told exactly once") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random{seed};
    collect_state s{seed % 2 == 0, seed};
    std::set<std::uint64_t> told;
    auto tell = [&](const ids& calls) {
      for (auto id : calls)
        CHECK(told.insert(id).second);
    };
    std::vector<std::uint64_t> out;
    std::uint64_t calls = 0;
    auto now = start;
    for (int i = 0; i < 300 || !s.empty(); ++i) {
      if (i < 300 && random() % 2 == 0) {
        ++calls;
        add(s, calls, random() % 4 == 0 ? "k" + std::to_string(calls) : "", now + (random() % 20) * 100ms);
      }
      for (auto id : s.next(now))
        out.push_back(id);
      if (!out.empty() && random() % 2 == 0) {
        std::swap(out.back(), out[random() % out.size()]);
        auto id = out.back();
        out.pop_back();
        auto outcome = random() % 3 == 0   ? result<void>{fail(errc::unavailable, "away")}
                       : random() % 7 == 0 ? result<void>{fail(errc::invalid_argument, "no")}
                                           : result<void>{};
        auto what = s.on_stored(id, outcome, now);
        tell(what.stored);
        tell(what.failed);
      }
      tell(s.take_late(now));
      now += 50ms;
    }
    INFO("seed " << seed);
    CHECK(told.size() == calls);
    CHECK(s.size_bytes() == 0);
  }
}

TEST_CASE(
  "it says when nothing can go out before an answer, which a write that is tried again later is not") {
  collect_state s{false, 1};
  add(s, 1);
  CHECK_FALSE(s.is_out());
  const auto out = s.next(start);
  CHECK(s.is_out());
  s.on_stored(out.at(0), fail(errc::unavailable, "away"), start);
  CHECK_FALSE(s.is_out());
  REQUIRE(s.next(start + 5s) == out);
  CHECK(s.is_out());
  s.on_stored(out[0], {}, start + 5s);
  CHECK_FALSE(s.is_out());
}

TEST_CASE("nothing waits for a write with a key") {
  collect_state s{true, 1};
  add(s, 1, "k");
  REQUIRE(s.next(start).size() == 1);
  CHECK_FALSE(s.is_out());
  add(s, 2);
  CHECK(s.next(start).size() == 1);
  CHECK(s.is_out());
}

TEST_CASE("a write without an answer is known as such, is repeated as the same, and its late answer counts") {
  collect_state s{false, 1};
  add(s, 1);
  const auto out = s.next(start);
  REQUIRE(out.size() == 1);
  CHECK(s.unanswered(start + 14s, 15s).empty());
  CHECK(s.unanswered(start + 15s, 15s) == out);
  CHECK(s.on_stored(out[0], fail(errc::timeout, "late"), start + 15s).stored.empty());
  CHECK(s.unanswered(start + 1h, 15s).empty());
  CHECK(s.next(start + 20s) == out);
  CHECK(s.unanswered(start + 21s, 15s).empty());
  CHECK(s.on_stored(out[0], {}, start + 21s).stored == ids{1});
  CHECK(s.on_stored(out[0], {}, start + 22s).stored.empty());
}
