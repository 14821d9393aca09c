// Goal: replicas that share a batch through the queues, and die at any moment, count each split exactly once.
#include "actors/batch/batch_state.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::batch;
using namespace std::chrono_literals;

namespace {

/// What replicas share: the stored job and the queue of splits. As the real ones behave.
struct shared_store {
  std::string stored;
  struct record {
    std::uint64_t seq;
    std::string text;
    std::uint32_t attempts = 0;
    int owner = 0; ///< 0 = none
  };
  std::vector<record> splits;
  std::vector<record> source; ///< records of a queue
  std::uint64_t seq_last = 0;
  std::vector<std::string> sink; ///< results, as a queue

  result<void> commit(const store_job& what, int owner) {
    const auto is_taken = [&](const record& each) {
      return std::find(what.taken.begin(), what.taken.end(), each.seq) != what.taken.end();
    };
    const auto held = std::count_if(source.begin(), source.end(), [&](const record& each) {
      return each.owner == owner && is_taken(each);
    });
    if (static_cast<std::size_t>(held) != what.taken.size())
      return fail(errc::conflict, "no longer leased");
    if (stored != what.expected)
      return fail(errc::stale, "moved");
    std::erase_if(source, is_taken);
    stored = to_text(what.next);
    for (const auto& each : what.splits)
      splits.push_back({++seq_last, to_text(each)});
    for (const auto& block : what.results)
      for (auto record : block)
        sink.emplace_back(record.payload);
    return {};
  }
  record_block pull(int owner, std::uint32_t count) {
    record_block_builder out;
    for (auto& each : source)
      if (each.owner == 0 && out.count() < count) {
        each.owner = owner;
        out.add(each.seq, each.attempts, each.text);
      }
    return out.finish();
  }
  std::vector<leased_split> lease(int owner, std::uint32_t count) {
    std::vector<leased_split> out;
    for (auto& each : splits)
      if (each.owner == 0 && out.size() < count) {
        each.owner = owner;
        out.push_back({each.seq, each.attempts, each.text});
      }
    return out;
  }
  bool settle(int owner, const settle_splits& what) {
    std::size_t gone = 0;
    for (auto seq : what.acks)
      gone +=
        std::erase_if(splits, [&](const record& each) { return each.seq == seq && each.owner == owner; });
    for (const auto& nack : what.nacks)
      for (auto& each : splits)
        if (each.seq == nack.first && each.owner == owner) {
          each.owner = 0;
          ++each.attempts;
        }
    return gone == what.acks.size();
  }
  void give_back(int owner) {
    for (auto& each : source)
      if (each.owner == owner)
        each.owner = 0;
  }
  void release(int owner) {
    give_back(owner);
    for (auto& each : splits)
      if (each.owner == owner)
        each.owner = 0;
  }
};

struct world;

/// One replica and what was asked of the outside and is not answered yet.
struct replica_under_test {
  replica_under_test(world& where, int id, const state_options& opts);
  void take(actions todo) {
    for (auto& each : todo)
      asked.push_back(std::move(each));
  }
  /// Answers one request. `is_lost`: it was carried out, and the answer says that nobody knows.
  void answer(std::size_t index, bool is_lost);
  void tick();
  void drain();

  world& where;
  int id;
  state machine;
  std::deque<action> asked;
  bool ended = false;
  bool stopped = false;
  std::size_t cleaned = 0;
  std::vector<std::uint64_t> runs_cleaned;
};

struct world {
  shared_store store;
  std::vector<std::unique_ptr<replica_under_test>> replicas;
  int id_last = 0;
  time_point now{};
  std::uint32_t split_count = 10;
  source_identity source{1000, 1};
  std::optional<failure> source_fails;
  std::optional<failure> work_fails;
  std::size_t finishes = 0; ///< published
  std::size_t dropped = 0;  ///< put together in vain

  moment at() const {
    return {now,
            1000 + std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count()};
  }

  replica_under_test& add(state_options opts = {.run = 1, .threads = 2, .attempts_max = 5}) {
    replicas.push_back(std::make_unique<replica_under_test>(*this, ++id_last, opts));
    return *replicas.back();
  }
  void kill(std::size_t index) {
    store.release(replicas[index]->id);
    replicas.erase(replicas.begin() + static_cast<std::ptrdiff_t>(index));
  }
  job stored() const { return job_from_text(store.stored).value(); }

