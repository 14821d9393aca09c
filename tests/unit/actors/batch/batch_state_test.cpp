// Goal: replicas that share a batch through the queues, and die at any moment, count each split exactly once.
#include "tests/support/batch_world.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace sluice;
using namespace sluice::batch;
using namespace sluice::batch::testing;
using namespace std::chrono_literals;

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
  step_while(stale, [&] { return begins() == stale.asked.end(); });
  REQUIRE(begins() != stale.asked.end());
  const auto index = static_cast<std::size_t>(begins() - stale.asked.begin());
  store.release(stale.id); // its lease ends: another one finishes
  SUBCASE("the same run was finished by another one") {
    auto& other = add();
    step_while(other, [&] { return !other.machine.exhausted(); });
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

TEST_CASE_FIXTURE(world, "a replica does not end before what the run left is removed") {
  auto& one = add();
  const auto cleans = [&] {
    return std::find_if(one.asked.begin(), one.asked.end(),
                        [](const action& each) { return std::holds_alternative<clean_up>(each); });
  };
  step_while(one, [&] { return cleans() == one.asked.end(); });
  REQUIRE(cleans() != one.asked.end());
  REQUIRE(one.machine.exhausted());
  one.drain();
  while (one.asked.size() > 1)
    one.answer(cleans() == one.asked.begin() ? 1 : 0, false);
  CHECK_FALSE(one.ended);
  while (!one.asked.empty())
    one.answer(0, false);
  CHECK(one.ended);
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
    for (int step = 0; step < 600; ++step)
      the.disturb(random, of_file);
    while (!the.replicas.empty())
      the.kill(0);
    the.add();
    the.run_to_end();
    check_complete(the);
    the.drain_all();
    CHECK(the.store.splits.empty());
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

TEST_CASE_FIXTURE(world,
                  "a store that takes nothing, as on a full disk, is told, and tried less and less often") {
  auto& one = add();
  step_while(one, [&] { return store.sink.size() < 2; });
  CHECK_FALSE(one.machine.is_retrying());
  store.refuses = failure{errc::overloaded, "no space left"};
  const auto commits_in = [&](time_point until) {
    const auto before = store.commits;
    step_while(one, [&] { return now < until; });
    return store.commits - before;
  };
  const auto first = commits_in(now + 10s);
  CHECK(one.machine.is_retrying());
  CHECK(one.machine.last_error() == "no space left");
  CHECK(first > commits_in(now + 10s));
  store.refuses.reset();
  run_to_end();
  check_complete(*this);
  CHECK_FALSE(one.machine.is_retrying());
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
