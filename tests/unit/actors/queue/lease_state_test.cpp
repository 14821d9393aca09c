#include "actors/queue/lease_state.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

using namespace sluice;
using namespace sluice::queue;
using namespace std::chrono_literals;
using numbers = std::vector<std::uint64_t>;
using ranges = std::vector<seq_range>;

namespace {

const time_point start{1000h};
const wall_time wall{1h};
const jitter_source full = [] { return 1.0; };

owner_id owner(std::uint64_t replica) {
  return {node_id{"n"}, host_id{1 + replica / 2}, replica_id{replica}};
}

lease_terms terms(std::uint64_t replica, std::uint32_t attempts_max = 5) {
  return {owner(replica), {flow_name{"f"}, processor_name{"p"}}, attempts_max};
}

run run_of(std::uint64_t first, std::uint64_t last, std::uint32_t attempts = 0) {
  return {{first, last}, attempts, wall};
}

ranges held_by(const lease_state& state, const owner_id& who) {
  ranges out;
  for (const auto& [where, by] : state.leases_for_test())
    if (by == who)
      out.push_back(where);
  return out;
}

/// Gives the payloads a store would find.
std::size_t fetch_all(lease_state& state, time_point now) {
  auto seqs = state.fetch(now, 1000);
  record_block_builder records;
  for (auto seq : seqs)
    records.add(seq, 0, "p" + std::to_string(seq));
  state.fetched(seqs, {records.finish()}, seqs.empty() ? 0 : seqs.back(), now);
  return seqs.size();
}

} // namespace

TEST_CASE("who holds all of some records is told apart from who holds a part of them") {
  lease_state state;
  state.grant(terms(1), {run_of(1, 5), run_of(7, 9)}, start);
  state.grant(terms(2), {run_of(6, 6)}, start);
  state.grant(terms(1, 9), {run_of(10, 12)}, start);
  CHECK(state.holds(owner(1), {1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12}));
  CHECK(state.holds(owner(1), {12, 3}));
  CHECK(state.holds(owner(1), {}));
  CHECK(state.holds(owner(2), {6}));
  CHECK_FALSE(state.holds(owner(1), {5, 6, 7}));
  CHECK_FALSE(state.holds(owner(2), {6, 7}));
  CHECK_FALSE(state.holds(owner(1), {13}));
}

