#include "tests/support/queue_fixture.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace sluice;
using namespace sluice::queue;
using namespace std::chrono_literals;
using sluice::testing::queue_fixture;
using strings = std::vector<std::string>;
using numbers = std::vector<std::uint64_t>;

TEST_CASE_FIXTURE(queue_fixture, "appended records are leased in order and are gone once settled") {
  REQUIRE(put("orders", {"a", "b", "c"})->count == 3);
  auto got = take("orders");
  CHECK(payloads(got.records) == strings{"a", "b", "c"});
  CHECK(seqs(got.records) == numbers{1, 2, 3});
  CHECK(stat("orders").leased_count == 3);
  CHECK(take("orders").records.empty());
  CHECK(commit(commit_of("orders", {1, 2, 3}))->stale.empty());
  CHECK(stat("orders").depth_count == 0);
  CHECK(stat("orders").settled_total == 3);
  CHECK(store->queues_for_test[queue_name{"orders"}].records.empty());
}

TEST_CASE_FIXTURE(queue_fixture, "who finds nothing hears whether that is the end of the queue") {
  auto is_at_end = [&](const consumer_id& on_behalf_of) {
    auto request = lease_of("orders");
    request.owner = {node_id{"node-2"}, host_id{8}, replica_id{2}};
    request.consumer = on_behalf_of;
    auto reply = ask<lease_reply>(queues, request);
    REQUIRE(reply.has_value());
    REQUIRE(reply->records.empty());
    return !reply->more_may_come;
  };
  const consumer_id another{flow_name{"other"}, processor_name{"price"}};
  CHECK(is_at_end(consumer));
  REQUIRE(put("orders", {"a", "b"})->count == 2);
  REQUIRE(take("orders").records.count() == 2);
  CHECK_FALSE(is_at_end(consumer)); // held by another replica of the same consumer
  CHECK(is_at_end(another));        // somebody else's records
  runner->is_held = true;
  auto settles = ask_later<commit_reply>(queues, commit_of("orders", {1}));
  run();
  CHECK_FALSE(is_at_end(consumer));
  CHECK_FALSE(is_at_end(another)); // not known before it is on disk
  runner->release();
  run();
  runner->is_held = false;
  REQUIRE(settles->has_value());
  release_request died;
  died.owner = owner;
  died.failed = true;
  REQUIRE(ask<count_reply>(queues, died)->count == 1);
  CHECK_FALSE(is_at_end(consumer)); // between attempts
  CHECK_FALSE(is_at_end(another));
  advance(1s);
  auto again = take("orders");
  REQUIRE(payloads(again.records) == strings{"b"});
  CHECK(commit(commit_of("orders", {2}))->stale.empty());
  CHECK(is_at_end(consumer));
}

TEST_CASE_FIXTURE(queue_fixture, "a lease request waits for records until its time is up") {
  auto waits = ask_later<lease_reply>(queues, lease_of("orders", 10, 2s));
  run();
  CHECK_FALSE(waits->has_value());
  put("orders", {"a"});
  REQUIRE(waits->has_value());
  CHECK(payloads((*waits)->value().records) == strings{"a"});

  auto in_vain = ask_later<lease_reply>(queues, lease_of("orders", 10, 2s));
  advance(1999ms);
  CHECK_FALSE(in_vain->has_value());
  advance(1ms);
  REQUIRE(in_vain->has_value());
  CHECK((*in_vain)->value().records.empty());
}

TEST_CASE_FIXTURE(queue_fixture,
                  "a consumer that waits, takes and waits again for long leaves no timers behind") {
  for (int i = 0; i < 600; ++i) {
    auto waits = ask_later<lease_reply>(queues, lease_of("q", 10, 500ms));
    advance(600ms);
    REQUIRE(waits->has_value());
    put("q", {"a"});
    CHECK(commit(commit_of("q", seqs(take("q").records)))->stale.empty());
  }
  CHECK(timer_count() < 100); // those of 30 s, twice a second
}

