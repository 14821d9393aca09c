#include "tests/support/written_by.hpp"
#include "tests/unit/actors/replica/replica_fixture.hpp"

#include <algorithm>

using namespace sluice;
using namespace sluice::testing;
using namespace std::chrono_literals;
using host::replica_phase;
using fault = fake_queue::fault;

TEST_CASE_FIXTURE(replica_fixture, "ten thousand records go from queue to queue, each once") {
  put(10'000);
  spawn(options());
  advance(5s);
  CHECK(queues->queues["in"].empty());
  auto out = queues->payloads("out");
  REQUIRE(out.size() == 10'000);
  CHECK(out.front() == "<r0>");
  CHECK(out.back() == "<r9999>");
  CHECK(last().processed_total == 10'000);
  CHECK(last().phase == replica_phase::running);
  CHECK(last().in_flight == 0);
  CHECK(*std::max_element(queues->commit_sizes.begin(), queues->commit_sizes.end()) <= 4096);
}

TEST_CASE_FIXTURE(replica_fixture,
                  "one poison record in ten thousand fails alone and is buried with its error") {
  call = [](std::string_view in) -> result<std::vector<std::string>> {
    if (in == "r777")
      return fail(errc::internal, "cannot do this one");
    return std::vector{std::string{in}};
  };
  put(10'000);
  spawn(options());
  advance(5s);
  CHECK(queues->payloads("out").size() == 9'999);
  REQUIRE(queues->letters.size() == 1);
  CHECK(queues->letters[0].payload == "r777");
  CHECK(queues->letters[0].error == "cannot do this one");
  CHECK(queues->letters[0].attempts == 5);
  CHECK(last().failed_total == 5);
  CHECK(last().last_error == "cannot do this one");
}

TEST_CASE_FIXTURE(replica_fixture, "a record that does not decode is not tried again") {
  call = [](std::string_view) -> result<std::vector<std::string>> {
    return fail(errc::invalid_argument, "order.price: expected number, got string");
  };
  put(1);
  spawn(options());
  advance(1s);
  REQUIRE(queues->letters.size() == 1);
  CHECK(queues->letters[0].attempts == 1);
}

TEST_CASE_FIXTURE(replica_fixture, "a commit that was refused is repeated until it is stored") {
  put(3);
  queues->commit_faults = {fault::refuse, fault::refuse};
  spawn(options());
  advance(5s);
  CHECK(queues->payloads("out") == std::vector<std::string>{"<r0>", "<r1>", "<r2>"});
  CHECK(last().stale_total == 0);
}

TEST_CASE_FIXTURE(replica_fixture, "a commit whose answer was lost stores its results once") {
  put(3);
  queues->commit_faults = {fault::lose_answer};
  spawn(options());
  advance(5s);
  CHECK(queues->payloads("out").size() == 3);
}

TEST_CASE_FIXTURE(replica_fixture, "records that somebody else took over are dropped and counted") {
  threads->manual = true;
  put(1);
  spawn(options());
  queues->expire_leases();
  threads->current().finish_all();
  run();
  CHECK(queues->payloads("out").empty());
  advance(1s);
  CHECK(last().stale_total == 1);
  CHECK(last().processed_total == 0);
}

TEST_CASE_FIXTURE(replica_fixture, "the next block is taken while the one before is in user code") {
  threads->manual = true;
  put(100);
  spawn(options());
  CHECK(threads->current().waiting.size() == 2); // one at first, one behind it: nothing is known yet
  threads->current().finish_all();
  run();
  CHECK(threads->current().waiting.size() > 2);
  CHECK(threads->current().waiting.size() <= 2 + 8 + 64);
}

TEST_CASE_FIXTURE(replica_fixture, "a slow processor takes little ahead") {
  threads->manual = true;
  put(1000);
  spawn(options());
  threads->current().per_record = 1s;
  for (int i = 0; i < 20; ++i) {
    threads->current().finish_all();
    run();
    CHECK(threads->current().waiting.size() <= 2);
  }
}

TEST_CASE_FIXTURE(replica_fixture, "a sink that is stuck stops the source") {
  auto opts = options();
  opts.processor.batch_size = 10;
  put(1000);
  queues->commit_faults.assign(1000, fault::refuse);
  spawn(std::move(opts));
  advance(60s);
  CHECK(queues->leased_count("in") <= 90); // `blocks_in_hand_max` and one under way
  CHECK(last().in_flight <= 90);
  queues->commit_faults.clear();
  advance(20s);
  CHECK(queues->payloads("out").size() == 1000);
}

TEST_CASE_FIXTURE(replica_fixture, "leases are renewed while records are in user code") {
  threads->manual = true;
  put(1);
  spawn(options());
  advance(65s);
  CHECK(queues->renewals >= 5);
  CHECK(queues->renewals <= 7);
}

TEST_CASE_FIXTURE(replica_fixture, "a drain gives back what has not begun at once and settles what has") {
  threads->manual = true;
  put(50);
  auto replica = spawn(options());
  threads->current().finish_all();
  run();
  const auto held = threads->current().waiting.size();
  REQUIRE(held > 2);
  threads->current().begun = 1;
  drain(replica);
  CHECK(last().phase == replica_phase::draining);
  CHECK(queues->leased_count("in") == 1);
  REQUIRE(queues->releases.size() == 1);
  CHECK(queues->releases[0].seqs.size() == held - 1);
  CHECK_FALSE(queues->releases[0].failed);
  threads->current().finish_all();
  run();
  CHECK(last().phase == replica_phase::down);
  CHECK(teardowns == 1);
  CHECK(queues->payloads("out").size() == 3);
  CHECK(queues->payloads("in").size() == 47);
  CHECK(queues->leased_count("in") == 0);
  for (const auto& left : queues->queues["in"])
    CHECK(left.attempts == 0);
}

TEST_CASE_FIXTURE(replica_fixture, "an idle replica drains at once") {
  auto replica = spawn(options());
  drain(replica);
  CHECK(last().phase == replica_phase::down);
  CHECK(teardowns == 1);
}

TEST_CASE_FIXTURE(replica_fixture, "a teardown that fails ends the replica and leaves a line") {
  teardown_failure = failure{errc::internal, "the file is gone"};
  auto replica = spawn(options());
  const auto written = written_by([&] { drain(replica); });
  CHECK(written.find("p/1: teardown failed: the file is gone\n") != std::string::npos);
  CHECK(teardowns == 1);
  CHECK(last().phase == replica_phase::down);
}

TEST_CASE_FIXTURE(replica_fixture, "a drain without a reachable queue ends without the release") {
  auto replica = spawn(options());
  kill(queue);
  drain(replica);
  CHECK(last().phase == replica_phase::draining);
  advance(30s);
  CHECK(last().phase == replica_phase::down);
}

TEST_CASE_FIXTURE(replica_fixture, "a setup that throws makes the replica fail with its text") {
  on_setup = [] { return fail(errc::internal, "setup: no database"); };
  put(1);
  spawn(options());
  CHECK(last().phase == replica_phase::failed);
  CHECK(last().last_error == "setup: no database");
  CHECK(teardowns == 0);
  CHECK(queues->leases == 0);
}

TEST_CASE_FIXTURE(replica_fixture, "a constructor that throws makes the replica fail with its text") {
  auto opts = options();
  opts.make_body = []() -> std::unique_ptr<processor_body> { throw std::runtime_error{"no licence"}; };
  spawn(std::move(opts));
  CHECK(last().phase == replica_phase::failed);
  CHECK(last().last_error == "setup: no licence");
}

TEST_CASE_FIXTURE(replica_fixture,
                  "a lost lease answer ends in all leases being given back and taken again") {
  put(20);
  queues->lease_faults = {fault::lose_answer};
  spawn(options());
  CHECK(queues->leased_count("in") == 1); // nobody knows of it
  advance(10s);
  REQUIRE_FALSE(queues->releases.empty());
  CHECK(queues->releases[0].seqs.empty());
  CHECK(queues->payloads("out").size() == 20);
  CHECK(queues->leased_count("in") == 0);
}

TEST_CASE_FIXTURE(replica_fixture, "a queue that is gone is asked again with back-off") {
  queues->lease_faults.assign(1000, fault::refuse);
  spawn(options());
  advance(60s);
  const auto refused = 1000 - queues->lease_faults.size();
  CHECK(refused >= 5);
  CHECK(refused < 60);
  CHECK(last().phase == replica_phase::running);
}

TEST_CASE_FIXTURE(replica_fixture,
                  "an opened-again queue refuses the old leases and gives the records out anew") {
  threads->manual = true;
  put(2);
  spawn(options());
  ++queues->epoch;
  queues->expire_leases();
  threads->current().finish_all();
  run();
  CHECK(queues->payloads("out").empty());
  threads->manual = false;
  threads->current().finish_all();
  advance(5s);
  CHECK(queues->payloads("out").size() == 2);
  CHECK(last().stale_total == 2);
}

TEST_CASE_FIXTURE(replica_fixture, "a request that can never succeed ends the replica") {
  put(1);
  queues->commit_faults = {fault::refuse};
  queues->fault_code = errc::invalid_argument;
  spawn(options());
  advance(5s);
  CHECK(last().phase == replica_phase::failed);
  CHECK(teardowns == 1);
  CHECK(queues->leased_count("in") == 0);
}

TEST_CASE_FIXTURE(replica_fixture, "results settle makes room for the next") {
  put(100);
  auto work = [&]() -> fake_threads::work& { return threads->current(); };
  spawn(options());
  advance(1s);
  CHECK(work().settled_bytes > 100 * record_overhead_bytes);
}

TEST_CASE_FIXTURE(replica_fixture, "the age of the oldest call is in the report") {
  threads->manual = true;
  put(1);
  spawn(options());
  threads->current().busy = 1500ms;
  advance(1s);
  CHECK(last().busy_longest == 1500ms);
}

TEST_CASE_FIXTURE(replica_fixture, "leases of unknown outcome are given back only when nothing is in hand") {
  threads->manual = true;
  put(5);
  queues->lease_faults = {fault::none, fault::lose_answer};
  spawn(options());
  CHECK(queues->leased_count("in") == 2); // one in user code, one nobody knows of
  advance(20s);
  CHECK(queues->releases.empty());
  threads->manual = false;
  threads->current().finish_all();
  advance(10s);
  CHECK(queues->releases.size() == 1);
  CHECK(queues->payloads("out").size() == 5);
  CHECK(last().stale_total == 0);
}

TEST_CASE_FIXTURE(replica_fixture, "an idle replica has nothing to renew") {
  spawn(options());
  advance(65s);
  CHECK(queues->renewals == 0);
}