  /// Answers and ticks until all replicas say that the batch has ended.
  void run_to_end() {
    for (int step = 0; step < 10000; ++step) {
      if (std::all_of(replicas.begin(), replicas.end(),
                      [](const auto& each) { return each->machine.exhausted(); }))
        return;
      now += 100ms;
      for (auto& each : replicas) {
        while (!each->asked.empty())
          each->answer(0, false);
        each->tick();
      }
    }
    std::string waiting;
    for (const auto& each : store.splits)
      waiting += each.text.substr(0, each.text.find('\n')) + " attempts=" + std::to_string(each.attempts)
                 + " owner=" + std::to_string(each.owner) + "; ";
    FAIL("the batch does not end: " << store.stored << " splits: " << waiting
                                    << " last: " << replicas.back()->machine.last_error());
  }
};

replica_under_test::replica_under_test(world& in, int number, const state_options& opts)
  : where(in), id(number), machine(opts) {
  take(machine.on_spawned(where.at()));
}

void replica_under_test::tick() { take(machine.on_tick(where.at())); }
void replica_under_test::drain() { take(machine.on_drain(where.at())); }

void replica_under_test::answer(std::size_t index, bool is_lost) {
  auto one = std::move(asked[index]);
  asked.erase(asked.begin() + static_cast<std::ptrdiff_t>(index));
  const auto at = where.at();
  const auto lost = fail(errc::timeout, "no answer");
  if (std::get_if<make_body>(&one))
    take(machine.on_body({}, at));
  else if (std::get_if<read_job>(&one))
    take(machine.on_job(is_lost ? result<std::string>{lost} : where.store.stored, at));
  else if (auto* look = std::get_if<look_at_source>(&one)) {
    source_plan plan{where.source, look->split_bytes.value_or(100), {}};
    for (std::uint32_t i = 0; i <= where.split_count; ++i)
      plan.borders.push_back(i * 100);
    take(machine.on_source(where.source_fails ? result<source_plan>{tl::unexpect, *where.source_fails} : plan,
                           at));
  } else if (auto* store = std::get_if<store_job>(&one)) {
    const auto outcome = where.store.commit(*store, id);
    take(machine.on_stored(is_lost ? result<void>{lost} : outcome, at));
  } else if (auto* pull = std::get_if<take_records>(&one)) {
    auto some = where.store.pull(id, pull->count_max); // leased also if nobody hears of it
    take(machine.on_records(is_lost ? result<record_block>{lost} : some, at));
  } else if (std::get_if<give_back_records>(&one)) {
    if (!is_lost)
      where.store.give_back(id);
    take(machine.on_given_back(is_lost ? result<void>{lost} : result<void>{}, at));
  } else if (auto* lease = std::get_if<take_splits>(&one)) {
    auto some = where.store.lease(id, lease->count_max);
    take(machine.on_taken(is_lost ? result<std::vector<leased_split>>{lost} : some, at));
  } else if (auto* work = std::get_if<work_on>(&one)) {
    if (where.work_fails)
      return take(machine.on_worked(work->seq, tl::unexpected{*where.work_fails}, at));
    if (stopped)
      return take(machine.on_worked(work->seq, fail(errc::shutting_down, "stopped"), at));
    record_block_builder results;
    for (auto record : work->which.records)
      results.add(record.payload);
    const auto count = results.count();
    if (count == 0)
      results.add(std::to_string(work->which.index));
    take(machine.on_worked(
      work->seq, split_result{{count == 0 ? 10 : count, count == 0 ? 1 : count, 0}, {results.finish()}}, at));
  } else if (auto* join = std::get_if<put_together>(&one)) {
    take(machine.on_joined(join->seq, {}, at));
  } else if (std::get_if<drop_joined>(&one)) {
    ++where.dropped;
  } else if (auto* last = std::get_if<publish>(&one)) {
    ++where.finishes;
    take(machine.on_published(last->seq, finish_outcome{where.split_count, {}}, at));
  } else if (auto* settle = std::get_if<settle_splits>(&one)) {
    const bool ok = where.store.settle(id, *settle);
    take(machine.on_settled(ok && !is_lost, at));
  } else if (std::get_if<release_leases>(&one)) {
    if (!is_lost)
      where.store.release(id);
    take(machine.on_released(is_lost ? result<void>{lost} : result<void>{}, at));
  } else if (std::get_if<stop_work>(&one))
    stopped = true;
  else if (auto* clean = std::get_if<clean_up>(&one)) {
    ++cleaned;
    runs_cleaned.push_back(clean->run);
  } else if (std::get_if<tear_down>(&one))
    take(machine.on_torn_down({}, at));
  else if (std::get_if<finish>(&one))
    ended = true;
}

void check_complete(const world& in) {
  const auto job = in.stored();
  CHECK(job.phase == job_phase::done);
  CHECK(job.totals.records_in == 10 * in.split_count);
  CHECK(job.totals.bytes_in == 100 * in.split_count);
  auto sink = in.store.sink;
  std::sort(sink.begin(), sink.end());
  CHECK(std::adjacent_find(sink.begin(), sink.end()) == sink.end());
  CHECK(sink.size() == in.split_count);
}

} // namespace

