#include "runtime/local_progress.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::runtime;
using namespace std::chrono_literals;

namespace {

struct fixture {
  flow_spec spec;
  host::host_report report;
  std::vector<queue::queue_stat> stats;

  fixture() {
    spec.name = flow_name{"f"};
    add("read", {"file", {{"path", "x"}}});
    add("work", {"queue", {{"name", "q"}}});
  }
  void add(const std::string& name, io_spec source) {
    processor_spec one;
    one.name = processor_name{name};
    one.source = std::move(source);
    spec.processors.push_back(std::move(one));
  }
  host::replica_report& replica(const std::string& name) {
    host::replica_report one;
    one.id = replica_id{report.replicas.size() + 1};
    one.processor = processor_name{name};
    one.phase = host::replica_phase::running;
    report.replicas.push_back(one);
    return report.replicas.back();
  }
  bool ended(bool feeds_done = true) { return has_ended(progress_of(spec, report, stats), feeds_done); }
  void depth(std::uint64_t count) {
    queue::queue_stat one;
    one.name = queue_name{"q"};
    one.depth_count = count;
    stats = {one};
  }
};

} // namespace

TEST_CASE_FIXTURE(fixture,
                  "a flow has ended when its files have, its queues are empty and nothing is in flight") {
  replica("read").exhausted = true;
  replica("work");
  CHECK(ended());
  CHECK_FALSE(ended(false));
  depth(1);
  CHECK_FALSE(ended());
  depth(0);
  CHECK(ended());
  report.replicas[1].in_flight = 1;
  CHECK_FALSE(ended());
  report.replicas[1].in_flight = 0;
  report.replicas[0].exhausted = false;
  CHECK_FALSE(ended());
}

TEST_CASE_FIXTURE(fixture, "a source has not ended before its replica is there") {
  replica("work");
  CHECK_FALSE(ended());
}

TEST_CASE_FIXTURE(fixture, "a batch has ended when one of its replicas says so") {
  spec.processors.pop_back();
  spec.processors.front().kind = pattern::batch;
  auto& other = replica("read");
  other.in_flight = 1;
  other.batch.emplace().done_bytes = 5;
  CHECK_FALSE(ended());
  auto& one = replica("read");
  one.batch.emplace().done_bytes = 10;
  one.batch->phase = host::batch_phase::done;
  one.exhausted = true;
  CHECK(ended());
}

TEST_CASE_FIXTURE(fixture, "numbers of all replicas of a processor are added up") {
  for (int i = 1; i <= 2; ++i) {
    auto& one = replica("work");
    one.processed_total = 1000u * static_cast<unsigned>(i);
    one.failed_total = 1;
    one.last_error = "no";
  }
  depth(1234567);
  const auto all = progress_of(spec, report, stats);
  REQUIRE(all.size() == 2);
  CHECK(all[1].processed_total == 3000);
  CHECK(progress_line(all, {0, 12.7}, 200)
        == "read: 0 done, 0/s  |  work: 3,000 done, 12/s, 1,234,567 waiting, 2 failed attempts");
  CHECK(progress_line(all, {0, 0}, 10) == "read: 0 do");
  CHECK(summary(all, 1500ms)
        == "read: 0 done in 1.5 s\nwork: 3,000 done in 1.5 s, 2 failed attempts, 1,234,567 wait in queue "
           "'q'\n  last error: no\n");
}

TEST_CASE_FIXTURE(fixture,
                  "what does not work at the moment is its processor's trouble, and in the summary") {
  replica("work").last_error = "of a record";
  auto& one = replica("work");
  one.last_error = "no space";
  one.retrying = true;
  replica("read").last_error = "teardown: no";
  const auto all = progress_of(spec, report, stats);
  CHECK(all[0].trouble.empty());
  CHECK(all[1].trouble == "no space");
  CHECK(
    summary(all, 1s)
    == "read: 0 done in 1.0 s\n  last error: teardown: no\nwork: 0 done in 1.0 s\n  last error: no space\n");
}

TEST_CASE_FIXTURE(fixture, "what a queue does not take of a collector is its trouble, too") {
  replica("work").last_error = "of a record";
  auto all = progress_of(spec, report, stats);
  ingress::processor_load load;
  load.flow = flow_name{"f"};
  load.processor = processor_name{"work"};
  add_sink_errors(all, {load});
  CHECK(all[1].trouble.empty());
  CHECK(all[1].last_error == "of a record");
  load.sink_error = "no space";
  add_sink_errors(all, {load});
  CHECK(all[0].trouble.empty());
  CHECK(all[1].trouble == "no space");
  CHECK(all[1].last_error == "no space");
}

TEST_CASE_FIXTURE(fixture, "a drain is held up when nothing is left but what does not work") {
  CHECK_FALSE(is_held_up(report));
  replica("read").phase = host::replica_phase::down;
  CHECK_FALSE(is_held_up(report));
  replica("work").retrying = true;
  CHECK(is_held_up(report));
  report.replicas[1].busy_longest = 1ms;
  CHECK_FALSE(is_held_up(report));
  report.replicas[1].busy_longest = 0ms;
  replica("work").phase = host::replica_phase::draining; // has something to do
  CHECK_FALSE(is_held_up(report));
}

TEST_CASE_FIXTURE(fixture, "a failed replica is its processor's failure") {
  auto& one = replica("work");
  one.phase = host::replica_phase::failed;
  one.last_error = "setup: no";
  CHECK(progress_of(spec, report, stats)[1].failure == "setup: no");
  CHECK_FALSE(progress_of(spec, report, stats)[0].failure);
}
