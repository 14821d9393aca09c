#include "tests/unit/actors/replica/replica_fixture.hpp"

using namespace sluice;
using namespace sluice::testing;
using namespace std::chrono_literals;
using host::replica_phase;
using fault = fake_queue::fault;

namespace {

struct io_fixture : replica_fixture {
  std::shared_ptr<list_source> from = std::make_shared<list_source>();
  std::shared_ptr<list_sink> to = std::make_shared<list_sink>();

  replica::options file_to_queue() {
    auto opts = options();
    opts.processor.source = {"file", {}};
    opts.from = from;
    return opts;
  }
  replica::options queue_to_file() {
    auto opts = options();
    opts.processor.sink = {"file", {}};
    opts.to = to;
    return opts;
  }
  replica::options file_to_file() {
    auto opts = file_to_queue();
    opts.processor.sink = {"file", {}};
    opts.to = to;
    return opts;
  }
  void fill(int count) {
    for (int i = 0; i < count; ++i)
      from->records.push_back("r" + std::to_string(i));
  }
  const std::string& cursor() { return queues->cursors["f/p"]; }
};

} // namespace

TEST_CASE_FIXTURE(
  io_fixture,
  "a file goes into a queue with its position in the same commit, then the replica is exhausted") {
  fill(1000);
  spawn(file_to_queue());
  advance(5s);
  CHECK(queues->payloads("out").size() == 1000);
  CHECK(cursor() == "1000");
  CHECK(from->settled_seq == 1000);
  CHECK(last().exhausted);
  CHECK(last().phase == replica_phase::running);
  CHECK(last().in_flight == 0);
}

TEST_CASE_FIXTURE(io_fixture, "another path is another file, read from its beginning") {
  queues->cursors["f/p:/a"] = "990";
  fill(1000);
  auto opts = file_to_queue();
  opts.processor.source.options["path"] = "/b";
  spawn(std::move(opts));
  advance(5s);
  CHECK(queues->payloads("out").size() == 1000);
  CHECK(queues->cursors["f/p:/b"] == "1000");
  CHECK(queues->cursors["f/p:/a"] == "990");
}

TEST_CASE_FIXTURE(io_fixture, "reading goes on behind the stored position") {
  queues->cursors["f/p"] = "990";
  fill(1000);
  spawn(file_to_queue());
  advance(5s);
  CHECK(from->opened_after == 990);
  CHECK(queues->payloads("out").size() == 10);
}

TEST_CASE_FIXTURE(io_fixture, "the mark of a source is stored with the position and comes back with it") {
  queues->cursors["f/p"] = "990 old";
  fill(1000);
  from->mark = "new";
  queues->commit_faults = {fault::lose_answer};
  spawn(file_to_queue());
  advance(5s);
  CHECK(from->opened_after == 990);
  CHECK(from->opened_mark == "old");
  CHECK(cursor() == "1000 new");
  CHECK(last().exhausted);
}

TEST_CASE_FIXTURE(io_fixture, "a stored position that is no number ends the replica") {
  queues->cursors["f/p"] = "12x";
  spawn(file_to_queue());
  advance(1s);
  CHECK(last().phase == replica_phase::failed);
  CHECK(last().last_error == "the stored position \"12x\" is no number");
  CHECK(teardowns == 1);
}

TEST_CASE_FIXTURE(io_fixture,
                  "records done out of order are stored in order and the position never runs ahead") {
  threads->manual = true;
  fill(4);
  auto opts = file_to_queue();
  opts.processor.num_concurrency = 4;
  spawn(std::move(opts));
  auto& work = threads->current();
  work.finish(3);
  work.finish(2);
  run();
  CHECK(cursor().empty());
  CHECK(queues->payloads("out").empty());
  work.finish(1);
  run();
  CHECK(cursor() == "3");
  CHECK(queues->payloads("out") == std::vector<std::string>{"<r0>", "<r1>", "<r2>"});
  work.finish(4);
  run();
  CHECK(cursor() == "4");
}

TEST_CASE_FIXTURE(io_fixture, "a cursor commit whose answer was lost is recognised as stored") {
  fill(100);
  queues->commit_faults = {fault::lose_answer, fault::none, fault::lose_answer};
  spawn(file_to_queue());
  advance(10s);
  CHECK(queues->payloads("out").size() == 100);
  CHECK(cursor() == "100");
  CHECK(last().exhausted);
}

TEST_CASE_FIXTURE(io_fixture, "a replica whose source is read by another ends and says why") {
  threads->manual = true;
  fill(10);
  spawn(file_to_queue());
  queues->cursors["f/p"] = "5";
  threads->current().finish_all();
  advance(1s);
  CHECK(last().phase == replica_phase::failed);
  CHECK(last().last_error.find("another replica reads the same source") == 0);
  CHECK(queues->payloads("out").empty());
}