TEST_CASE_FIXTURE(queue_fixture, "requests that arrive during a write share the next one") {
  runner->is_held = true;
  auto first = ask_later<append_reply>(queues, append_of("q", block({"a"})));
  run();
  std::vector<answer<append_reply>> others;
  for (int i = 0; i < 20; ++i)
    others.push_back(ask_later<append_reply>(queues, append_of("q", block({"x"}))));
  run();
  CHECK(runner->release() == 1);
  run();
  CHECK(first->has_value());
  CHECK_FALSE(others.front()->has_value());
  CHECK(runner->release() == 1);
  run();
  for (auto& other : others)
    CHECK(other->has_value());
  CHECK(store->writes_for_test == 2);
}

TEST_CASE_FIXTURE(queue_fixture, "nothing is answered or leased before it is on disk") {
  runner->is_held = true;
  auto appended = ask_later<append_reply>(queues, append_of("q", block({"a"})));
  auto leased = ask_later<lease_reply>(queues, lease_of("q", 10, 1s));
  run();
  CHECK_FALSE(appended->has_value());
  CHECK_FALSE(leased->has_value());
  runner->release();
  run();
  CHECK(appended->has_value());
  CHECK(leased->has_value());
}

TEST_CASE_FIXTURE(queue_fixture, "those who wait together share what comes") {
  std::vector<answer<lease_reply>> waiting;
  for (int i = 0; i < 4; ++i)
    waiting.push_back(ask_later<lease_reply>(queues, lease_of("q", 500, 5s)));
  run();
  ask<append_reply>(queues, append_of("q", numbered(0, 100)));
  for (auto& one : waiting) {
    REQUIRE(one->has_value());
    CHECK((*one)->value().records.count() == 25);
  }
}

TEST_CASE_FIXTURE(queue_fixture, "results and settled inputs are stored in one write") {
  put("in", {"a", "b"});
  take("in");
  auto request = commit_of("in", {1, 2});
  record_block_builder results;
  results.add(1, 0, "A");
  results.add(2, 0, "B");
  request.results.push_back({queue_name{"out"}, results.finish()});
  auto writes = store->writes_for_test;
  CHECK(commit(std::move(request))->stale.empty());
  CHECK(store->writes_for_test == writes + 1);
  CHECK(payloads(take("out").records) == strings{"A", "B"});
}

TEST_CASE_FIXTURE(queue_fixture, "a stale record is left out together with its results") {
  put("in", {"a", "b", "c"});
  take("in");
  owner.replica = replica_id{2};
  auto request = commit_of("in", {2});
  record_block_builder results;
  results.add(2, 0, "B");
  request.results.push_back({queue_name{"out"}, results.finish()});
  CHECK(commit(request)->stale == numbers{2});
  CHECK(stat("out").depth_count == 0);
  CHECK(stat("in").depth_count == 3);
  owner.replica = replica_id{1};
  auto mine = commit_of("in", {2, 9});
  mine.results = request.results;
  record_block_builder more;
  more.add(9, 0, "no input");
  more.add(3, 0, "not settled");
  mine.results.push_back({queue_name{"out"}, more.finish()});
  CHECK(commit(std::move(mine))->stale == numbers{9});
  CHECK(payloads(take("out").records) == strings{"B"});
}

TEST_CASE_FIXTURE(queue_fixture, "repeating a commit changes nothing and names its records") {
  put("in", {"a"});
  take("in");
  auto request = commit_of("in", {1});
  record_block_builder results;
  results.add(1, 0, "A");
  request.results.push_back({queue_name{"out"}, results.finish()});
  CHECK(commit(request)->stale.empty());
  CHECK(commit(request)->stale == numbers{1});
  CHECK(stat("out").depth_count == 1);
}

TEST_CASE_FIXTURE(queue_fixture, "a commit that repeats one under way waits for it and is stale") {
  put("in", {"a"});
  take("in");
  runner->is_held = true;
  auto first = ask_later<commit_reply>(queues, commit_of("in", {1}));
  run();
  auto second = ask_later<commit_reply>(queues, commit_of("in", {1}));
  run();
  while (runner->release() > 0)
    run();
  CHECK((*first)->value().stale.empty());
  CHECK((*second)->value().stale == numbers{1});
}

