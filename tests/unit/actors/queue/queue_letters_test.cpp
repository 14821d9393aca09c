// Goal: a record that cannot be worked off is kept, comes back when asked for, once, and all are counted.

#include "tests/support/queue_fixture.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::queue;
using namespace std::chrono_literals;
using sluice::testing::queue_fixture;

TEST_CASE_FIXTURE(queue_fixture,
                  "a record that used up its attempts goes to the dead letters and back on request") {
  put("in", {"poison"});
  for (int i = 0; i < 5; ++i) {
    auto got = take("in");
    REQUIRE(got.records.count() == 1);
    auto request = commit_of("in", {});
    request.nacks.push_back({1, "boom " + std::to_string(i), true});
    commit(std::move(request));
    advance(30s);
  }
  CHECK(stat("in").depth_count == 0);
  CHECK(stat("in").dead_count == 1);
  auto letters = ask<dead_letters_reply>(queues, dead_letters_request{queue_name{"in"}})->letters;
  REQUIRE(letters.size() == 1);
  CHECK(letters[0].attempts == 5);
  CHECK(letters[0].error == "boom 4");
  CHECK(letters[0].consumer == consumer);
  CHECK(letters[0].payload == "poison");
  CHECK(ask<count_reply>(queues, requeue_request{queue_name{"in"}, {}})->count == 1);
  CHECK(stat("in").dead_count == 0);
  auto again = take("in").records;
  REQUIRE(again.count() == 1);
  CHECK((*again.begin()).attempts == 0);
  CHECK((*again.begin()).seq == 2);
}

TEST_CASE_FIXTURE(queue_fixture, "what went in and out is known after a restart, and adds up") {
  const auto adds_up = [&](std::uint64_t appended, std::uint64_t gone) {
    for (int restarts = 0; restarts < 2; ++restarts) {
      const auto now = stat("in");
      CHECK(now.appended_total == appended);
      CHECK(now.settled_total == gone);
      CHECK(now.depth_count == appended - gone);
      open();
    }
  };
  ask<append_reply>(queues, append_of("in", numbered(1, 9)));
  adds_up(9, 0);
  take("in", 3);
  commit(commit_of("in", {1, 2}));
  adds_up(9, 2);
  take("in", 2);
  auto poison = commit_of("in", {});
  poison.attempts_max = 1;
  poison.nacks.push_back({3, "boom", true});
  commit(std::move(poison));
  adds_up(9, 3);
  ask<count_reply>(queues, requeue_request{queue_name{"in"}, {}});
  adds_up(10, 3);
  ask<count_reply>(queues, purge_request{queue_name{"in"}, purge_what::records});
  adds_up(10, 10);
}

TEST_CASE_FIXTURE(queue_fixture, "a letter that is named twice goes back once") {
  put("in", {"a", "b"});
  take("in");
  auto poison = commit_of("in", {});
  poison.attempts_max = 1;
  poison.nacks.push_back({1, "boom", true});
  poison.nacks.push_back({2, "boom", true});
  commit(std::move(poison));
  CHECK(ask<count_reply>(queues, requeue_request{queue_name{"in"}, {2, 1, 2, 2}})->count == 2);
  CHECK(stat("in").depth_count == 2);
  CHECK(stat("in").dead_count == 0);
}

TEST_CASE_FIXTURE(queue_fixture, "a requeue moves what was there when it began, each letter once") {
  auto burial_of = [&](const lease_reply& got) {
    auto request = commit_of("in", {});
    request.attempts_max = 1;
    for (auto record : got.records)
      request.nacks.push_back({record.seq, "poison", true});
    return request;
  };
  ask<append_reply>(queues, append_of("in", numbered(1, 7))); // more than two steps of the fake
  commit(burial_of(take("in")));
  REQUIRE(stat("in").dead_count == 7);
  runner->is_held = true;
  auto moved = ask_later<count_reply>(queues, requeue_request{queue_name{"in"}, {}});
  auto leased = ask_later<lease_reply>(queues, lease_of("in", 500, 1min));
  for (int i = 0; i < 100 && !moved->has_value(); ++i) { // what comes back fails at once
    run();
    runner->release_one();
    run();
    if (!leased->has_value())
      continue;
    ask_later<commit_reply>(queues, burial_of((*leased)->value()));
    leased = ask_later<lease_reply>(queues, lease_of("in", 500, 1min));
  }
  REQUIRE(moved->has_value());
  CHECK((*moved)->value().count == 7);
  runner->is_held = false;
  runner->release();
  run();
  CHECK(stat("in").dead_count + stat("in").depth_count == 7);
}

TEST_CASE_FIXTURE(queue_fixture, "a record of another source is buried with what is known of it") {
  commit_request request;
  request.consumer = consumer;
  request.burials.push_back({"bad line", "not JSON", 5});
  CHECK(commit(std::move(request)).has_value());
  auto letters = ask<dead_letters_reply>(queues, dead_letters_request{})->letters;
  REQUIRE(letters.size() == 1);
  CHECK(letters[0].queue.empty());
  CHECK(letters[0].payload == "bad line");
  CHECK(ask<count_reply>(queues, requeue_request{}).error().code == errc::invalid_argument);
  CHECK(ask<count_reply>(queues, requeue_request{queue_name{"none"}, {}}).error().code == errc::not_found);
  CHECK(stat("none").name.value.empty()); // and it was not made
}

TEST_CASE("what the disk has damaged is told, counted, and not taken for done") {
  std::vector<std::string> told;
  queues_state queues{{}, [] { return 1.0; }, [&](const std::string& text) { told.push_back(text); }};
  contents found;
  found.queues.push_back({queue_name{"in"}, 8, 0, 10, {}, 1});
  found.damage.assign(100, "the row of queue 'in' fails its checksum");
  queues.opened(std::move(found));
  CHECK(told.size() == 21); // no hundred lines, but how many there are
  CHECK(told.back().find("80 more") != std::string::npos);
  const auto in = [&] { return queues.stats({}, {}).queues.at(0); };
  CHECK(in().damaged_total == 1);
  CHECK(in().settled_total == 1);
  told.clear();
  queues.apply({{queue_name{"in"}, 5, 0, 4}});
  REQUIRE(told.size() == 1);
  CHECK(told[0].find("queue 'in': 3 records are damaged") == 0);
  CHECK(in().depth_count == 5);
  CHECK(in().damaged_total == 4);
  CHECK(in().settled_total == 1);
  queues.apply({{queue_name{"in"}, 5, 0, 4}});
  CHECK(told.size() == 1);
}