TEST_CASE_FIXTURE(
  io_fixture,
  "a failing record of a file is tried again with back-off and then buried, the rest arrives in order") {
  int attempts = 0;
  call = [&](std::string_view in) -> result<std::vector<std::string>> {
    if (in == "r5") {
      ++attempts;
      return fail(errc::internal, "no");
    }
    return std::vector{std::string{in}};
  };
  fill(10);
  spawn(file_to_queue());
  advance(100ms);
  CHECK(attempts == 1);
  advance(10s);
  CHECK(attempts == 5);
  REQUIRE(queues->letters.size() == 1);
  CHECK(queues->letters[0].payload == "r5");
  CHECK(queues->letters[0].attempts == 5);
  CHECK(queues->payloads("out").size() == 9);
  CHECK(cursor() == "10");
  CHECK(last().failed_total == 5);
  CHECK(last().exhausted);
}

TEST_CASE_FIXTURE(io_fixture, "a record of a file that succeeds at the second attempt is not buried") {
  int attempts = 0;
  call = [&](std::string_view in) -> result<std::vector<std::string>> {
    if (in == "r1" && ++attempts < 2)
      return fail(errc::internal, "not yet");
    return std::vector{std::string{in}};
  };
  fill(3);
  spawn(file_to_queue());
  advance(10s);
  CHECK(queues->letters.empty());
  CHECK(queues->payloads("out") == std::vector<std::string>{"r0", "r1", "r2"});
}

TEST_CASE_FIXTURE(
  io_fixture, "what the source refuses is buried in its place with the source's words, unseen by user code") {
  std::vector<std::string> seen;
  call = [&](std::string_view in) -> result<std::vector<std::string>> {
    seen.emplace_back(in);
    return std::vector{std::string{in}};
  };
  fill(5);
  from->records[0] = from->records[2] = from->records[4] = from->refuses;
  spawn(file_to_file());
  advance(1s);
  REQUIRE(queues->letters.size() == 3);
  CHECK(queues->letters[1].error == "line 3 is none");
  CHECK(queues->letters[1].payload == from->refuses);
  CHECK(queues->letters[1].attempts == 1);
  CHECK(seen == std::vector<std::string>{"r1", "r3"});
  CHECK(to->records == seen);
  CHECK(cursor() == "5");
  CHECK(last().failed_total == 3);
  CHECK(last().exhausted);
}

TEST_CASE_FIXTURE(io_fixture, "a source that holds nothing but refusals is read to its end") {
  fill(3);
  for (auto& each : from->records)
    each = from->refuses;
  spawn(file_to_queue());
  advance(1s);
  CHECK(queues->letters.size() == 3);
  CHECK(cursor() == "3");
  CHECK(last().exhausted);
}

TEST_CASE_FIXTURE(io_fixture, "a line that does not decode is buried at once") {
  call = [](std::string_view in) -> result<std::vector<std::string>> {
    if (in == "r1")
      return fail(errc::invalid_argument, "no JSON");
    return std::vector{std::string{in}};
  };
  fill(3);
  spawn(file_to_file());
  advance(1s);
  REQUIRE(queues->letters.size() == 1);
  CHECK(queues->letters[0].attempts == 1);
  CHECK(to->records == std::vector<std::string>{"r0", "r2"});
  CHECK(cursor() == "3");
}

TEST_CASE_FIXTURE(io_fixture, "results reach another sink before the leases are settled") {
  put(100);
  to->failures.assign(3, {errc::unavailable, "disk is full"});
  spawn(queue_to_file());
  CHECK(queues->commits == 0);
  CHECK(last().phase == replica_phase::running);
  advance(10s);
  CHECK(to->records.size() == 100);
  CHECK(queues->payloads("in").empty());
  CHECK(queues->payloads("out").empty());
  CHECK(last().processed_total == 100);
}

TEST_CASE_FIXTURE(io_fixture, "a result that the sink refuses for good fails alone") {
  to->refuses = "<r3>";
  put(10);
  spawn(queue_to_file());
  advance(5s);
  CHECK(to->records.size() == 9);
  REQUIRE(queues->letters.size() == 1);
  CHECK(queues->letters[0].payload == "r3");
  CHECK(queues->letters[0].error == "sink: does not take <r3>");
  CHECK(last().processed_total == 9);
}