TEST_CASE_FIXTURE(queue_fixture, "a commit of another epoch settles nothing") {
  put("in", {"a", "b"});
  take("in");
  open();
  auto old = commit_of("in", {1});
  old.nacks.push_back({2, "no", true});
  CHECK(commit(std::move(old))->stale == numbers{1, 2});
  auto before = epoch;
  CHECK(payloads(take("in").records) == strings{"a", "b"});
  CHECK(epoch > before);
}

TEST_CASE_FIXTURE(queue_fixture,
                  "a failed record is tried again after its back-off, with its attempts counted") {
  put("in", {"a", "b"});
  take("in");
  auto request = commit_of("in", {1});
  request.nacks.push_back({2, "boom", true});
  commit(std::move(request));
  CHECK(stat("in").delayed_count == 1);
  CHECK(stat("in").retried_total == 1);
  auto waits = ask_later<lease_reply>(queues, lease_of("in", 10, 10s));
  advance(199ms);
  CHECK_FALSE(waits->has_value());
  advance(1ms);
  REQUIRE(waits->has_value());
  auto records = (*waits)->value().records;
  REQUIRE(records.count() == 1);
  CHECK((*records.begin()).attempts == 1);
  CHECK((*records.begin()).payload == "b");
}

TEST_CASE_FIXTURE(queue_fixture, "an unrenewed lease runs out, a renewed one does not") {
  put("in", {"a"});
  take("in");
  advance(limits::lease_visibility - 1s);
  caf::anon_send(queues, renew_request{owner});
  advance(2s);
  CHECK(stat("in").leased_count == 1);
  advance(limits::lease_visibility);
  CHECK(stat("in").leased_count == 0);
  CHECK(stat("in").retried_total == 1);
  CHECK(store->queues_for_test[queue_name{"in"}].records.at(1).attempts == 1);
  CHECK(commit(commit_of("in", {1}))->stale == numbers{1});
}

TEST_CASE_FIXTURE(queue_fixture, "a host that dies gives its leases back once, however often it is said") {
  put("in", {"a", "b"});
  take("in");
  release_request gone;
  gone.owner = {node_id{"node-1"}, host_id{7}, {}};
  gone.failed = true;
  gone.error = "SIGSEGV";
  CHECK(ask<count_reply>(queues, gone)->count == 2);
  CHECK(ask<count_reply>(queues, gone)->count == 0);
  CHECK(store->queues_for_test[queue_name{"in"}].records.at(2).attempts == 1);
  advance(200ms);
  auto again = take("in");
  CHECK(again.records.count() == 2);
}

TEST_CASE_FIXTURE(queue_fixture, "who has died is given no records that come later") {
  auto dead = ask_later<lease_reply>(queues, lease_of("in", 10, 10s));
  run();
  release_request gone;
  gone.owner = {node_id{"node-1"}, {}, {}};
  ask<count_reply>(queues, gone);
  REQUIRE(dead->has_value());
  CHECK((*dead)->value().records.empty());
  put("in", {"a"});
  CHECK(stat("in").leased_count == 0);
}

TEST_CASE_FIXTURE(queue_fixture, "a drain gives single records back at once and uncounted") {
  put("in", {"a", "b", "c"});
  take("in");
  release_request some;
  some.owner = owner;
  some.queue = queue_name{"in"};
  some.seqs = {2, 3, 77};
  CHECK(ask<count_reply>(queues, some)->count == 2);
  CHECK(commit(commit_of("in", {1}))->stale.empty());
  auto again = take("in").records;
  CHECK(payloads(again) == strings{"b", "c"});
  CHECK((*again.begin()).attempts == 0);
}

