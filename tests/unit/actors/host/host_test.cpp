#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_queue.hpp"
#include "tests/support/fake_threads.hpp"
#include "actors/host/host.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace sluice;
using namespace sluice::testing;
using namespace std::chrono_literals;
using host::replica_goal;
using host::replica_phase;

namespace {

struct echo_body final : processor_body {
  result<void> process(std::string_view payload, encoded_results& out) override {
    out.bytes() += payload;
    out.finish_one();
    return {};
  }
  void process_async(std::string_view, encoded_results&, executor&,
                     std::function<void(result<void>)>) override {}
};

class fixture : public deterministic_system {
public:
  std::shared_ptr<fake_queue> queues = std::make_shared<fake_queue>();
  std::shared_ptr<fake_threads> threads = std::make_shared<fake_threads>();
  std::vector<host::host_report> reports;
  host::node_handle node = own(sys.spawn(
    [](host::node_handle::pointer, std::vector<host::host_report>* to) {
      return host::node_handle::behavior_type{
        [to](const host::host_report& report) { to->push_back(report); }};
    },
    &reports));
  host::handle host = own(host::spawn(sys, options()));

  host::options options() {
    host::options out;
    out.id = host_id{7};
    out.node = node_id{"n"};
    out.flow.name = flow_name{"f"};
    out.flow.processors = {processor("copy", {"queue", {{"name", "in"}}}), processor("odd", {"nothing", {}})};
    for (const auto& each : out.flow.processors)
      out.bodies[each.name] = body_factory{[] { return std::make_unique<echo_body>(); }};
    out.queue = own(spawn_fake_queue(sys, queues));
    out.owner = node;
    out.connectors = std::make_shared<connector_registry>();
    out.threads = threads;
    return out;
  }

  static processor_spec processor(const std::string& name, io_spec source) {
    processor_spec out;
    out.name = processor_name{name};
    out.source = std::move(source);
    out.sink = {"queue", {{"name", "out"}}};
    return out;
  }

  void want(std::uint64_t revision, std::vector<host::replica_order> replicas) {
    host::desired_replicas desired;
    desired.revision = revision;
    desired.replicas = std::move(replicas);
    caf::anon_send(host, desired);
    run();
  }

  static host::replica_order order(std::uint64_t id, const std::string& name = "copy",
                                   replica_goal goal = replica_goal::run) {
    return {replica_id{id}, processor_name{name}, goal};
  }

  const host::replica_report& replica(std::uint64_t id) {
    const auto& all = reports.back().replicas;
    auto found = std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.id.value == id; });
    REQUIRE(found != all.end());
    return *found;
  }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "replicas that are wanted run, and records go through them") {
  for (int i = 0; i < 100; ++i)
    queues->put("in", std::to_string(i));
  want(1, {order(1), order(2)});
  advance(1s);
  CHECK(queues->payloads("out").size() == 100);
  CHECK(reports.back().host == host_id{7});
  CHECK(reports.back().revision == 1);
  CHECK(replica(1).phase == replica_phase::running);
  CHECK(replica(1).processed_total + replica(2).processed_total == 100);
}

TEST_CASE_FIXTURE(fixture, "a host reports at every heartbeat, also with nothing to run") {
  run();
  const auto before = reports.size();
  advance(10 * limits::heartbeat_interval);
  CHECK(reports.size() == before + 10);
}

TEST_CASE_FIXTURE(fixture, "a change of phase is reported at once") {
  want(1, {order(1)});
  CHECK(replica(1).phase == replica_phase::running);
  want(2, {order(1, "copy", replica_goal::drain)});
  CHECK(replica(1).phase == replica_phase::down);
  want(3, {});
  CHECK(reports.back().replicas.empty());
}

TEST_CASE_FIXTURE(fixture,
                  "a processor that is not in the flow and a source that is not known fail with the reason") {
  want(1, {order(1, "missing"), order(2, "odd"), order(3)});
  CHECK(replica(1).phase == replica_phase::failed);
  CHECK(replica(1).last_error == "flow 'f' has no processor 'missing'");
  CHECK(replica(2).last_error == "no source is called \"nothing\"; there are: none");
  CHECK(replica(3).phase == replica_phase::running);
}

TEST_CASE_FIXTURE(fixture, "an exit of the host ends its replicas and their leases are left to run out") {
  threads->manual = true;
  queues->put("in", "x");
  want(1, {order(1)});
  CHECK(queues->leased_count("in") == 1);
  CHECK(threads->works.size() == 1);
  kill(host);
  CHECK(threads->works.empty());
  CHECK(queues->releases.empty());
}