TEST_CASE_FIXTURE(io_fixture, "a result of a file that the sink refuses for good is buried with its input") {
  to->refuses = "<r3>";
  fill(10);
  spawn(file_to_file());
  advance(5s);
  CHECK(to->records.size() == 9);
  REQUIRE(queues->letters.size() == 1);
  CHECK(queues->letters[0].payload == "r3");
  CHECK(cursor() == "10");
  CHECK(last().exhausted);
}

TEST_CASE_FIXTURE(io_fixture, "a file into a file keeps its order and moves its position after the write") {
  fill(2000);
  auto opts = file_to_file();
  opts.processor.num_concurrency = 4;
  spawn(std::move(opts));
  advance(5s);
  REQUIRE(to->records.size() == 2000);
  for (int i = 0; i < 2000; ++i)
    CHECK(to->records[static_cast<std::size_t>(i)] == "<r" + std::to_string(i) + ">");
  CHECK(cursor() == "2000");
}

TEST_CASE_FIXTURE(io_fixture, "a source without a position has nothing to commit") {
  fill(10);
  from->position = false;
  spawn(file_to_file());
  advance(1s);
  CHECK(to->records.size() == 10);
  CHECK(queues->commits == 0);
  CHECK(queues->cursors.empty());
  CHECK(last().processed_total == 10);
}

TEST_CASE_FIXTURE(io_fixture, "results that go nowhere are counted and make room") {
  auto opts = options();
  opts.processor.sink = {"empty", {}};
  put(10);
  spawn(std::move(opts));
  advance(1s);
  CHECK(last().processed_total == 10);
  CHECK(threads->current().settled_bytes > 0);
  CHECK(queues->payloads("in").empty());
  CHECK(queues->payloads("").empty());
}

TEST_CASE_FIXTURE(io_fixture,
                  "a sink that cannot be opened yet is tried again, with the reason in the report") {
  to->open_failures.assign(3, {errc::unavailable, "no such mount yet"});
  put(1);
  spawn(queue_to_file());
  CHECK(last().phase == replica_phase::starting);
  advance(500ms);
  CHECK(last().last_error == "no such mount yet");
  advance(20s);
  CHECK(last().phase == replica_phase::running);
  CHECK(to->records.size() == 1);
}

TEST_CASE_FIXTURE(io_fixture, "a sink that can never be opened ends the replica after teardown") {
  to->open_failures.assign(1, {errc::invalid_argument, "is a directory"});
  spawn(queue_to_file());
  advance(1s);
  CHECK(last().phase == replica_phase::failed);
  CHECK(last().last_error == "is a directory");
  CHECK(teardowns == 1);
  CHECK(to->closes == 0);
}

TEST_CASE_FIXTURE(io_fixture, "a drain during a start ends it") {
  to->open_failures.assign(1000, {errc::unavailable, "not yet"});
  auto replica = spawn(queue_to_file());
  drain(replica);
  advance(1s);
  CHECK(last().phase == replica_phase::down);
  CHECK(teardowns == 1);
}

TEST_CASE_FIXTURE(io_fixture,
                  "a source that fails for good lets the rest be settled, then the replica fails") {
  fill(5);
  from->ends = false;
  auto replica = spawn(file_to_queue());
  from->failures.push_back({errc::not_found, "the file is gone"});
  advance(5s);
  CHECK(last().phase == replica_phase::failed);
  CHECK(last().last_error == "the file is gone");
  CHECK(queues->payloads("out").size() == 5);
  CHECK(cursor() == "5");
}

TEST_CASE_FIXTURE(io_fixture, "a source that fails for now is asked again") {
  fill(5);
  from->failures.assign(3, {errc::unavailable, "stale handle"});
  spawn(file_to_queue());
  advance(5s);
  CHECK(queues->payloads("out").size() == 5);
}

TEST_CASE_FIXTURE(io_fixture, "a drain forgets what waits for another attempt, so it comes again") {
  call = [&](std::string_view in) -> result<std::vector<std::string>> {
    if (in == "r2")
      return fail(errc::internal, "no");
    return std::vector{std::string{in}};
  };
  fill(5);
  auto replica = spawn(file_to_file());
  advance(100ms);
  drain(replica);
  CHECK(last().phase == replica_phase::down);
  CHECK(to->records == std::vector<std::string>{"r0", "r1"});
  CHECK(cursor() == "2");
  CHECK(to->closes == 1);
}

TEST_CASE_FIXTURE(io_fixture, "a push that has to be repeated is not overtaken") {
  threads->manual = true;
  put(4);
  spawn(queue_to_file());
  to->failures.assign(1, {errc::unavailable, "busy"});
  threads->current().finish(1);
  run();
  threads->current().finish(2);
  run();
  CHECK(to->records.empty());
  advance(1s);
  CHECK(to->records == std::vector<std::string>{"<r0>", "<r1>"});
}