TEST_CASE_FIXTURE(queue_fixture, "records left by a crash come in ever smaller company") {
  ask<append_reply>(queues, append_of("in", numbered(0, 64)));
  release_request gone;
  gone.owner = owner;
  gone.failed = true;
  auto largest = [&] {
    std::size_t most = 0;
    for (;;) {
      auto got = take("in", 64).records.count();
      if (got == 0)
        break;
      most = std::max(most, got);
    }
    return most;
  };
  CHECK(largest() == 64);
  ask<count_reply>(queues, gone);
  advance(30s - 1ms);
  CHECK(largest() == 8);
  ask<count_reply>(queues, gone);
  advance(30s - 1ms);
  CHECK(largest() == 1);
}

TEST_CASE_FIXTURE(queue_fixture, "a repeated append is answered and not stored again") {
  auto request = append_of("q", block({"a"}));
  request.producer = "cli-1";
  request.producer_seq = 1;
  CHECK(ask<append_reply>(queues, request)->count == 1);
  CHECK(ask<append_reply>(queues, request)->count == 1);
  CHECK(stat("q").depth_count == 1);
  open();
  CHECK(ask<append_reply>(queues, request)->count == 1);
  CHECK(stat("q").depth_count == 1);
  request.producer_seq = 2;
  CHECK(ask<append_reply>(queues, request)->count == 1);
  CHECK(stat("q").depth_count == 2);
}

TEST_CASE_FIXTURE(queue_fixture,
                  "a number that comes back with another fingerprint is no repeat, and refused") {
  auto request = append_of("q", block({"a"}));
  request.producer = "key/shop/ingest/k-1";
  request.producer_seq = 1;
  request.fingerprint = 11;
  auto other = append_of("q", block({"b"}));
  other.producer = request.producer;
  other.producer_seq = 1;
  other.fingerprint = 12;
  runner->is_held = true;
  auto before = ask_later<append_reply>(queues, append_of("other", block({"x"})));
  run();
  auto first = ask_later<append_reply>(queues, request); // the next write has both
  auto second = ask_later<append_reply>(queues, other);
  run();
  runner->release();
  run();
  runner->is_held = false;
  runner->release();
  run();
  CHECK((*first)->value().count == 1);
  CHECK((*second)->error().code == errc::conflict);
  CHECK(ask<append_reply>(queues, other).error().code == errc::conflict);
  open();
  CHECK(ask<append_reply>(queues, other).error().code == errc::conflict);
  CHECK(ask<append_reply>(queues, request)->count == 1);
  CHECK(stat("q").depth_count == 1);
  other.fingerprint = 0; // of a host that knows of none
  CHECK(ask<append_reply>(queues, other)->count == 1);
  CHECK(stat("q").depth_count == 1);
}

TEST_CASE_FIXTURE(queue_fixture,
                  "a number before the last is refused where nobody can tell what it was for") {
  auto request = append_of("q", block({"a"}));
  request.producer = "put-1";
  for (std::uint64_t seq : {1, 2, 3}) {
    request.producer_seq = seq;
    request.fingerprint = 10 + seq;
    CHECK(ask<append_reply>(queues, request)->count == 1);
  }
  request.producer_seq = 2;
  request.fingerprint = 12;
  auto refused = ask<append_reply>(queues, request);
  CHECK(refused.error().code == errc::conflict);
  CHECK_MESSAGE(refused.error().message == "producer 'put-1' has gone on to request 3 already",
                refused.error().message);
  request.fingerprint = 0; // of a host, which sends one at a time: it comes late, and nobody waits for it
  CHECK(ask<append_reply>(queues, request)->count == 1);
  CHECK(stat("q").depth_count == 3);
}

TEST_CASE_FIXTURE(queue_fixture,
                  "a repeat is not answered before the first is on disk, and stored if that failed") {
  auto request = append_of("q", block({"a"}));
  request.producer = "cli-1";
  request.producer_seq = 1;
  runner->is_held = true;
  store->write_failures_for_test.push_back({errc::overloaded, "disk full"});
  auto first = ask_later<append_reply>(queues, request);
  run();
  auto second = ask_later<append_reply>(queues, request);
  run();
  runner->release();
  run();
  CHECK((*first)->error().code == errc::overloaded);
  CHECK_FALSE(second->has_value());
  runner->release();
  run();
  CHECK((*second)->value().count == 1);
  CHECK(stat("q").depth_count == 1);
}