TEST_CASE_FIXTURE(world, "one replica plans, works and puts together, then waits to be drained") {
  auto& one = add();
  run_to_end();
  check_complete(*this);
  CHECK(finishes == 1);
  CHECK(one.machine.phase() == replica_phase::running);
  CHECK(one.machine.known()->ended_at_ms >= one.machine.known()->began_at_ms);
  one.drain();
  while (!one.asked.empty())
    one.answer(0, false);
  CHECK(one.ended);
  CHECK(one.machine.phase() == replica_phase::down);
  CHECK(one.cleaned == 1);
  CHECK(store.splits.empty());
}

TEST_CASE_FIXTURE(world,
                  "a drain ends the wait for more splits, and what that brings all the same is not begun") {
  auto& one = add();
  const auto waits = [&] {
    return one.asked.size() == 1 && std::get_if<take_splits>(&one.asked.front()) != nullptr;
  };
  for (int i = 0; i < 100 && !waits(); ++i)
    one.answer(0, false);
  REQUIRE(waits());
  one.drain();
  REQUIRE(one.asked.size() == 2);
  CHECK(std::get_if<release_leases>(&one.asked.back()) != nullptr);
  for (int i = 0; i < 3 && one.asked.size() == 2; ++i)
    one.answer(1, false); // released, torn down, finished
  CHECK(one.ended);
  CHECK(one.machine.phase() == replica_phase::down);
  one.answer(0, false);
  CHECK(one.asked.empty());
}

TEST_CASE_FIXTURE(world,
                  "who was held up while it put the parts together publishes nothing of a run that is over") {
  auto& stale = add();
  const auto begins = [&] {
    return std::find_if(stale.asked.begin(), stale.asked.end(),
                        [](const action& each) { return std::holds_alternative<put_together>(each); });
  };
  for (int i = 0; i < 1000 && begins() == stale.asked.end(); ++i) {
    now += 100ms;
    if (stale.asked.empty())
      stale.tick();
    else
      stale.answer(0, false);
  }
  REQUIRE(begins() != stale.asked.end());
  const auto index = static_cast<std::size_t>(begins() - stale.asked.begin());
  store.release(stale.id); // its lease ends: another one finishes
  SUBCASE("the same run was finished by another one") {
    auto& other = add();
    for (int i = 0; i < 1000 && !other.machine.exhausted(); ++i) {
      now += 100ms;
      if (other.asked.empty())
        other.tick();
      else
        other.answer(0, false);
    }
    REQUIRE(stored().phase == job_phase::done);
    CHECK(finishes == 1);
    stale.answer(index, false);
    run_to_end();
    CHECK(finishes == 1);
  }
  SUBCASE("a newer run has begun") {
    auto other = stored();
    other.run = other.first_run = 2;
    store.stored = to_text(other);
    stale.answer(index, false);
    for (int i = 0; i < 100 && !stale.ended; ++i) {
      now += 100ms;
      while (!stale.asked.empty())
        stale.answer(0, false);
      stale.tick();
    }
    CHECK(stale.ended);
    CHECK(stale.machine.phase() == replica_phase::failed);
    CHECK(finishes == 0);
  }
  SUBCASE("a read of the job that began before proves nothing") {
    now += 10s;
    stale.tick(); // reads
    stale.answer(static_cast<std::size_t>(begins() - stale.asked.begin()), false);
    auto over = stored();
    over.phase = job_phase::done;
    over.ended_at_ms = 1;
    auto read = std::find_if(stale.asked.begin(), stale.asked.end(),
                             [](const action& each) { return std::holds_alternative<read_job>(each); });
    REQUIRE(read != stale.asked.end());
    stale.answer(static_cast<std::size_t>(read - stale.asked.begin()), false); // as it was
    store.stored = to_text(over);
    run_to_end();
    CHECK(finishes == 0);
  }
  CHECK(dropped == 1);
}

