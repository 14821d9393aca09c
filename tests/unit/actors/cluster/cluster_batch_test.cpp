// Goal: a flow whose processors are all batches ends when they have; every other flow does not.
#include "actors/batch/batch_job.hpp"
#include "actors/cluster/cluster_state.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <optional>

namespace {

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::cluster;

const flow_name sales{"sales"};
const node_id here{"a"};

struct fixture {
  cluster_state state;
  moment at{time_point{1h}, std::chrono::system_clock::time_point{1h}};
  node::desired_state told;
  decision last;

  fixture() {
    node_registers what;
    what.info.id = here;
    what.info.started = incarnation{{1, 0}};
    what.info.address = "a:7410";
    what.info.cpus = 4;
    what.info.memory_bytes = 1ull << 30;
    does(what);
  }

  decision& does(const event& what) {
    last = apply(state, what, at);
    for (const auto& one : last.actions)
      if (const auto* order = std::get_if<send_desired>(&one))
        told = order->state;
    return last;
  }

  static processor_spec processor(const std::string& name, pattern kind = pattern::batch) {
    processor_spec one;
    one.name = processor_name{name};
    one.kind = kind;
    one.source =
      kind == pattern::batch ? io_spec{"file", {{"path", "/in"}}} : io_spec{"queue", {{"name", "in"}}};
    one.sink = {"queue", {{"name", "out"}}};
    if (kind == pattern::batch)
      one.batch = batch_spec{};
    return one;
  }
  void submit(std::vector<processor_spec> processors) {
    submit_request what;
    what.artifact = artifact_id{std::string(64, 'a')};
    what.spec.name = sales;
    what.spec.processors = std::move(processors);
    REQUIRE_FALSE(does(what).refused);
  }

  /// The node does as it was told; batches stand as `progress` says.
  void report(const std::map<std::string, host::batch_report>& progress = {},
              const std::string& setup_fails = {}) {
    auto report = std::make_shared<node::node_report>();
    report->node = here;
    report->started = incarnation{{1, 0}};
    report->revision = told.revision;
    for (const auto& flow : told.flows) {
      node::host_status host;
      host.flow = flow.flow;
      host.version = flow.version;
      host.phase = node::host_phase::running;
      for (const auto& one : told.assignments) {
        if (one.version != flow.version)
          continue;
        host::replica_report replica;
        replica.id = one.id;
        replica.processor = one.processor;
        replica.phase =
          one.goal == host::replica_goal::run ? host::replica_phase::running : host::replica_phase::down;
        if (!setup_fails.empty() && one.goal == host::replica_goal::run) {
          replica.phase = host::replica_phase::failed;
          replica.last_error = setup_fails;
        }
        if (auto found = progress.find(one.processor.value); found != progress.end()) {
          replica.batch = found->second;
          replica.batch->run = flow.version.value;
          replica.exhausted = found->second.phase != host::batch_phase::running;
        }
        host.replicas.push_back(replica);
      }
      report->hosts.push_back(host);
    }
    at.now += 500ms;
    does(std::shared_ptr<const node::node_report>{report});
  }

  const flow_record& flow() { return state.flows.at(sales); }

  static host::batch_report progress(host::batch_phase phase, std::uint64_t records, std::string error = {}) {
    host::batch_report out;
    out.phase = phase;
    out.source_bytes = 100;
    out.done_bytes = phase == host::batch_phase::done ? 100 : 50;
    out.records_in = records;
    out.took = 1500ms;
    out.error = std::move(error);
    return out;
  }
};

constexpr auto running = host::batch_phase::running;
constexpr auto done = host::batch_phase::done;
constexpr auto broken = host::batch_phase::failed;

} // namespace

TEST_CASE_FIXTURE(fixture, "a flow of batches is complete once all are, and its replicas go") {
  submit({processor("one"), processor("two")});
  report({{"one", progress(running, 5)}, {"two", progress(running, 5)}});
  report({{"one", progress(done, 10)}, {"two", progress(running, 5)}});
  CHECK(flow().phase == flow_phase::running);
  CHECK(told.assignments.size() == 2);
  report({{"one", progress(done, 10)}, {"two", progress(done, 20)}});
  CHECK(flow().phase == flow_phase::completed);
  CHECK(flow().detail.find("two: 20 records in, 0 out, 0 rejected in 1.5 s") != std::string::npos);
  CHECK(std::ranges::any_of(last.changes.flows,
                            [](const stored_flow& row) { return row.end && row.end->is_complete; }));
  for (int i = 0; i < 3; ++i)
    report();
  CHECK(told.assignments.empty());
  CHECK(flow().stored.end->batches.at(processor_name{"one"}).records_in == 10);
  for (int i = 0; i < 3; ++i)
    does(tick{});
  CHECK(told.assignments.empty()); // nothing is started again
}