TEST_CASE_FIXTURE(queue_fixture,
                  "a position moves only from where it is expected, with its results or not at all") {
  commit_request request;
  request.owner = owner;
  request.consumer = consumer;
  request.cursor = cursor_move{"orders.jsonl", "", "100"};
  request.results.push_back({queue_name{"out"}, block({"x"})});
  CHECK(commit(request).has_value());
  CHECK(commit(request).error().code == errc::stale);
  CHECK(stat("out").depth_count == 1);
  CHECK(*ask<std::string>(queues, cursor_request{"orders.jsonl"}) == "100");
  CHECK(ask<std::string>(queues, cursor_request{"other"})->empty());
  open();
  CHECK(*ask<std::string>(queues, cursor_request{"orders.jsonl"}) == "100");
}

TEST_CASE_FIXTURE(queue_fixture, "a position that moves with acks moves with all of them or not at all") {
  put("q", {"a", "b", "c"});
  take("q");
  auto request = commit_of("q", {1, 2});
  request.cursor = cursor_move{"job", "", "1"};
  request.results.push_back({queue_name{"out"}, block({"x"})});
  auto other = request;
  other.owner.replica = replica_id{99};
  CHECK(commit(other).error().code == errc::conflict);
  CHECK(ask<std::string>(queues, cursor_request{"job"})->empty());
  CHECK(stat("out").depth_count == 0);
  CHECK(stat("q").leased_count == 3);
  CHECK(commit(request)->stale.empty());
  CHECK(stat("q").depth_count == 1);
  request.cursor = cursor_move{"job", "1", "2"};
  request.acks = {2, 3}; // one of them is gone
  CHECK(commit(request).error().code == errc::conflict);
  request.acks = {3};
  request.epoch += 1;
  CHECK(commit(request).error().code == errc::conflict);
  CHECK(*ask<std::string>(queues, cursor_request{"job"}) == "1");
  CHECK(stat("q").leased_count == 1);
}

TEST_CASE_FIXTURE(queue_fixture,
                  "a full disk fails the request, keeps the lease, and the next one may succeed") {
  put("in", {"a"});
  take("in");
  store->write_failures_for_test.push_back({errc::overloaded, "no space left"});
  CHECK(commit(commit_of("in", {1})).error().code == errc::overloaded);
  CHECK(stat("in").leased_count == 1);
  CHECK(commit(commit_of("in", {1}))->stale.empty());
  CHECK(broken.empty());
}

TEST_CASE_FIXTURE(queue_fixture, "after a failed sync everything is refused and the owner is told once") {
  put("in", {"a"});
  auto waits = ask_later<lease_reply>(queues, lease_of("other", 1, 30s));
  run();
  store->break_for_test({errc::unavailable, "fsync failed"});
  CHECK(put("in", {"b"}).error().code == errc::unavailable);
  REQUIRE(waits->has_value());
  CHECK((*waits)->error().code == errc::unavailable);
  CHECK(put("in", {"c"}).error().message == "fsync failed");
  CHECK(ask<lease_reply>(queues, lease_of("in")).error().code == errc::unavailable);
  CHECK(broken.size() == 1);
}

TEST_CASE_FIXTURE(queue_fixture, "what a drain gives back is ready again and no retry") {
  put("in", {"a", "b", "c"});
  take("in");
  release_request drained;
  drained.owner = owner;
  ask<count_reply>(queues, drained);
  CHECK(stat("in").leased_count == 0);
  CHECK(stat("in").delayed_count == 0);
  CHECK(stat("in").retried_total == 0);
  CHECK(stat("in").depth_count == 3);
  CHECK(take("in").records.count() == 3);
}