TEST_CASE_FIXTURE(world, "an empty source is done at once") {
  split_count = 0;
  add();
  run_to_end();
  check_complete(*this);
}

TEST_CASE_FIXTURE(world, "replicas that answer in any order, lose answers and die, count every split once") {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    world the;
    std::mt19937 random{seed};
    the.split_count = 1 + random() % 30;
    for (unsigned i = 0; i <= random() % 3; ++i)
      the.add();
    for (int step = 0; step < 600; ++step) {
      the.now += std::chrono::milliseconds{random() % 150};
      auto& each = *the.replicas[random() % the.replicas.size()];
      if (random() % 4 == 0)
        each.tick();
      else if (!each.asked.empty())
        each.answer(random() % each.asked.size(), random() % 20 == 0);
      if (random() % 100 == 0) {
        the.kill(random() % the.replicas.size());
        the.add();
      }
      if (random() % 100 == 0)
        the.replicas[random() % the.replicas.size()]->drain();
      for (std::size_t i = 0; i < the.replicas.size(); ++i)
        if (the.replicas[i]->ended) {
          the.kill(i);
          the.add();
        }
    }
    while (!the.replicas.empty())
      the.kill(0);
    the.add();
    the.run_to_end();
    check_complete(the);
  }
}

namespace {

constexpr state_options of_queue(std::uint64_t run) {
  return {.run = run, .threads = 2, .attempts_max = 5, .from_queue = true, .block_bytes = 1u << 20};
}

void fill_source(world& the, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    the.store.source.push_back({++the.store.seq_last, "record " + std::to_string(the.store.seq_last)});
}

/// All that was ever in the source has come out once.
void check_all_out(const world& in, std::size_t count) {
  auto sink = in.store.sink;
  std::sort(sink.begin(), sink.end());
  CHECK(std::adjacent_find(sink.begin(), sink.end()) == sink.end());
  CHECK(sink.size() == count);
  CHECK(in.store.source.empty());
}

} // namespace

TEST_CASE_FIXTURE(world, "a queue is worked off, in splits that begin small, and what comes later stays") {
  fill_source(*this, 100);
  add(of_queue(1));
  add(of_queue(1));
  run_to_end();
  check_all_out(*this, 100);
  CHECK(stored().phase == job_phase::done);
  CHECK(stored().split_count == 5); // 8 + 16 + 24 + 32 + 20
  CHECK(stored().totals.records_in == 100);
  CHECK(stored().totals.bytes_in == stored().source.size_bytes);
  CHECK(finishes == 1);
  fill_source(*this, 1);
  run_to_end();
  CHECK(store.source.size() == 1);
}

TEST_CASE_FIXTURE(world, "records that come to who does not cut any more go back") {
  fill_source(*this, 20);
  auto& one = add(of_queue(1));
  const auto is_pull = [](const action& each) { return std::holds_alternative<take_records>(each); };
  const auto go_on = [&](replica_under_test& who, bool pulls) {
    now += 100ms;
    const auto next =
      pulls ? who.asked.begin() : std::find_if_not(who.asked.begin(), who.asked.end(), is_pull);
    if (next == who.asked.end())
      who.tick();
    else
      who.answer(static_cast<std::size_t>(next - who.asked.begin()), false);
  };
  for (int i = 0; i < 100 && std::none_of(one.asked.begin(), one.asked.end(), is_pull); ++i)
    go_on(one, false);
  store.release(one.id); // its lease has ended
  auto& other = add(of_queue(1));
  for (int i = 0; i < 1000 && (store.stored.empty() || stored().is_open); ++i)
    go_on(other, true);
  REQUIRE_FALSE(stored().is_open);
  for (int i = 0; i < 1000 && one.machine.known()->is_open; ++i)
    go_on(one, false);
  fill_source(*this, 1);
  const auto pull = std::find_if(one.asked.begin(), one.asked.end(), is_pull);
  REQUIRE(pull != one.asked.end());
  one.answer(static_cast<std::size_t>(pull - one.asked.begin()), false);
  run_to_end();
  REQUIRE(store.source.size() == 1);
  CHECK(store.source.front().owner == 0);
}

