// Goal: of a queue every record comes out once, whoever cuts it, dies, or is held up meanwhile.
#include "tests/support/batch_world.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>

using namespace sluice;
using namespace sluice::batch;
using namespace sluice::batch::testing;
using namespace std::chrono_literals;

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

TEST_CASE_FIXTURE(world, "a queue is at its end only when nobody holds any of its records") {
  fill_source(*this, 20);
  auto& one = add(of_queue(1));
  for (auto& each : store.source)
    each.owner = 99; // who cut before, and is not known to be dead yet
  for (int i = 0; i < 20; ++i) {
    now += 100ms;
    while (!one.asked.empty())
      one.answer(0, false);
    one.tick();
  }
  REQUIRE(stored().is_open);
  CHECK(stored().split_count == 0);
  store.give_back(99);
  run_to_end();
  check_all_out(*this, 20);
}

TEST_CASE_FIXTURE(world, "who has cut before the head ended does not go on beside its successor") {
  fill_source(*this, 500);
  const auto is_pull = [](const action& each) { return std::holds_alternative<take_records>(each); };
  auto options = of_queue(1);
  options.attempts_max = 1; // cutting that is begun again is no failed attempt
  auto& one = add(options);
  const auto pull = [&] { return std::find_if(one.asked.begin(), one.asked.end(), is_pull); };
  step_while(one, [&] { return pull() == one.asked.end(); });
  REQUIRE(pull() != one.asked.end());
  store.restart();
  SUBCASE("another one has it now") {
    for (auto& each : store.splits)
      each.owner = 99;
    one.answer(static_cast<std::size_t>(pull() - one.asked.begin()), false);
    for (int i = 0; i < 20; ++i) {
      now += 100ms;
      while (!one.asked.empty())
        one.answer(0, false);
      one.tick();
    }
    CHECK(stored().split_count == 0);
    CHECK(std::none_of(store.source.begin(), store.source.end(),
                       [](const auto& each) { return each.owner != 0; }));
    store.release(99);
  }
  SUBCASE("it gets it again itself") {}
  run_to_end();
  check_all_out(*this, 500);
  CHECK(std::is_sorted(store.sink.begin(), store.sink.end(), [](const auto& a, const auto& b) {
    return std::stoi(a.substr(7)) < std::stoi(b.substr(7));
  }));
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

TEST_CASE_FIXTURE(world, "a run that goes on with what another one has left takes what has come since, too") {
  fill_source(*this, 100);
  add(of_queue(1));
  work_fails = failure{errc::invalid_argument, "the record with the number 7 is rejected: unlucky"};
  run_to_end();
  REQUIRE(stored().phase == job_phase::failed);
  REQUIRE(store.source.empty()); // all were taken before it failed
  fill_source(*this, 50);
  work_fails.reset();
  auto options = of_queue(2);
  SUBCASE("the next run") { kill(0); }
  SUBCASE("the same run, by hand") {
    kill(0);
    options.run = 1;
    options.takes_up_failed = true;
  }
  add(options);
  run_to_end();
  check_all_out(*this, 150);
  CHECK(stored().phase == job_phase::done);
  CHECK(stored().totals.records_in == 150);
}

TEST_CASE_FIXTURE(world, "a finish that was due before more came in is not due any more") {
  fill_source(*this, 20);
  auto& one = add(of_queue(1));
  const auto finishes_now = [&] {
    return std::find_if(one.asked.begin(), one.asked.end(),
                        [](const action& each) { return std::holds_alternative<put_together>(each); });
  };
  step_while(one, [&] { return finishes_now() == one.asked.end(); });
  REQUIRE(finishes_now() != one.asked.end());
  kill(0); // the finish waits in the queue
  fill_source(*this, 10);
  add(of_queue(2));
  run_to_end();
  check_all_out(*this, 30);
  CHECK(stored().totals.records_in == 30);
  CHECK(finishes == 1);
  drain_all();
  CHECK(store.splits.empty());
}

TEST_CASE_FIXTURE(world, "what a run of a queue has left goes on only with the same source and sink") {
  auto options = of_queue(1);
  options.ends = {"queue orders", "file /a"};
  fill_source(*this, 100);
  const auto begin = [&](const state_options& with) -> replica_under_test& {
    while (!replicas.empty())
      kill(0);
    auto& one = add(with);
    for (int i = 0; i < 50; ++i) {
      now += 100ms;
      while (!one.asked.empty())
        one.answer(0, false);
      if (!one.ended)
        one.tick();
    }
    return one;
  };
  std::size_t done_before_failing = 0;
  SUBCASE("nothing is done yet: another sink will do") {}
  SUBCASE("some are done") { done_before_failing = 1; }
  {
    auto& one = add(options);
    step_while(one, [&] {
      return !(one.machine.known() && one.machine.known()->split_count > 0
               && one.machine.known()->done.count() >= done_before_failing);
    });
    work_fails = failure{errc::invalid_argument, "unlucky"};
    run_to_end();
    REQUIRE(stored().phase == job_phase::failed);
    work_fails.reset();
  }
  const auto before = store.stored;
  const auto records = store.splits.size();
  auto other = options;
  other.run = 2;
  const auto is_refused = [&](const char* names) {
    auto& one = begin(other);
    CHECK(one.machine.phase() == replica_phase::failed);
    CHECK_MESSAGE(one.machine.last_error().find("took records off queue orders and has not come to its end")
                    != std::string::npos,
                  one.machine.last_error());
    CHECK_MESSAGE(one.machine.last_error().find(names) != std::string::npos, one.machine.last_error());
    CHECK(store.stored == before);
    CHECK(store.splits.size() == records);
  };
  other.ends.from = "queue clicks";
  is_refused("this one reads queue clicks and writes file /a");
  other.from_queue = false; // a file
  other.ends.from = "file /in";
  is_refused("this one reads file /in");
  other = options;
  other.run = 2;
  other.ends.to = "file /b";
  if (done_before_failing > 0)
    is_refused("this one reads queue orders and writes file /b");
  else
    options.ends.to = "file /b";
  options.run = 3;
  while (!replicas.empty())
    kill(0);
  add(options);
  run_to_end();
  check_all_out(*this, 100);
  CHECK(stored().to == options.ends.to);
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
      the.disturb(random, of_queue(run));
      if (random() % 200 == 0)
        ++run; // whoever comes next begins it
      if (random() % 150 == 0)
        the.store.restart();
      if (!the.store.stored.empty() && !the.stored().is_open)
        REQUIRE(the.store.source.empty());
    }
    while (!the.replicas.empty())
      the.kill(0);
    the.add(of_queue(++run));
    the.run_to_end();
    REQUIRE(the.stored().phase == job_phase::done);
    check_all_out(the, count);
    the.drain_all();
    CHECK(the.store.splits.empty());
  }
}

TEST_CASE_FIXTURE(world, "a batch that was failed by several replicas in turn says what the last one saw") {
  auto options = of_queue(1);
  options.attempts_max = 2;
  fill_source(*this, 1);
  auto& one = add(options);
  const auto begins = [](const action& each) { return std::holds_alternative<work_on>(each); };
  step_while(one, [&] { return std::none_of(one.asked.begin(), one.asked.end(), begins); });
  kill(0); // its process ended, which counts
  for (auto& each : store.splits)
    ++each.attempts;
  SUBCASE("an error") {
    work_fails = failure{errc::unavailable, "no space left"};
    add(options);
    run_to_end();
    CHECK_MESSAGE(stored().error.find("was tried 2 times; last: ") != std::string::npos, stored().error);
    CHECK_MESSAGE(stored().error.ends_with("no space left"), stored().error);
  }
  SUBCASE("the end of its process") {
    for (auto& each : store.splits)
      ++each.attempts;
    add(options);
    run_to_end();
    CHECK_MESSAGE(stored().error.ends_with("was tried 2 times; the last time its process ended"),
                  stored().error);
  }
}