TEST_CASE_FIXTURE(queue_fixture, "burials that cannot be stored are tried again later") {
  put("in", {"a"});
  auto request = lease_of("in");
  request.attempts_max = 1;
  ask<lease_reply>(queues, request);
  store->write_failures_for_test.push_back({errc::overloaded, "no space left"});
  release_request gone;
  gone.owner = owner;
  gone.failed = true;
  ask<count_reply>(queues, gone);
  run();
  CHECK(stat("in").dead_count == 0);
  CHECK(stat("in").delayed_count == 1);
  advance(limits::retry_delay_max);
  CHECK(take("in").records.count() == 1);
  ask<count_reply>(queues, gone);
  run();
  CHECK(stat("in").delayed_count == 1); // taken with five attempts this time
}

TEST_CASE_FIXTURE(queue_fixture,
                  "a retry that is due goes before the backlog, though nobody ever has to wait") {
  put("in", {"again", "b", "c", "d", "e", "f"});
  CHECK(payloads(take("in", 1).records) == strings{"again"});
  auto failed = commit_of("in", {});
  failed.nacks.push_back({1, "later", true});
  commit(std::move(failed));
  CHECK(payloads(take("in", 1).records) == strings{"b"}); // it is not due yet
  advance(limits::retry_delay_max);
  CHECK(payloads(take("in", 1).records) == strings{"again"});
  CHECK(payloads(take("in", 1).records) == strings{"c"});
}

TEST_CASE_FIXTURE(queue_fixture, "a retry of a queue that nobody asks any more is read once, and waits") {
  put("in", {"a", "b"});
  take("in", 1);
  auto failed = commit_of("in", {});
  failed.nacks.push_back({1, "later", true});
  commit(std::move(failed));
  const auto reads = store->reads_for_test;
  advance(10min); // no event of it comes again and again
  CHECK(store->reads_for_test == reads + 1);
  CHECK(payloads(take("in", 1).records) == strings{"a"});
  CHECK(payloads(take("in", 1).records) == strings{"b"});
  CHECK(store->reads_for_test == reads + 1);
}

TEST_CASE_FIXTURE(queue_fixture, "a purge forgets what waits and leaves what is leased to its owner") {
  put("in", {"a", "b", "c", "d"});
  take("in", 2);
  auto request = commit_of("in", {});
  request.nacks.push_back({2, "later", true});
  commit(std::move(request));
  CHECK(ask<count_reply>(queues, purge_request{queue_name{"in"}})->count == 3);
  CHECK(stat("in").depth_count == 1);
  CHECK(stat("in").leased_count == 1);
  advance(30s - 1ms);
  CHECK(take("in").records.empty());
  CHECK(ask<count_reply>(queues, purge_request{queue_name{"nothing"}}).error().code == errc::not_found);
  put("in", {"e"});
  CHECK(payloads(take("in").records) == strings{"e"});
}

TEST_CASE_FIXTURE(queue_fixture, "a purge that cannot be stored forgets nothing") {
  put("in", {"a", "b", "c"});
  take("in", 1);
  auto request = commit_of("in", {});
  request.nacks.push_back({1, "later", true});
  commit(std::move(request));
  store->write_failures_for_test.push_back({errc::overloaded, "no space left"});
  CHECK(ask<count_reply>(queues, purge_request{queue_name{"in"}}).error().code == errc::overloaded);
  CHECK(stat("in").depth_count == 3);
  std::size_t found = 0;
  advance(1s);
  for (int i = 0; i < 5; ++i)
    found += take("in").records.count();
  CHECK(found == 3);
  CHECK(reports.empty());
}

TEST_CASE_FIXTURE(queue_fixture, "peek shows records and takes none") {
  put("in", {"a", "b", "c"});
  take("in", 1);
  auto seen = ask<peek_reply>(queues, peek_request{queue_name{"in"}, 0, 2});
  CHECK(payloads(seen->records) == strings{"a", "b"});
  CHECK(payloads(ask<peek_reply>(queues, peek_request{queue_name{"in"}, 2, 10})->records) == strings{"c"});
  CHECK(stat("in").leased_count == 1);
}

