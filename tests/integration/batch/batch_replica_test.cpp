// Goal: replicas of a batch, on a clock that stands still, with real files and a queue in memory.
#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_queue.hpp"
#include "tests/support/fake_threads.hpp"
#include "tests/support/subprocess.hpp"
#include "transport/batch/batch_environment.hpp"
#include "actors/batch/batch_replica.hpp"

#include <sluice/async.hpp>
#include <sluice/flow.hpp>

#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::testing;
using namespace std::chrono_literals;

namespace {

struct line {
  std::uint64_t n = 0;
};
struct sum {
  std::string kind;
  std::uint64_t total = 0;
};

std::vector<line> twice(const line& in) { return {in, in}; }
async<std::vector<line>> twice_later(line in) { co_return std::vector<line>{in, in}; }
sum by_kind(const line& in) { return {in.n % 2 == 0 ? "even" : "odd", in.n}; }
void add(sum& into, const sum& next) { into.total += next.total; }

struct fixture : deterministic_system {
  test::temp_dir dir;
  std::shared_ptr<fake_queue> queues = std::make_shared<fake_queue>();
  std::shared_ptr<fake_threads> threads = std::make_shared<fake_threads>();
  std::shared_ptr<batch::environment_port> environment = batch::make_environment(nullptr);
  queue::handle queue = own(spawn_fake_queue(sys, queues));
  std::vector<host::replica_report> reports;
  replica::owner_handle owner = own(sys.spawn(
    [](replica::owner_handle::pointer, std::vector<host::replica_report>* to) {
      return replica::owner_handle::behavior_type{
        [to](const replica::status& status) { to->push_back(status.report); }};
    },
    &reports));
  std::uint64_t last_id = 0;
  std::string expected;
  io_spec source = io::file(dir / "in.jsonl");

  fixture() {
    std::string text;
    for (int n = 1; n <= 2000; ++n) {
      text += "{\"n\":" + std::to_string(n) + "}\n";
      for (int i = 0; i < 2; ++i)
        expected += "{\"n\":" + std::to_string(n) + "}\n";
    }
    test::write_file(dir / "in.jsonl", text);
  }

  template <class Add>
  replica::handle spawn(Add add_to, const io_spec& sink, std::uint64_t run = 1) {
    flow flow{"f"};
    add_to(flow, batch_options{.source = source, .sink = sink, .num_concurrency = 2, .split_bytes = 4096});
    const auto spec = flow.spec();
    batch::options out;
    out.processor = spec.processors.front();
    out.consumer = {spec.name, out.processor.name};
    out.owner = {node_id{"n"}, host_id{7}, replica_id{++last_id}};
    out.queue = queue;
    out.run = run;
    out.make_body = std::get<body_factory>(flow.bodies().begin()->second);
    out.files = environment->make_files(spec.name, out.processor).value();
    out.environment = environment;
    out.threads = threads;
    out.owner_actor = owner;
    auto made = own(batch::spawn(sys, std::move(out)));
    this->run();
    return made;
  }
  bool run_to_end() {
    for (int i = 0; i < 300 && !(!reports.empty() && reports.back().exhausted); ++i)
      advance(100ms);
    return reports.back().exhausted;
  }
};

const auto doubles = [](flow& to, batch_options with) { to.batch<twice>("b", std::move(with)); };
const auto sums = [](flow& to, batch_options with) {
  to.batch<by_kind, add, &sum::kind>("b", std::move(with));
};

} // namespace

TEST_CASE_FIXTURE(fixture, "a file becomes a file, in order, whole, and nothing is left beside it") {
  auto one = spawn(doubles, io::file(dir / "out.jsonl"));
  auto other = spawn(doubles, io::file(dir / "out.jsonl"));
  REQUIRE(run_to_end());
  CHECK(test::read_file(dir / "out.jsonl") == expected);
  const auto& report = reports.back();
  REQUIRE(report.batch.has_value());
  CHECK(report.batch->phase == host::batch_phase::done);
  CHECK(report.batch->records_in == 2000);
  CHECK(report.batch->records_out == 4000);
  caf::anon_send(one, replica::drain{});
  caf::anon_send(other, replica::drain{});
  advance(200ms);
  CHECK(reports.back().phase == host::replica_phase::down);
  CHECK(std::distance(std::filesystem::directory_iterator{dir.path()}, {}) == 2);
  CHECK(queues->queues["batch.f.b"].empty());
}

TEST_CASE_FIXTURE(fixture, "coroutines of a batch, a hundred at once, take one thread and keep the order") {
  spawn(
    [](flow& to, batch_options with) {
      with.num_concurrency.reset();
      to.batch<twice_later>("b", std::move(with));
    },
    io::file(dir / "out.jsonl"));
  REQUIRE(run_to_end());
  CHECK(test::read_file(dir / "out.jsonl") == expected);
  CHECK(threads->runners == 2); // for user code, and for files
}