TEST_CASE_FIXTURE(world, "a queue with nothing in it is done at once, and its sink is left alone") {
  add(of_queue(1));
  run_to_end();
  CHECK(stored().phase == job_phase::done);
  CHECK(finishes == 0);
}

TEST_CASE_FIXTURE(world, "a run that a queue's records outlive passes its job on to the next run") {
  fill_source(*this, 100);
  add(of_queue(1));
  work_fails = failure{errc::invalid_argument, "the record with the number 7 is rejected: unlucky"};
  run_to_end();
  CHECK(stored().phase == job_phase::failed);
  CHECK(store.sink.empty());
  CHECK(replicas[0]->cleaned == 0);
  kill(0);
  work_fails.reset();
  add(of_queue(2));
  run_to_end();
  check_all_out(*this, 100);
  CHECK(stored().phase == job_phase::done);
  CHECK(stored().run == 2);
  CHECK(stored().first_run == 1);
  kill(0);
  fill_source(*this, 10);
  add(of_queue(3));
  run_to_end();
  check_all_out(*this, 110);
  CHECK(stored().first_run == 3);
}

TEST_CASE_FIXTURE(world, "of a queue every record comes out once, whatever is lost and whoever dies") {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    world the;
    std::mt19937 random{seed};
    std::size_t count = random() % 300;
    fill_source(the, count);
    std::uint64_t run = 1;
    for (unsigned i = 0; i <= random() % 3; ++i)
      the.add(of_queue(run));
    for (int step = 0; step < 800; ++step) {
      the.now += std::chrono::milliseconds{random() % 150};
      auto& each = *the.replicas[random() % the.replicas.size()];
      if (random() % 4 == 0)
        each.tick();
      else if (!each.asked.empty())
        each.answer(random() % each.asked.size(), random() % 20 == 0);
      if (random() % 100 == 0) {
        the.kill(random() % the.replicas.size());
        the.add(of_queue(run));
      }
      if (random() % 100 == 0)
        the.replicas[random() % the.replicas.size()]->drain();
      if (random() % 200 == 0)
        ++run; // whoever comes next begins it
      for (std::size_t i = 0; i < the.replicas.size(); ++i)
        if (the.replicas[i]->ended) {
          the.kill(i);
          the.add(of_queue(run));
        }
    }
    // What was in other hands when the queue was found empty is for the runs to come.
    for (int more = 0; more < 10 && (more == 0 || !the.store.source.empty()); ++more) {
      while (!the.replicas.empty())
        the.kill(0);
      the.add(of_queue(++run));
      the.run_to_end();
      REQUIRE(the.stored().phase == job_phase::done);
    }
    check_all_out(the, count);
  }
}

TEST_CASE_FIXTURE(world, "what can never succeed fails the batch, for all its replicas") {
  auto& one = add();
  auto& other = add();
  work_fails = failure{errc::invalid_argument, "the record at byte 7 is rejected: unlucky"};
  run_to_end();
  CHECK(stored().phase == job_phase::failed);
  CHECK(stored().error == "the record at byte 7 is rejected: unlucky");
  CHECK(other.machine.known()->error == one.machine.known()->error);
  CHECK(one.machine.phase() == replica_phase::running); // it is the batch that failed
}

TEST_CASE_FIXTURE(world, "a split that keeps failing, or ending its process, fails the batch") {
  add();
  work_fails = failure{errc::unavailable, "no space left"};
  run_to_end();
  CHECK(stored().phase == job_phase::failed);
  CHECK(stored().error.find("5 times") != std::string::npos);
  CHECK(stored().error.find("no space left") != std::string::npos);
}