TEST_CASE_FIXTURE(fixture, "one batch that failed fails the flow, with its reason, and ends the others") {
  submit({processor("one"), processor("two")});
  report({{"one", progress(running, 5)}, {"two", progress(broken, 5, "the record at byte 7 is rejected")}});
  CHECK(flow().phase == flow_phase::failed);
  CHECK(flow().detail == "two: the record at byte 7 is rejected");
  for (int i = 0; i < 3; ++i)
    report();
  CHECK(told.assignments.empty());
}

TEST_CASE_FIXTURE(fixture, "a flow with a consumer beside goes on when its batch is done") {
  submit({processor("one"), processor("two", pattern::consumer)});
  report();
  report({{"one", progress(done, 10)}});
  CHECK(flow().phase == flow_phase::running);
  CHECK(told.assignments.size() == 2);
}

TEST_CASE_FIXTURE(fixture, "a relative path is refused, wherever the submit comes from") {
  submit_request what;
  what.artifact = artifact_id{std::string(64, 'a')};
  what.spec.name = sales;
  what.spec.processors = {processor("one")};
  what.spec.processors[0].sink = {"file", {{"path", "out.csv"}}};
  const auto refused = does(what).refused;
  REQUIRE(refused);
  CHECK(refused->code == errc::invalid_argument);
  CHECK_MESSAGE(refused->message.find("\"one\": sink: the path out.csv is relative") != std::string::npos,
                refused->message);
}

TEST_CASE_FIXTURE(fixture, "the next submit is another run; a rollback is refused") {
  submit({processor("one")});
  report({{"one", progress(done, 10)}});
  for (int i = 0; i < 3; ++i)
    report();
  submit({processor("one")});
  CHECK_FALSE(flow().stored.end);
  CHECK(told.assignments.size() == 1);
  CHECK(told.assignments.front().version == flow_version{2});
  report({{"one", progress(running, 3)}});
  report({{"one", progress(done, 7)}});
  CHECK(flow().phase == flow_phase::completed);
  CHECK(flow().stored.end->batches.at(processor_name{"one"}).records_in == 7);
  rollback_request back;
  back.flow = sales;
  CHECK(does(back).refused->code == errc::conflict);
}

TEST_CASE_FIXTURE(fixture, "a run that does not come up is not taken for the one before, which is over") {
  submit({processor("one")});
  report({{"one", progress(done, 10)}});
  for (int i = 0; i < 3; ++i)
    report();
  submit({processor("one")});
  for (int i = 0; i < 3; ++i)
    report({}, "setup failed: no such table");
  CHECK(flow().phase == flow_phase::failed);
  CHECK_MESSAGE(flow().detail.find("no such table") != std::string::npos, flow().detail);
  CHECK(flow().stored.target == flow_version{2});
  for (int i = 0; i < 600 && !flow().stored.end;
       ++i) // it is tried again, and goes well once the table is there
    report({{"one", progress(done, 20)}});
  CHECK(flow().phase == flow_phase::completed);
  CHECK(flow().stored.end->batches.at(processor_name{"one"}).records_in == 20);
}

TEST_CASE_FIXTURE(fixture, "a run that does not come up leaves the one before, where that is under way") {
  submit({processor("one")});
  report({{"one", progress(running, 5)}});
  submit({processor("one")});
  report({{"one", progress(running, 5)}}, "setup failed: no such table");
  CHECK(flow().stored.target == flow_version{1});
  CHECK_MESSAGE(flow().detail.find("no such table") != std::string::npos, flow().detail);
}

TEST_CASE_FIXTURE(fixture, "a split during which its process died counts an attempt in the queue of splits") {
  submit({processor("one")});
  report({{"one", progress(running, 5)}});
  host_ended what;
  what.node = here;
  what.flow = sales;
  what.report.host = host_id{9};
  what.report.reason = "killed by SIGSEGV";
  what.report.suspects = {{told.assignments.front().id, 17}};
  does(what);
  const auto blamed = std::ranges::find_if(last.actions, [](const action& one) {
    const auto* release = std::get_if<release_leases>(&one);
    return release != nullptr && release->failed;
  });
  REQUIRE(blamed != last.actions.end());
  CHECK(std::get<release_leases>(*blamed).queue == batch::splits_queue(sales, processor_name{"one"}));
}

TEST_CASE_FIXTURE(fixture, "a batch that is scaled beyond its replicas is told its own option") {
  auto one = processor("one");
  one.num_replicas = one.max_replicas = 2;
  submit({one});
  const auto& refused = does(scale_request{sales, processor_name{"one"}, 3}).refused;
  REQUIRE(refused);
  CHECK(refused->message == "sales/one: at most 2 replicas, the flow's num_replicas; asked for 3");
}