TEST_CASE_FIXTURE(queue_fixture, "dead letters of one queue are purged without touching another's") {
  for (auto* name : {"x", "y"}) {
    put(name, {"a"});
    take(name);
    auto request = commit_of(name, {});
    request.nacks.push_back({1, "no", false});
    commit(std::move(request));
  }
  CHECK(ask<count_reply>(queues, purge_request{queue_name{"x"}, purge_what::dead_letters})->count == 1);
  CHECK(stat("x").dead_count == 0);
  CHECK(stat("y").dead_count == 1);
}

TEST_CASE_FIXTURE(queue_fixture, "the age of a queue is that of its oldest record, wherever it is") {
  put("in", {"a"});
  wall += 10s;
  put("in", {"b"});
  wall += 5s;
  CHECK(stat("in").oldest_age == 15s);
  take("in", 1);
  CHECK(stat("in").oldest_age == 15s);
  commit(commit_of("in", {1}));
  CHECK(stat("in").oldest_age == 5s);
  open();
  CHECK(stat("in").oldest_age == 5s);
}

TEST_CASE_FIXTURE(queue_fixture, "wrong requests are refused with the rule they break") {
  CHECK(put("Bad Name", {"a"}).error().code == errc::invalid_argument);
  commit_request request;
  request.acks = {1};
  CHECK(commit(request).error().code == errc::invalid_argument);
  CHECK(put("q", {std::string(limits::record_size_bytes_max + 1, 'x')}).error().code
        == errc::invalid_argument);
  CHECK(put("q", {})->count == 0);
}

TEST_CASE_FIXTURE(queue_fixture, "requests before the store is open wait for it") {
  end_owned();
  store->queues_for_test[queue_name{"in"}].records[5] = {"kept", 2, wall};
  store->queues_for_test[queue_name{"in"}].seq_last = 9;
  runner->is_held = true;
  open();
  auto leased = ask_later<lease_reply>(queues, lease_of("in"));
  auto position = ask_later<std::string>(queues, cursor_request{"k"});
  auto appended = ask_later<append_reply>(queues, append_of("in", block({"new"})));
  run();
  CHECK_FALSE(leased->has_value());
  while (runner->release() > 0)
    run();
  run();
  CHECK(position->has_value());
  CHECK(appended->has_value());
  REQUIRE(leased->has_value());
  auto records = (*leased)->value().records;
  REQUIRE(records.count() >= 1);
  CHECK((*records.begin()).attempts == 2);
  CHECK(store->queues_for_test[queue_name{"in"}].seq_last == 10);
}

TEST_CASE_FIXTURE(queue_fixture, "a store that cannot be opened refuses everything with its reason") {
  end_owned();
  store->break_for_test({errc::corrupt, "not a queue file"});
  open();
  CHECK(put("q", {"a"}).error().message == "not a queue file");
  CHECK(broken.size() == 1);
}

TEST_CASE_FIXTURE(queue_fixture, "ending the actor answers what waits") {
  auto waits = ask_later<lease_reply>(queues, lease_of("q", 1, 20s));
  run();
  caf::anon_send_exit(queues, caf::exit_reason::user_shutdown);
  run();
  REQUIRE(waits->has_value());
  CHECK((*waits)->error().code == errc::shutting_down);
}

TEST_CASE_FIXTURE(queue_fixture, "a read that fails is told to who waits and tried again") {
  put("in", {"a"});
  open();
  store->read_failures_for_test.push_back({errc::corrupt, "damaged page"});
  CHECK(ask<lease_reply>(queues, lease_of("in")).error().message == "damaged page");
  auto waits = ask_later<lease_reply>(queues, lease_of("in", 1, 5s));
  advance(1s);
  REQUIRE(waits->has_value());
  CHECK((*waits)->value().records.count() == 1);
}

TEST_CASE_FIXTURE(queue_fixture, "records that are counted but gone are reported, not waited for") {
  put("in", {"a", "b"});
  open();
  store->queues_for_test[queue_name{"in"}].records.clear();
  CHECK(take("in").records.empty());
  CHECK(reports.size() == 1);
  CHECK(stat("in").depth_count == 0);
}