TEST_CASE_FIXTURE(world, "a failed run goes on where it was when it may, and stays failed otherwise") {
  {
    auto& one = add();
    while (!one.machine.known() || one.machine.known()->done.count() < 4) {
      now += 100ms;
      one.answer(0, false);
      if (one.asked.empty())
        one.tick();
    }
    work_fails = failure{errc::invalid_argument, "broken"};
    run_to_end();
    CHECK(stored().phase == job_phase::failed);
    kill(0);
  }
  work_fails.reset();
  add();
  run_to_end();
  CHECK(stored().phase == job_phase::failed);
  kill(0);
  add({.run = 1, .takes_up_failed = true, .threads = 2, .attempts_max = 5});
  run_to_end();
  check_complete(*this);
  CHECK(stored().round == 2);
}

TEST_CASE_FIXTURE(world, "a source that is not there, or is another one, fails the batch") {
  source_fails = failure{errc::not_found, "file: open in.jsonl: No such file or directory"};
  add();
  run_to_end();
  CHECK(stored().error == source_fails->message);
  kill(0);

  source_fails.reset();
  add({.run = 2, .threads = 1, .attempts_max = 5});
  while (store.sink.size() < 3) {
    now += 100ms;
    auto& one = *replicas[0];
    if (one.asked.empty())
      one.tick();
    else
      one.answer(0, false);
  }
  kill(0);
  source.changed_at_ns = 2;
  add({.run = 2, .threads = 1, .attempts_max = 5});
  run_to_end();
  CHECK(stored().phase == job_phase::failed);
  CHECK(stored().error.find("has changed") != std::string::npos);
}

TEST_CASE_FIXTURE(world, "a newer run replaces the older one, whose replicas give up") {
  auto& old = add();
  while (store.sink.empty()) {
    now += 100ms;
    if (old.asked.empty())
      old.tick();
    else
      old.answer(0, false);
  }
  store.sink.clear();
  auto& newer = add({.run = 2, .threads = 2, .attempts_max = 5});
  while (stored().run != 2)
    newer.answer(0, false);
  for (int i = 0; i < 1000 && !(old.ended && replicas[1]->machine.exhausted()); ++i) {
    now += 100ms;
    for (auto& each : replicas) {
      while (!each->asked.empty())
        each->answer(0, false);
      each->tick();
    }
  }
  CHECK(old.machine.phase() == replica_phase::failed);
  CHECK(old.machine.last_error().find("run 2") != std::string::npos);
  CHECK(stored().run == 2);
  check_complete(*this);
}

TEST_CASE_FIXTURE(world, "a replica of an older run does not settle what it is handed out of a newer one") {
  // Its own run is at its tail, one split is worked on and a thread waits for more; or it has just ended.
  for (const bool has_ended : {false, true}) {
    CAPTURE(has_ended);
    world the;
    auto& old = the.add();
    const auto is_held_back = [&](const action& what) {
      if (std::holds_alternative<take_splits>(what))
        return std::all_of(the.store.splits.begin(), the.store.splits.end(),
                           [](const auto& each) { return each.owner != 0; });
      const auto* work = std::get_if<work_on>(&what);
      return !has_ended && work && work->which.index == 9;
    };
    const auto answer_rest = [&] {
      auto found = std::find_if(old.asked.begin(), old.asked.end(),
                                [&](const action& each) { return !is_held_back(each); });
      if (found != old.asked.end())
        old.answer(static_cast<std::size_t>(found - old.asked.begin()), false);
      else
        old.tick();
      the.now += 10ms;
    };
    const auto waits = [&] {
      return std::any_of(old.asked.begin(), old.asked.end(),
                         [](const action& each) { return std::holds_alternative<take_splits>(each); });
    };
    const auto is_there = [&] {
      return has_ended ? old.machine.exhausted()
                       : !the.store.stored.empty() && the.stored().done.count() == 9;
    };
    while (!is_there() || !waits())
      answer_rest();
    auto& newer = the.add({.run = 2, .threads = 2, .attempts_max = 5});
    the.store.sink.clear();
    while (the.stored().run != 2)
      newer.answer(0, false);
    for (int i = 0; i < 1000 && !(old.ended && newer.machine.exhausted()); ++i) {
      the.now += 100ms;
      for (auto& each : the.replicas) {
        while (!each->asked.empty())
          each->answer(each->asked.size() - 1, false);
        each->tick();
      }
    }
    CHECK(old.ended);
    CHECK(newer.machine.exhausted());
    check_complete(the);
  }
}