TEST_CASE_FIXTURE(fixture, "commits that fail, or whose answers are lost, change nothing of the outcome") {
  using fault = fake_queue::fault;
  queues->commit_faults = {fault::none,        fault::lose_answer, fault::refuse,
                           fault::lose_answer, fault::none,        fault::refuse};
  spawn(doubles, io::queue("out"));
  REQUIRE(run_to_end());
  std::string got;
  for (const auto& each : queues->payloads("out"))
    got += each + "\n";
  CHECK(got == expected);
  CHECK_FALSE(reports.back().retrying);
}

TEST_CASE_FIXTURE(
  fixture, "what is in a queue becomes a queue, whatever becomes of commits, and what comes later stays") {
  using fault = fake_queue::fault;
  queues->commit_faults = {fault::none,        fault::lose_answer, fault::refuse,
                           fault::lose_answer, fault::none,        fault::refuse};
  source = io::queue("in");
  for (int n = 1; n <= 2000; ++n)
    queues->put("in", "{\"n\":" + std::to_string(n) + "}");
  auto one = spawn(doubles, io::queue("out"));
  auto other = spawn(doubles, io::queue("out"));
  REQUIRE(run_to_end());
  auto got = queues->payloads("out");
  CHECK(got.size() == 4000);
  std::sort(got.begin(), got.end());
  got.erase(std::unique(got.begin(), got.end()), got.end());
  CHECK(got.size() == 2000);
  CHECK(queues->queues["in"].empty());
  CHECK(reports.back().batch->records_in == 2000);
  queues->put("in", "{\"n\":2001}");
  caf::anon_send(one, replica::drain{});
  caf::anon_send(other, replica::drain{});
  advance(5s);
  CHECK(queues->payloads("in").size() == 1);
  CHECK(queues->queues["batch.f.b"].empty());
}

TEST_CASE_FIXTURE(fixture,
                  "what is in a queue becomes a file, in order, and a run that finds nothing leaves it") {
  source = io::queue("in");
  for (int n = 1; n <= 2000; ++n)
    queues->put("in", "{\"n\":" + std::to_string(n) + "}");
  auto one = spawn(doubles, io::file(dir / "out.jsonl"));
  REQUIRE(run_to_end());
  CHECK(test::read_file(dir / "out.jsonl") == expected);
  caf::anon_send(one, replica::drain{});
  advance(200ms);
  reports.clear();
  spawn(doubles, io::file(dir / "out.jsonl"), 2);
  REQUIRE(run_to_end());
  CHECK(reports.back().batch->records_in == 0);
  CHECK(test::read_file(dir / "out.jsonl") == expected);
}

TEST_CASE_FIXTURE(fixture,
                  "a source that changes while it is read fails the batch, which puts nothing in place") {
  spawn(doubles, io::file(dir / "out.jsonl"));
  REQUIRE_FALSE(reports.back().exhausted);
  test::write_file(dir / "in.jsonl", test::read_file(dir / "in.jsonl") + "{\"n\":2001}\n");
  REQUIRE(run_to_end());
  CHECK(reports.back().batch->phase == host::batch_phase::failed);
  CHECK(reports.back().batch->error.find("has changed") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(dir / "out.jsonl"));
}

TEST_CASE_FIXTURE(fixture,
                  "a source that is cut off in the middle of a record has changed, and is not to be mended") {
  spawn(doubles, io::file(dir / "out.jsonl"));
  REQUIRE_FALSE(reports.back().exhausted);
  const auto half = test::read_file(dir / "in.jsonl").find('\n', 10'000) + 4;
  std::filesystem::resize_file(dir / "in.jsonl", half);
  REQUIRE(run_to_end());
  CHECK(reports.back().batch->phase == host::batch_phase::failed);
  const auto& error = reports.back().batch->error;
  CHECK_MESSAGE(error.find("and has " + std::to_string(half)) != std::string::npos, error);
}

TEST_CASE_FIXTURE(fixture, "a reduce step into CSV; the same run again is done, the next one is another") {
  auto one = spawn(sums, io::file(dir / "out.csv"));
  REQUIRE(run_to_end());
  CHECK(test::read_file(dir / "out.csv") == "kind,total\neven,1001000\nodd,1000000\n");
  CHECK(reports.back().batch->records_out == 2);
  caf::anon_send(one, replica::drain{});
  advance(200ms);
  reports.clear();

  test::write_file(dir / "in.jsonl", "{\"n\":5}\n");
  auto same = spawn(sums, io::file(dir / "out.csv"));
  REQUIRE(run_to_end());
  CHECK(reports.back().batch->records_in == 2000);
  caf::anon_send(same, replica::drain{});
  advance(200ms);
  reports.clear();

  spawn(sums, io::file(dir / "out.csv"), 2);
  REQUIRE(run_to_end());
  CHECK(reports.back().batch->records_in == 1);
  CHECK(test::read_file(dir / "out.csv") == "kind,total\nodd,5\n");
}
