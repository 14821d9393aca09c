#include "actors/replica/replica_policy.hpp"
#include "actors/replica/replica_state.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>

using namespace sluice;
using namespace sluice::replica;
using namespace std::chrono_literals;

namespace {

template <class T>
const T* find(const actions& all) {
  for (const auto& each : all) {
    if (const auto* found = std::get_if<T>(&each))
      return found;
  }
  return nullptr;
}

record_block block(std::uint64_t from, std::uint64_t count) {
  record_block_builder made;
  for (auto seq = from; seq < from + count; ++seq)
    made.add(seq, 0, "x");
  return made.finish();
}

work_done done(std::vector<std::uint64_t> seqs, std::chrono::nanoseconds each = 1us) {
  work_done out;
  record_block_builder results;
  for (auto seq : seqs)
    results.add(seq, 0, "y");
  out.busy = each * static_cast<std::int64_t>(seqs.size());
  out.acks = std::move(seqs);
  out.results = results.finish();
  return out;
}

/// A replica from queue to queue that has just asked for its first block.
struct fixture {
  time_point now{1h};
  state replica{{}};

  fixture() {
    CHECK(find<make_body>(replica.on_spawned(now)));
    CHECK(find<take>(replica.on_body({}, now)));
    CHECK(replica.phase() == replica_phase::running);
  }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "a drain ends the wait for a lease, and gives back what it brings all the same") {
  auto todo = replica.on_drain(now);
  REQUIRE(todo.size() == 2);
  CHECK(std::get_if<withdraw>(&todo[0]) != nullptr);
  CHECK(std::get<release>(todo[1]).seqs.empty()); // whatever it holds
  CHECK(replica.on_withdrawn({}, now).empty());
  CHECK(replica.phase() == replica_phase::draining);
  todo = replica.on_taken(block(1, 3), false, now);
  REQUIRE(todo.size() == 1);
  CHECK(std::get<release>(todo[0]).seqs == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(replica.on_released(false, true, now).empty());
  CHECK(find<tear_down>(replica.on_released(true, true, now)));
  CHECK(find<finish>(replica.on_torn_down({}, now)));
  CHECK(replica.phase() == replica_phase::down);
  CHECK(replica.in_hand() == 0);
}

TEST_CASE_FIXTURE(fixture,
                  "a release that cannot be made is tried three times, then left to the end of the leases") {
  CHECK(find<release>(replica.on_drain(now)));
  for (int i = 0; i < 2; ++i) {
    CHECK(replica.on_released(true, false, now).empty());
    now += 10s;
    CHECK(find<release>(replica.on_tick(now)));
  }
  CHECK(find<tear_down>(replica.on_released(true, false, now)));
}

TEST_CASE_FIXTURE(fixture, "a second drain and a late answer do nothing") {
  replica.on_drain(now);
  CHECK(replica.on_drain(now).empty());
  CHECK(replica.on_pushed(99, {}, now).empty());
  CHECK(replica.on_committed(99, {}, now).empty());
  CHECK(replica.on_cursor_checked(99, {}, now).empty());
}

TEST_CASE_FIXTURE(fixture, "two commits travel at once, the rest waits and goes together") {
  replica.on_taken(block(1, 1), false, now);
  replica.on_taken(block(2, 8), false, now);
  CHECK(find<commit>(replica.on_done(done({1}), now))->group == 1);
  CHECK(find<commit>(replica.on_done(done({2}), now))->group == 2);
  CHECK_FALSE(find<commit>(replica.on_done(done({3, 4}), now)));
  CHECK_FALSE(find<commit>(replica.on_done(done({5}), now)));
  const auto next = replica.on_committed(1, std::vector<std::uint64_t>{}, now);
  REQUIRE(find<commit>(next));
  CHECK(replica.group(3).content.acks == std::vector<std::uint64_t>{3, 4, 5});
  CHECK(find<settled>(next)->results_bytes == 17);
}

TEST_CASE_FIXTURE(fixture, "a repeated commit has the content of the first") {
  replica.on_taken(block(1, 1), false, now);
  replica.on_taken(block(2, 8), false, now);
  replica.on_done(done({1}), now);
  CHECK_FALSE(find<commit>(replica.on_committed(1, fail(errc::timeout, "late"), now)));
  replica.on_done(done({2}), now);
  now += 1s;
  const auto again = replica.on_tick(now);
  CHECK(find<commit>(again)->group == 1);
  CHECK(replica.group(1).content.acks == std::vector<std::uint64_t>{1});
  CHECK(replica.last_error() == "late");
}

TEST_CASE_FIXTURE(fixture, "what did not work for a while is no error any more once it works") {
  const auto no_link = failure{errc::unavailable, "there is no link to the other process at the moment"};
  replica.on_taken(tl::unexpected{no_link}, false, now);
  CHECK(replica.last_error() == no_link.message);
  replica.on_tick(now += 10s);
  replica.on_taken(block(1, 1), false, now);
  CHECK(replica.last_error().empty());
  replica.on_done(done({1}), now);
  replica.on_committed(1, tl::unexpected{no_link}, now);
  CHECK(replica.last_error() == no_link.message);
  CHECK(find<commit>(replica.on_tick(now += 10s)));
  replica.on_committed(1, std::vector<std::uint64_t>{}, now);
  CHECK(replica.last_error().empty());
}

TEST_CASE_FIXTURE(fixture, "a commit that is stale as a whole is dropped and counted, failures too") {
  replica.on_taken(block(1, 1), false, now);
  replica.on_taken(block(2, 8), false, now);
  auto chunk = done({1, 2});
  chunk.nacks.push_back({3, "no", true});
  replica.on_done(std::move(chunk), now);
  CHECK(replica.in_hand() == 9);
  replica.on_committed(1, fail(errc::stale, "opened anew"), now);
  CHECK(replica.in_hand() == 6);
  CHECK(replica.stale_total() == 3);
  CHECK(replica.processed_total() == 0);
  CHECK(replica.failed_total() == 1);
}

TEST_CASE_FIXTURE(fixture, "some stale records of a commit do not count as processed") {
  replica.on_taken(block(1, 1), false, now);
  replica.on_taken(block(2, 8), false, now);
  replica.on_done(done({1, 2, 3}), now);
  replica.on_committed(1, std::vector<std::uint64_t>{3, 1}, now);
  CHECK(replica.processed_total() == 1);
  CHECK(replica.stale_total() == 2);
}

TEST_CASE_FIXTURE(fixture, "an empty answer that came at once is not followed by the next question at once") {
  CHECK_FALSE(find<take>(replica.on_taken(record_block{}, false, now)));
  CHECK_FALSE(find<take>(replica.on_tick(now + 40ms)));
  CHECK(find<take>(replica.on_tick(now + 60ms)));
  CHECK(find<take>(replica.on_taken(record_block{}, false, now + 560ms))); // the queue has waited
}

TEST_CASE("a refused lease is no lost answer: nothing has to be given back") {
  fixture here;
  here.replica.on_taken(fail(errc::overloaded, "too many wait"), false, here.now);
  here.now += 10s;
  CHECK(find<take>(here.replica.on_tick(here.now)));
  here.replica.on_taken(fail(errc::timeout, "late"), false, here.now);
  here.now += 10s;
  const auto todo = here.replica.on_tick(here.now);
  CHECK(find<release>(todo));
  CHECK_FALSE(find<take>(todo));
  CHECK(find<take>(here.replica.on_released(true, true, here.now)));
}

TEST_CASE("large records of a file are not read on while the sink is away, and are once they are settled") {
  time_point now{1h};
  state_options opts;
  opts.source = source_kind::position;
  opts.sink = sink_kind::port;
  state replica{opts};
  replica.on_spawned(now);
  replica.on_body({}, now);
  replica.on_sink_open({}, now);
  replica.on_cursor(std::string{}, now);
  auto todo = replica.on_source_open({}, now);
  std::uint64_t seq = 0;
  std::vector<std::uint64_t> pushed;
  const auto is_asked = [&](const actions& all) {
    for (const auto& each : all)
      if (const auto* one = std::get_if<push>(&each))
        pushed.push_back(one->group);
    return find<take>(all) != nullptr;
  };
  bool asked = is_asked(todo);
  for (int i = 0; i < 100 && asked; ++i) {
    record_block_builder made;
    made.add(++seq, 0, std::string(limits::block_size_bytes_max, 'x'));
    asked = is_asked(replica.on_taken(made.finish(), false, now));
    asked = is_asked(replica.on_done(done({seq}), now)) || asked;
    for (auto group : std::exchange(pushed, {}))
      asked = is_asked(replica.on_pushed(group, fail(errc::unavailable, "down"), now)) || asked;
  }
  CHECK(seq == blocks_in_hand_max);
  std::uint64_t settled_count = 0;
  for (int i = 0; i < 100 && settled_count < seq; ++i) {
    now += 10s;
    asked = is_asked(replica.on_tick(now)) || asked;
    for (auto group : std::exchange(pushed, {})) {
      todo = replica.on_pushed(group, std::vector<queue::nack>{}, now);
      const auto* stored = find<commit>(todo);
      REQUIRE(stored);
      settled_count += replica.group(stored->group).content.count();
      asked = is_asked(replica.on_committed(stored->group, std::vector<std::uint64_t>{}, now)) || asked;
    }
  }
  CHECK(settled_count == seq);
  CHECK(asked);
}

TEST_CASE("failures that time can mend are told from those it cannot") {
  for (auto code : {errc::unavailable, errc::timeout, errc::overloaded, errc::internal, errc::shutting_down})
    CHECK(is_transient(code));
  for (auto code : {errc::invalid_argument, errc::not_found, errc::unsupported, errc::permission_denied})
    CHECK_FALSE(is_transient(code));
}

TEST_CASE_FIXTURE(fixture,
                  "a drain gives back what user code does not return, and does not tear down under it") {
  CHECK(find<submit>(replica.on_taken(block(1, 3), false, now)));
  replica.on_drain(now);
  replica.on_withdrawn({3}, now);
  now += limits::drain_timeout - 1ms;
  CHECK_FALSE(find<release>(replica.on_tick(now)));
  now += 1ms;
  auto todo = replica.on_tick(now);
  REQUIRE(find<release>(todo));
  CHECK(find<release>(todo)->seqs.empty());                   // all
  CHECK_FALSE(find<commit>(replica.on_done(done({1}), now))); // too late
  todo = replica.on_released(true, true, now);
  CHECK(find<finish>(todo));
  CHECK_FALSE(find<tear_down>(todo));
  CHECK(replica.phase() == replica_phase::down);
  CHECK(replica.last_error().find("2 records") != std::string::npos);
}

TEST_CASE("a sink that takes nothing any more ends the replica, and what it has goes back") {
  time_point now{1h};
  state_options opts;
  opts.sink = sink_kind::port;
  state replica{opts};
  replica.on_spawned(now);
  replica.on_body({}, now);
  replica.on_sink_open({}, now);
  replica.on_taken(block(1, 2), false, now);
  REQUIRE(find<push>(replica.on_done(done({1, 2}), now)));
  CHECK(find<release>(replica.on_pushed(1, fail(errc::not_found, "stdout: Broken pipe"), now)));
  CHECK(find<tear_down>(replica.on_released(true, true, now)));
  CHECK(find<finish>(replica.on_torn_down({}, now)));
  CHECK(replica.phase() == replica_phase::failed);
  CHECK(replica.last_error() == "stdout: Broken pipe");
}

// Goal: nobody waits half a minute for a full disk, and why nothing was written is still said in the end.
TEST_CASE("a drain has a sink that fails try again a few times, then gives back what it does not take") {
  time_point now{1h};
  state_options opts;
  opts.sink = sink_kind::port;
  state replica{opts};
  const auto no_space = fail(errc::unavailable, "no space");
  replica.on_spawned(now);
  replica.on_body({}, now);
  replica.on_sink_open({}, now);
  replica.on_taken(block(1, 2), false, now);
  auto todo = replica.on_done(done({1, 2}), now);
  CHECK_FALSE(replica.is_retrying());
  const auto try_for = [&](std::chrono::seconds how_long) {
    int pushes = 0;
    for (const auto end = now + how_long; (now < end || find<push>(todo)) && !find<release>(todo);)
      if (find<push>(todo)) {
        ++pushes;
        todo = replica.on_pushed(1, no_space, now);
      } else {
        now += 50ms;
        todo = replica.on_tick(now);
      }
    return pushes;
  };
  CHECK(try_for(60s) > 10);
  CHECK(replica.is_retrying());
  todo = replica.on_drain(now);
  const auto began = now;
  CHECK(try_for(60s) == drain_push_tries_max);
  CHECK(now - began < 3s);
  REQUIRE(find<release>(todo));
  CHECK(find<tear_down>(replica.on_released(true, true, now)));
  CHECK(find<finish>(replica.on_torn_down({}, now)));
  CHECK(replica.phase() == replica_phase::down);
  CHECK_FALSE(replica.is_retrying());
  CHECK(replica.last_error() == "no space; 2 records are not settled and will be handed out again");
}

TEST_CASE("a drain does not wait for ever for a sink that takes nothing, a setup or a teardown") {
  time_point now{1h};
  state_options opts;
  opts.sink = sink_kind::port;
  opts.drain_max = 5s;
  state replica{opts};
  replica.on_spawned(now);
  SUBCASE("sink") {
    replica.on_body({}, now);
    replica.on_sink_open({}, now);
    replica.on_taken(block(1, 2), false, now);
    REQUIRE(find<push>(replica.on_done(done({1, 2}), now)));
    replica.on_drain(now);
    CHECK_FALSE(find<release>(replica.on_tick(now + 4s)));
    CHECK(find<release>(replica.on_tick(now + 5s)));
    replica.on_pushed(1, std::vector<queue::nack>{}, now); // too late
    CHECK(find<tear_down>(replica.on_released(true, true, now)));
    CHECK(find<finish>(replica.on_torn_down({}, now)));
  }
  SUBCASE("setup") {
    replica.on_drain(now);
    CHECK_FALSE(find<finish>(replica.on_tick(now + 4s)));
    CHECK(find<finish>(replica.on_tick(now + 5s)));
  }
  SUBCASE("setup, whatever its timeout") {
    opts.drain_max = 300s;
    replica = state{opts};
    replica.on_spawned(now);
    replica.on_drain(now);
    CHECK_FALSE(find<finish>(replica.on_tick(now + 9s)));
    CHECK(find<finish>(replica.on_tick(now + 10s)));
  }
  SUBCASE("teardown") {
    replica.on_body({}, now);
    replica.on_sink_open({}, now);
    replica.on_taken(block(1, 0), false, now);
    replica.on_drain(now);
    replica.on_withdrawn({}, now);
    REQUIRE(find<tear_down>(replica.on_released(true, true, now)));
    CHECK_FALSE(find<finish>(replica.on_tick(now + 9s)));
    CHECK(find<finish>(replica.on_tick(now + 10s)));
  }
  CHECK(replica.phase() == replica_phase::down);
}