TEST_CASE_FIXTURE(world,
                  "the run before is cleaned up behind once the new one is stored, and not if it is not") {
  add();
  run_to_end();
  kill(0);
  store.sink.clear();
  auto& newer = add({.run = 2, .threads = 2, .attempts_max = 5});
  const auto stores = [&] {
    return !newer.asked.empty() && std::holds_alternative<store_job>(newer.asked.front());
  };
  while (!stores())
    newer.answer(0, false);
  newer.asked.pop_front();
  newer.take(newer.machine.on_stored(fail(errc::unavailable, "no space left"), at()));
  now += 10s;
  newer.tick();
  while (!stores())
    newer.answer(0, false);
  CHECK(newer.runs_cleaned.empty());
  newer.answer(0, true); // it is stored, and the replica learns of it as it reads again
  run_to_end();
  CHECK(newer.runs_cleaned == std::vector<std::uint64_t>{1, 2});
  check_complete(*this);
}

TEST_CASE_FIXTURE(world, "more rejected records than may be, over all splits, fail the batch") {
  auto& one = add({.run = 1, .threads = 1, .attempts_max = 5, .rejected_max = 3});
  std::uint64_t rejected = 0;
  for (int i = 0; i < 1000 && !one.machine.exhausted(); ++i) {
    now += 100ms;
    if (one.asked.empty()) {
      one.tick();
    } else if (auto* work = std::get_if<work_on>(&one.asked.front())) {
      const auto seq = work->seq;
      one.asked.pop_front();
      const auto count = ++rejected < 3 ? 1u : 2u;
      one.take(
        one.machine.on_worked(seq, split_result{{10, 9, count, {{100 - rejected, "no number"}}}, {}}, at()));
    } else {
      one.answer(0, false);
    }
  }
  CHECK(stored().phase == job_phase::failed);
  const auto error =
    "4 records are rejected, max_rejected is 3: at byte 97: no number; at byte 98: no number; "
    "at byte 99: no number; and 1 more";
  CHECK(stored().error == error);

  // A run that goes on does not get past them, unless more may be rejected now.
  kill(0);
  add({.run = 1, .takes_up_failed = true, .threads = 1, .attempts_max = 5, .rejected_max = 3});
  run_to_end();
  CHECK(stored().phase == job_phase::failed);
  CHECK(stored().error == error);
  kill(0);
  add({.run = 1, .takes_up_failed = true, .threads = 1, .attempts_max = 5, .rejected_max = 4});
  run_to_end();
  CHECK(stored().phase == job_phase::done);
}

TEST_CASE_FIXTURE(world, "a drain gives splits back whose user code does not return") {
  auto& one = add();
  const auto is_work = [](const action& each) { return std::holds_alternative<work_on>(each); };
  while (std::count_if(one.asked.begin(), one.asked.end(), is_work) < 2) {
    const auto other = std::find_if_not(one.asked.begin(), one.asked.end(), is_work);
    REQUIRE(other != one.asked.end());
    one.answer(static_cast<std::size_t>(other - one.asked.begin()), false);
  }
  const auto pass = [&](std::chrono::milliseconds length) {
    for (const auto end = now + length; now < end; now += 100ms) {
      one.tick();
      for (std::size_t i = 0; i < one.asked.size();)
        if (is_work(one.asked[i]))
          ++i;
        else
          one.answer(i, false);
    }
  };
  one.drain();
  pass(limits::drain_timeout);
  CHECK_FALSE(one.ended);
  CHECK(
    std::any_of(store.splits.begin(), store.splits.end(), [](const auto& each) { return each.owner != 0; }));
  pass(200ms);
  CHECK(one.ended);
  CHECK(one.machine.phase() == replica_phase::down);
  CHECK(
    std::all_of(store.splits.begin(), store.splits.end(), [](const auto& each) { return each.owner == 0; }));
  kill(0);
  add();
  run_to_end();
  check_complete(*this);
}

TEST_CASE_FIXTURE(world, "splits whose lease was granted and not heard of are given back, and come again") {
  auto& one = add();
  while (one.asked.empty() || !std::holds_alternative<take_splits>(one.asked.front()))
    one.answer(0, false);
  one.answer(0, true);
  CHECK(
    std::count_if(store.splits.begin(), store.splits.end(), [](const auto& each) { return each.owner != 0; })
    == 2);
  run_to_end();
  check_complete(*this);
}