TEST_CASE("back-off doubles from its minimum to its maximum and jitter only shortens it") {
  CHECK(retry_delay(1, 1.0) == limits::retry_delay_min);
  CHECK(retry_delay(2, 1.0) == 2 * limits::retry_delay_min);
  CHECK(retry_delay(8, 1.0) == 128 * limits::retry_delay_min);
  CHECK(retry_delay(9, 1.0) == limits::retry_delay_max);
  CHECK(retry_delay(4'000'000'000U, 1.0) == limits::retry_delay_max);
  CHECK(retry_delay(0, 1.0) == limits::retry_delay_min);
  CHECK(retry_delay(3, 0.5) == 2 * limits::retry_delay_min);
  CHECK(retry_delay(3, 0.0) == 0ns);
  CHECK(retry_delay(3, 7.0) == 4 * limits::retry_delay_min);
}

TEST_CASE("seqs are sorted and joined to ranges") {
  CHECK(to_ranges({}).empty());
  CHECK(to_ranges({3}) == ranges{{3, 3}});
  CHECK(to_ranges({5, 1, 2, 3, 9, 8, 2}) == ranges{{1, 3}, {5, 5}, {8, 9}});
  auto some = to_ranges({1, 2, 3, 7, 9, 10});
  CHECK(contains(some, 1));
  CHECK(contains(some, 3));
  CHECK_FALSE(contains(some, 4));
  CHECK(contains(some, 7));
  CHECK_FALSE(contains(some, 8));
  CHECK(contains(some, 10));
  CHECK_FALSE(contains(some, 11));
  CHECK_FALSE(contains(some, 0));
  CHECK_FALSE(contains({}, 1));
}

TEST_CASE("empty members of an owner match all") {
  CHECK(matches({}, owner(1)));
  CHECK(matches({node_id{"n"}, {}, {}}, owner(1)));
  CHECK_FALSE(matches({node_id{"m"}, {}, {}}, owner(1)));
  CHECK(matches({node_id{"n"}, host_id{1}, {}}, owner(1)));
  CHECK_FALSE(matches({node_id{"n"}, host_id{9}, {}}, owner(1)));
  CHECK_FALSE(matches({node_id{"n"}, host_id{1}, replica_id{2}}, owner(1)));
}

TEST_CASE("settling part of a lease leaves the rest leased, as often as one likes") {
  lease_state state;
  state.grant(terms(1), {run_of(1, 10)}, start);
  auto middle = state.begin_settle(owner(1), {4, 5, 6}, {}, 5);
  CHECK(middle.acked == ranges{{4, 6}});
  CHECK(held_by(state, owner(1)) == ranges{{1, 3}, {7, 10}});
  CHECK(state.leased_count() == 10);
  state.settled(middle, start, full);
  CHECK(state.leased_count() == 7);
  auto ends = state.begin_settle(owner(1), {10, 1}, {}, 5);
  CHECK(ends.acked == ranges{{1, 1}, {10, 10}});
  state.unsettle(ends, start);
  CHECK(held_by(state, owner(1)) == ranges{{1, 1}, {2, 3}, {7, 9}, {10, 10}});
  auto all = state.begin_settle(owner(1), {1, 2, 3, 7, 8, 9, 10}, {}, 5);
  CHECK(all.acked == ranges{{1, 3}, {7, 10}});
  CHECK(all.stale.empty());
  state.settled(all, start, full);
  CHECK(state.leased_count() == 0);
  CHECK_FALSE(state.oldest());
}

TEST_CASE("who does not hold a record cannot settle it, and hears which") {
  lease_state state;
  state.grant(terms(1), {run_of(1, 4)}, start);
  state.grant(terms(2), {run_of(5, 8)}, start);
  auto verdict = state.begin_settle(owner(1), {3, 4, 5, 6, 20}, {{7, "x", true}, {4, "both", true}}, 5);
  CHECK(verdict.acked == ranges{{3, 4}});
  CHECK(verdict.stale == numbers{4, 5, 6, 7, 20});
  CHECK(verdict.retried.empty());
  CHECK(held_by(state, owner(2)) == ranges{{5, 8}});
}

TEST_CASE("a record under settlement is nobody's to release, expire or settle again") {
  lease_state state;
  state.grant(terms(1), {run_of(1, 2)}, start);
  auto verdict = state.begin_settle(owner(1), {1}, {{2, "x", true}}, 5);
  CHECK(state.begin_settle(owner(1), {1, 2}, {}, 5).stale == numbers{1, 2});
  CHECK(state.release({}, {}, true, "", start, full).count == 0);
  CHECK(state.expire(start + 1h, full).count == 0);
  CHECK(state.leased_count() == 2);
  state.settled(verdict, start, full);
  CHECK(state.leased_count() == 0);
  CHECK(state.delayed_count() == 1);
}

TEST_CASE("a nack retries or buries by attempts and by what the owner says") {
  lease_state state;
  state.grant(terms(1), {run_of(1, 1, 3), run_of(2, 2, 4), run_of(3, 3, 0)}, start);
  auto verdict = state.begin_settle(owner(1), {}, {{1, "a", true}, {2, "b", true}, {3, "c", false}}, 5);
  REQUIRE(verdict.retried.size() == 1);
  CHECK(verdict.retried[0].seq == 1);
  CHECK(verdict.retried[0].attempts == 4);
  REQUIRE(verdict.buried.size() == 2);
  CHECK(verdict.buried[0].seq == 2);
  CHECK(verdict.buried[0].attempts == 5);
  CHECK(verdict.buried[1].attempts == 1);
  CHECK(verdict.buried[1].error == "c");
  state.settled(verdict, start, full);
  CHECK(*state.next_due() == start + retry_delay(4, 1.0));
}

TEST_CASE("a nack that is repeated does not hit the next delivery, whoever has it") {
  lease_state state;
  state.grant(terms(1), {run_of(1, 1, 1)},
              start); // the second delivery of a record that the owner had before
  auto again = state.begin_settle(owner(1), {}, {{1, "a", true, 0}}, 5);
  CHECK(again.stale == numbers{1});
  CHECK(again.retried.empty());
  auto mine = state.begin_settle(owner(1), {}, {{1, "b", true, 1}}, 5);
  REQUIRE(mine.retried.size() == 1);
  CHECK(mine.retried[0].attempts == 2);
}

TEST_CASE("a lease ends after the last renewal, not before, and only its owner's") {
  lease_state state;
  state.grant(terms(1), {run_of(1, 5)}, start);
  state.grant(terms(2), {run_of(6, 7)}, start);
  CHECK(state.renew(owner(1), start + 10s));
  CHECK_FALSE(state.renew(owner(3), start));
  CHECK(*state.next_expiry() == start + limits::lease_visibility);
  auto first = state.expire(start + limits::lease_visibility, full);
  CHECK(first.count == 2);
  CHECK(first.attempts.size() == 1);
  CHECK(first.attempts[0].where == seq_range{6, 7});
  CHECK(state.expire(start + 10s + limits::lease_visibility - 1ns, full).count == 0);
  CHECK(state.expire(start + 10s + limits::lease_visibility, full).count == 5);
  CHECK(state.leased_count() == 0);
  CHECK_FALSE(state.next_expiry());
}

TEST_CASE("a lease granted after a renewal has its full time") {
  lease_state state;
  state.grant(terms(1), {run_of(1, 1)}, start);
  state.renew(owner(1), start + 1s);
  state.grant(terms(1), {run_of(2, 2)}, start + 20s);
  CHECK(state.expire(start + 1s + limits::lease_visibility, full).count == 1);
  CHECK(held_by(state, owner(1)) == ranges{{2, 2}});
}

TEST_CASE("losing an owner buries what has no attempt left and can be undone") {
  lease_state state;
  state.grant(terms(1), {run_of(1, 2, 4), run_of(3, 3, 0)}, start);
  auto lost = state.release(owner(1), {}, true, "killed", start, full);
  CHECK(lost.count == 3);
  REQUIRE(lost.buried.size() == 2);
  CHECK(lost.buried[1].attempts == 5);
  CHECK(lost.buried[1].error == "killed");
  CHECK(lost.attempts.size() == 1);
  CHECK(state.leased_count() == 2);
  CHECK(state.delayed_count() == 1);
  state.unbury(lost, start);
  CHECK(state.leased_count() == 0);
  CHECK(state.delayed_count() == 3);
}

TEST_CASE("retries are granted once they are due and fetched, in order, within limits") {
  lease_state state;
  state.grant(terms(1), {run_of(1, 4)}, start);
  auto verdict =
    state.begin_settle(owner(1), {}, {{4, "", true}, {2, "", true}, {1, "", true}, {3, "", true}}, 5);
  state.settled(verdict, start, full);
  CHECK(state.fetch(start + limits::retry_delay_min - 1ns, 10).empty());
  CHECK(state.fetch(start + limits::retry_delay_min, 3).size() == 3);
  CHECK(state.grant_retries(terms(2), {10, 1000}, start).records.empty());
  state.fetch_failed({1, 2, 3}, start + 5s);
  CHECK(fetch_all(state, start + 1s) == 1);
  CHECK(state.fetch(start + 9s, 10).empty()); // while a fetched one waits for an owner
  CHECK(state.grant_retries(terms(2), {10, 1000}, start).records.count() == 1);
  CHECK(fetch_all(state, start + 5s) == 3);
  auto two = state.grant_retries(terms(2), {2, 1000}, start);
  CHECK(two.runs == std::vector<run>{run_of(1, 2, 1)});
  auto by_size = state.grant_retries(terms(2), {10, 1}, start);
  CHECK(by_size.records.count() == 1);
  CHECK(held_by(state, owner(2)) == ranges{{1, 1}, {2, 2}, {3, 3}, {4, 4}});
}

TEST_CASE("a retry whose record is gone from the store is given up") {
  lease_state state;
  state.grant(terms(1), {run_of(1, 3)}, start);
  state.release(owner(1), {}, false, "", start, full);
  auto seqs = state.fetch(start, 10);
  record_block_builder found;
  found.add(1, 0, "a");
  CHECK(state.fetched(seqs, {found.finish()}, 2, start) == 1);
  CHECK(state.delayed_count() == 2); // 1 is fetched, 3 was not looked at yet
  CHECK_FALSE(state.next_due());     // while a fetched one waits for an owner
  state.grant_retries(terms(2), {1, 100}, start);
  CHECK(*state.next_due() == start);
}

TEST_CASE("purged retries stay away even if their payload arrives later") {
  lease_state state;
  state.grant(terms(1), {run_of(1, 2)}, start);
  state.release(owner(1), {}, false, "", start, full);
  auto seqs = state.fetch(start, 10);
  auto purged = state.take_delayed();
  CHECK(purged == std::vector<run>{run_of(1, 2)});
  record_block_builder late;
  late.add(1, 0, "a");
  CHECK(state.fetched(seqs, {late.finish()}, 2, start) == 0);
  CHECK_FALSE(state.has_fetched());
  state.put_delayed(purged, start);
  CHECK(state.delayed_count() == 2);
  CHECK(fetch_all(state, start) == 2);
}

TEST_CASE("checks of leases long settled do not pile up") {
  lease_state state;
  for (std::uint64_t seq = 1; seq < 50'000; seq += 10) {
    state.grant(terms(1), {run_of(seq, seq + 9)}, start);
    numbers all;
    for (std::uint64_t i = 0; i < 10; ++i)
      all.push_back(seq + i);
    state.settled(state.begin_settle(owner(1), all, {}, 5), start, full);
  }
  CHECK(state.check_count_for_test() < 2000);
}

// Goal: whatever happens in whatever order, a record has one place and one owner.
// The model below keeps one entry per record and none of the ranges.
namespace {

struct model {
  enum class place { ready, leased, settling, delayed, gone };
  struct record {
    place at = place::ready;
    std::uint64_t owner = 0;
    std::uint32_t attempts = 0;
    std::uint32_t attempts_max = 0;
    time_point granted;
    time_point due;
  };
  std::map<std::uint64_t, record> records;
  std::map<std::pair<std::uint64_t, std::uint32_t>, time_point> renewed;

  time_point deadline(const record& one) {
    return std::max(one.granted, renewed[{one.owner, one.attempts_max}]) + limits::lease_visibility;
  }
  std::size_t count(place at) const {
    return static_cast<std::size_t>(
      std::count_if(records.begin(), records.end(), [&](const auto& one) { return one.second.at == at; }));
  }
};

struct lease_model_test {
  explicit lease_model_test(unsigned seed) : random(seed) {
    for (std::uint64_t seq = 1; seq <= 80; ++seq)
      expected.records[seq] = {};
  }

  std::uint64_t pick(std::uint64_t below) { return random() % below; }

  void grant() {
    auto who = pick(4);
    auto attempts_max = static_cast<std::uint32_t>(2 + pick(2));
    std::vector<run> runs;
    auto from = 1 + pick(80);
    auto left = 1 + pick(12);
    for (auto it = expected.records.lower_bound(from); it != expected.records.end() && left > 0; ++it) {
      if (it->second.at != model::place::ready)
        continue;
      extend(runs, it->first, it->second.attempts, wall);
      it->second = {model::place::leased, who, it->second.attempts, attempts_max, now, {}};
      --left;
    }
    forget_renewals();
    state.grant(terms(who, attempts_max), runs, now);
  }

  /// A renewal counts for leases that exist; the next lease on the same terms starts anew.
  void forget_renewals() {
    std::erase_if(expected.renewed, [&](const auto& one) {
      return std::none_of(expected.records.begin(), expected.records.end(), [&](const auto& record) {
        return record.second.at == model::place::leased && record.second.owner == one.first.first
               && record.second.attempts_max == one.first.second;
      });
    });
  }

  void grant_retries() {
    fetch_all(state, now);
    auto who = pick(4);
    auto got = state.grant_retries(terms(who, 3), {1 + pick(5), 1000}, now);
    for (auto record : got.records) {
      auto& one = expected.records.at(record.seq);
      REQUIRE(one.at == model::place::delayed);
      REQUIRE(one.due <= now);
      REQUIRE(one.attempts == record.attempts);
      one = {model::place::leased, who, one.attempts, 3, now, {}};
    }
  }

  void settle() {
    auto who = pick(4);
    numbers acks;
    std::vector<nack> nacks;
    for (auto& [seq, one] : expected.records) {
      auto dice = pick(12);
      if (dice < 3)
        acks.push_back(seq);
      else if (dice == 3)
        nacks.push_back({seq, "e", pick(4) != 0});
    }
    std::shuffle(acks.begin(), acks.end(), random);
    auto verdict = state.begin_settle(owner(who), acks, nacks, 3);
    numbers stale;
    std::set<std::uint64_t> acked;
    auto is_mine = [&](std::uint64_t seq) {
      const auto& one = expected.records.at(seq);
      return one.at == model::place::leased && one.owner == who;
    };
    for (auto seq : acks)
      is_mine(seq) ? void(acked.insert(seq)) : stale.push_back(seq);
    std::map<std::uint64_t, std::uint32_t> retried;
    std::set<std::uint64_t> buried;
    for (const auto& nack : nacks) {
      if (!is_mine(nack.seq)) {
        stale.push_back(nack.seq);
        continue;
      }
      auto attempts = expected.records.at(nack.seq).attempts + 1;
      if (nack.retry && attempts < 3)
        retried[nack.seq] = attempts;
      else
        buried.insert(nack.seq);
    }
    std::sort(stale.begin(), stale.end());
    REQUIRE(verdict.stale == stale);
    REQUIRE(verdict.acked == to_ranges({acked.begin(), acked.end()}));
    REQUIRE(verdict.retried.size() == retried.size());
    REQUIRE(verdict.buried.size() == buried.size());
    for (auto seq : acked)
      expected.records.at(seq).at = model::place::settling;
    for (const auto& [seq, attempts] : retried)
      expected.records.at(seq).at = model::place::settling;
    for (auto seq : buried)
      expected.records.at(seq).at = model::place::settling;
    under_way.push_back({std::move(verdict), std::move(acked), std::move(retried), std::move(buried)});
  }

  void land(bool success) {
    if (under_way.empty())
      return;
    auto done = std::move(under_way.front());
    under_way.erase(under_way.begin());
    auto all = done.acked;
    for (const auto& [seq, attempts] : done.retried)
      all.insert(seq);
    all.insert(done.buried.begin(), done.buried.end());
    if (!success) {
      state.unsettle(done.verdict, now);
      for (auto seq : all) {
        expected.records.at(seq).at = model::place::leased;
        expected.records.at(seq).granted = now;
      }
      return;
    }
    state.settled(done.verdict, now, full);
    for (auto seq : all)
      expected.records.at(seq).at = model::place::gone;
    for (const auto& [seq, attempts] : done.retried)
      expected.records.at(seq) = {model::place::delayed,           0, attempts, 0, {},
                                  now + retry_delay(attempts, 1.0)};
  }

  void give_back(const lease_state::given_back& change, auto is_meant, bool failed) {
    std::size_t count = 0;
    for (auto& [seq, one] : expected.records) {
      if (one.at != model::place::leased || !is_meant(one))
        continue;
      ++count;
      auto attempts = one.attempts + (failed ? 1 : 0);
      auto due = failed ? now + retry_delay(attempts, 1.0) : now;
      auto dead = failed && attempts >= one.attempts_max;
      one = {dead ? model::place::gone : model::place::delayed, 0, attempts, 0, {}, due};
    }
    REQUIRE(change.count == count);
    state.buried(change);
  }

  void release() {
    auto failed = pick(2) == 0;
    auto pattern = pick(2) == 0 ? owner(pick(4)) : owner_id{{}, host_id{1 + pick(2)}, {}};
    auto change = state.release(pattern, {}, failed, "", now, full);
    give_back(
      change, [&](const model::record& one) { return matches(pattern, owner(one.owner)); }, failed);
  }

  void expire() {
    auto change = state.expire(now, full);
    give_back(
      change, [&](const model::record& one) { return expected.deadline(one) <= now; }, true);
  }

  void renew() {
    auto who = pick(4);
    state.renew(owner(who), now);
    for (auto attempts_max : {2U, 3U})
      expected.renewed[{who, attempts_max}] = now;
    forget_renewals();
  }

  void compare() {
    forget_renewals();
    std::map<std::uint64_t, owner_id> held;
    for (const auto& [where, by] : state.leases_for_test())
      for (auto seq = where.first; seq <= where.last; ++seq)
        REQUIRE(held.emplace(seq, by).second); // never two owners
    for (const auto& [seq, one] : expected.records) {
      REQUIRE((one.at == model::place::leased) == held.contains(seq));
      if (one.at == model::place::leased)
        REQUIRE(held.at(seq) == owner(one.owner));
    }
    REQUIRE(state.leased_count()
            == expected.count(model::place::leased) + expected.count(model::place::settling));
    REQUIRE(state.delayed_count() == expected.count(model::place::delayed));
  }

  void step() {
    switch (pick(10)) {
    case 0:
    case 1:
      grant();
      break;
    case 2:
      grant_retries();
      break;
    case 3:
    case 4:
      settle();
      break;
    case 5:
    case 6:
      land(pick(4) != 0);
      break;
    case 7:
      release();
      break;
    case 8:
      pick(2) == 0 ? renew() : expire();
      break;
    default:
      now += std::chrono::milliseconds{pick(12'000)};
    }
    compare();
  }

  struct settling {
    lease_state::verdict verdict;
    std::set<std::uint64_t> acked;
    std::map<std::uint64_t, std::uint32_t> retried;
    std::set<std::uint64_t> buried;
  };

  std::mt19937 random;
  lease_state state;
  model expected;
  time_point now = start;
  std::vector<settling> under_way;
};

} // namespace

TEST_CASE("a record has one place and one owner, whatever happens in whatever order") {
  for (unsigned seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    lease_model_test test{seed};
    for (int i = 0; i < 150; ++i)
      test.step();
  }
}
