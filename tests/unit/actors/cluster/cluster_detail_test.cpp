// Goal: what a flow waits for is told with its reason.

#include "actors/cluster/cluster_state.hpp"
#include "actors/cluster/cluster_view.hpp"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::cluster;

namespace {

const flow_name orders{"orders"};

/// One node, and a flow of two processors with a replica each.
struct fixture {
  cluster_state state;
  moment at{time_point{1h}, std::chrono::system_clock::time_point{1h}};
  node::desired_state told;
  std::vector<ingress::processor_load> loads; ///< with the next report

  explicit fixture(bool collects = false) {
    node_registers node;
    node.info.id = node_id{"a"};
    node.info.started = incarnation{{1, 0}};
    node.info.cpus = 4;
    node.info.memory_bytes = 1ull << 30;
    does(node);
    submit_request what;
    what.artifact = artifact_id{std::string(64, 'a')};
    what.spec.name = orders;
    for (const char* name : {"first", "second"}) {
      processor_spec one;
      one.name = processor_name{name};
      one.source = {"queue", {{"name", "in"}}};
      one.sink = {"queue", {{"name", "out"}}};
      if (collects) {
        one.kind = pattern::collector;
        one.source = {};
        one.http = http_spec{.route = std::string{"/"} + name, .method = method::post};
      }
      what.spec.processors.push_back(one);
    }
    does(what);
  }

  void does(const event& what) {
    const auto decided = apply(state, what, at);
    REQUIRE_MESSAGE(!decided.refused, (decided.refused ? decided.refused->message : ""));
    for (const auto& one : decided.actions)
      if (const auto* order = std::get_if<send_desired>(&one))
        told = order->state;
  }

  /// All replicas start; of `second` there is more to say.
  void starts(const std::string& error, std::chrono::milliseconds busy = 0ms) {
    auto report = std::make_shared<node::node_report>();
    report->node = node_id{"a"};
    report->started = incarnation{{1, 0}};
    report->revision = told.revision;
    node::host_status host;
    host.flow = orders;
    host.version = flow_version{1};
    host.phase = node::host_phase::running;
    for (const auto& one : told.assignments) {
      host::replica_report replica;
      replica.id = one.id;
      replica.processor = one.processor;
      if (one.processor.value == "second") {
        replica.last_error = error;
        replica.busy_longest = busy;
      }
      host.replicas.push_back(replica);
    }
    report->hosts.push_back(host);
    report->requests = loads;
    does(std::shared_ptr<const node::node_report>{report});
    does(tick{});
  }

  const flow_record& flow() { return state.flows.at(orders); }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "a flow that does not start says why, if one of its replicas knows") {
  starts("");
  CHECK(flow().phase == flow_phase::starting);
  CHECK(flow().detail == "starts on a");
  starts("file: open /ro/out.jsonl: Read-only file system");
  CHECK(flow().phase == flow_phase::starting);
  CHECK(flow().detail == "second starts on a: file: open /ro/out.jsonl: Read-only file system");
}

TEST_CASE_FIXTURE(fixture, "a setup that takes long is named, with how long") {
  starts("", 9s);
  CHECK(flow().detail == "starts on a");
  starts("", 75s);
  CHECK(flow().detail == "second starts on a: its setup has taken 75 s");
}

TEST_CASE("what a queue does not take of a collector is the last error of it, while that lasts") {
  fixture with{true};
  auto last_error = [&] {
    return make_view(with.state, {}, with.at.now)->flows.at(0).processors.at(1).last_error;
  };
  with.loads.resize(1);
  with.loads[0].flow = orders;
  with.loads[0].processor = processor_name{"second"};
  with.loads[0].sink_error = "the disk is full";
  with.starts("");
  CHECK(last_error() == "the disk is full");
  with.loads[0].sink_error.clear();
  with.starts("");
  CHECK(last_error().empty());
}
