// Goal: after any death of a host, the records that were inside user code are known.
#include "tests/support/subprocess.hpp"
#include "transport/process/flight_recorder.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

using namespace sluice;
using namespace sluice::process;
using namespace std::chrono_literals;

TEST_CASE("what a child wrote before SIGKILL is read by its parent") {
  auto recorder = flight_recorder::create();
  REQUIRE(recorder);
  CHECK_FALSE((*recorder)->has_passed_any());
  auto child = fork();
  if (child == 0) {
    auto mine = flight_recorder::attach(dup((*recorder)->fd()));
    auto* inside = (*mine)->claim(replica_id{7});
    auto* outside = (*mine)->claim(replica_id{8});
    inside->enter(42, 1000);
    outside->enter(43, 1000);
    outside->leave();
    kill(getpid(), SIGKILL);
  }
  waitpid(child, nullptr, 0);
  auto found = (*recorder)->inside();
  REQUIRE(found.size() == 1);
  CHECK(found[0].replica == replica_id{7});
  CHECK(found[0].seq == 42);
  CHECK(found[0].started == 1000ns);
  CHECK((*recorder)->has_passed_any());
}

TEST_CASE("slots are handed out once until they are given back") {
  auto recorder = flight_recorder::create();
  REQUIRE(recorder);
  std::vector<replica::flight_slot*> slots;
  while (auto* slot = (*recorder)->claim(replica_id{1}))
    slots.push_back(slot);
  CHECK(slots.size() == flight_recorder::slots_max);
  (*recorder)->give_back(slots[5]);
  CHECK((*recorder)->claim(replica_id{2}) == slots[5]);
  (*recorder)->give_back(nullptr);
}

TEST_CASE("the thread that crashed is blamed alone") {
  std::vector<suspect> inside{{replica_id{1}, 10, 0ns, false}, {replica_id{2}, 20, 0ns, true}};
  auto guilty = blame(inside, 1s, 0ns);
  REQUIRE(guilty.size() == 1);
  CHECK(guilty[0].seq == 20);
}

TEST_CASE("after a hang those inside for too long are blamed and nobody else, otherwise all") {
  std::vector<suspect> inside{{replica_id{1}, 10, 0ns, false}, {replica_id{2}, 20, 900ms, false}};
  auto guilty = blame(inside, 1s, 500ms);
  REQUIRE(guilty.size() == 1);
  CHECK(guilty[0].seq == 10);
  CHECK(blame(inside, 1s, 0ns).size() == 2);
  CHECK(blame(inside, 1s, 5s).empty());
}

TEST_CASE("a crash handler marks the slot of its own thread") {
  auto recorder = flight_recorder::create();
  REQUIRE(recorder);
  auto* slot = (*recorder)->claim(replica_id{3});
  slot->enter(9, 1);
  mark_crashed();
  CHECK_FALSE((*recorder)->inside()[0].crashed);
  set_slot_of_thread(slot);
  mark_crashed();
  set_slot_of_thread(nullptr);
  CHECK((*recorder)->inside()[0].crashed);
}

TEST_CASE("what a process had inside is read from the file after its end") {
  test::temp_dir dir;
  const auto file = dir.path() / "flight";
  {
    auto recorder = flight_recorder::open(file);
    REQUIRE(recorder);
    (*recorder)->claim(replica_id{7})->enter(42, 1000);
    (*recorder)->claim(replica_id{7})->enter(43, 5000);
    CHECK(!(*recorder)->mark_hung(6000ns, 2000ns, replica_id{8}));
    CHECK((*recorder)->mark_hung(6000ns, 2000ns, replica_id{7}));
  }
  auto again = flight_recorder::open(file);
  REQUIRE(again);
  const auto guilty = blame((*again)->inside(), 0ns, 0ns);
  REQUIRE(guilty.size() == 1);
  CHECK(guilty[0].seq == 42);
  (*again)->clear();
  CHECK((*again)->inside().empty());
}
