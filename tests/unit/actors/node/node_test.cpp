// Goal: the agent turns the cluster's wish into hosts and says how they stand, with or
// without a head.
#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_host_launcher.hpp"
#include "tests/support/fake_node_ports.hpp"
#include "actors/node/node.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <doctest/doctest.h>

#include <csignal>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

/// What a head was told, in order.
struct head_log {
  std::vector<cluster::register_node> registers;
  std::vector<node::node_report> reports;
  std::vector<cluster::host_ended> ends;
  std::vector<node_id> leaves;
  std::vector<std::string> order;
  bool refuse = false;
};

cluster::node_facing_handle::behavior_type head_behavior(std::shared_ptr<head_log> log) {
  return {
    [log](const cluster::register_node& what) -> caf::result<cluster::registered> {
      log->registers.push_back(what);
      if (log->refuse)
        return to_caf({errc::unavailable, "not yet"});
      log->order.push_back("register");
      return cluster::registered{"cluster-1"};
    },
    [log](const node::node_report& what) {
      log->reports.push_back(what);
      log->order.push_back("report");
    },
    [log](const cluster::node_leaves& what) {
      log->leaves.push_back(what.node);
      log->order.push_back("leave");
    },
    [](const cluster::node_unreachable&) {},
    [log](const cluster::host_ended& what) {
      log->ends.push_back(what);
      log->order.push_back("end");
    },
  };
}

struct node_fixture : testing::deterministic_system {
  std::shared_ptr<test::fake_host_launcher> launcher = std::make_shared<test::fake_host_launcher>();
  std::shared_ptr<test::fake_artifacts> artifacts = std::make_shared<test::fake_artifacts>();
  std::shared_ptr<test::fake_resources> resources = std::make_shared<test::fake_resources>();
  std::shared_ptr<head_log> head_saw = std::make_shared<head_log>();
  std::shared_ptr<std::vector<host::desired_replicas>> host_saw =
    std::make_shared<std::vector<host::desired_replicas>>();
  std::vector<std::string> notices;
  std::vector<std::size_t> route_counts; ///< of each table that was handed on
  std::uint64_t random_next = 0;
  cluster::node_facing_handle head;
  node::agent_handle agent;

  node_fixture() { agent = own(node::spawn(sys, make_options())); }
  ~node_fixture() { end_owned(); }

  node::options make_options() {
    node::options opts;
    opts.info.id = node_id{"node-1"};
    opts.info.started = incarnation{{1, 2}};
    opts.launcher = launcher;
    opts.artifacts = artifacts;
    opts.resources = resources;
    opts.logs = std::make_shared<test::fake_logs>();
    opts.wall_clock = [] { return std::chrono::system_clock::time_point{}; };
    opts.random = [this] { return ++random_next; };
    opts.routes = [this](const ingress::route_table& table) { route_counts.push_back(table.routes.size()); };
    opts.notice = [this](std::string line) { notices.push_back(std::move(line)); };
    return opts;
  }

  cluster::node_facing_handle new_head() {
    return own(
      sys.spawn([log = head_saw](cluster::node_facing_handle::pointer) { return head_behavior(log); }));
  }

  int stops = 0; ///< answered

  void ask_to_stop() {
    sys.spawn<caf::hidden>([this](caf::event_based_actor* self) {
      self->request(agent, 60s, node::stop_request{}).then([this] { ++stops; });
    });
  }

  void connect_head() {
    head = new_head();
    caf::anon_send(agent, node::head_connected{head});
    run();
  }

  host::handle new_host() {
    return own(sys.spawn([saw = host_saw](host::handle::pointer) -> host::handle::behavior_type {
      return {[saw](const host::desired_replicas& what) { saw->push_back(what); }};
    }));
  }

  void wish(std::uint64_t revision, std::vector<std::uint64_t> replicas = {1}, bool with_flow = true) {
    node::desired_state what;
    what.revision = revision;
    node::flow_order order;
    order.flow = flow_name{"orders"};
    order.version = flow_version{1};
    order.artifact = artifact_id{"aa"};
    processor_spec work;
    work.name = processor_name{"work"};
    work.timeout = 2s;
    work.memory_bytes = 256u << 20;
    order.spec.processors = {work};
    if (with_flow)
      what.flows = {order};
    for (auto id : replicas)
      what.assignments.push_back(
        {replica_id{id}, order.flow, order.version, work.name, host::replica_goal::run});
    caf::anon_send(agent, what);
    run();
  }

  void run_host(std::int64_t pid = 77) {
    launcher->connect(pid, new_host());
    run();
  }

  void host_reports(std::vector<host::replica_report> replicas) {
    caf::anon_send(agent,
                   host::host_report{launcher->last().order.host, host_saw->back().revision, replicas});
    run();
  }

  void host_exits(int code, int signal, std::string reason) {
    launcher->exit(launcher->last(), code, signal, std::move(reason));
    run();
  }
};

host::replica_report replica(host::replica_phase phase, std::chrono::milliseconds busy = 0ms) {
  host::replica_report out;
  out.id = replica_id{1};
  out.processor = processor_name{"work"};
  out.phase = phase;
  out.busy_longest = busy;
  return out;
}

} // namespace

TEST_CASE_FIXTURE(node_fixture, "the agent registers on connect and then reports at every heartbeat") {
  connect_head();
  REQUIRE(head_saw->registers.size() == 1);
  CHECK(head_saw->registers[0].info.id == node_id{"node-1"});
  CHECK(head_saw->reports.size() == 1);
  advance(10s);
  CHECK(head_saw->reports.size() >= 19);
  CHECK(head_saw->reports.size() <= 22);
}

TEST_CASE_FIXTURE(node_fixture,
                  "a wish becomes a host with its replicas, and every step is reported at once") {
  connect_head();
  wish(1, {1, 2});
  REQUIRE(launcher->launches.size() == 1);
  CHECK(artifacts->asked == std::vector<artifact_id>{artifact_id{"aa"}});
  CHECK(launcher->last().order.flow.flow == flow_name{"orders"});
  run_host();
  REQUIRE(host_saw->size() == 1);
  CHECK(host_saw->back().replicas.size() == 2);
  advance(60ms);
  REQUIRE_FALSE(head_saw->reports.empty());
  CHECK(head_saw->reports.back().revision == 1);
  CHECK(head_saw->reports.back().hosts.at(0).phase == node::host_phase::running);
  CHECK(head_saw->reports.back().hosts.at(0).pid == 77);
  host_reports({replica(host::replica_phase::running)});
  advance(60ms);
  CHECK(head_saw->reports.back().hosts.at(0).replicas.at(0).phase == host::replica_phase::running);
}

TEST_CASE_FIXTURE(node_fixture, "many changes at once make few reports") {
  connect_head();
  wish(1);
  run_host();
  advance(1s);
  auto before = head_saw->reports.size();
  for (int i = 0; i < 100; ++i)
    host_reports({replica(i % 2 ? host::replica_phase::running : host::replica_phase::draining)});
  advance(100ms);
  CHECK(head_saw->reports.size() - before <= 4);
}

TEST_CASE_FIXTURE(node_fixture, "a host that dies is reported before the next report and started again") {
  connect_head();
  wish(1);
  run_host();
  head_saw->order.clear();
  host_exits(0, SIGSEGV, "killed by SIGSEGV");
  advance(60ms);
  REQUIRE(head_saw->ends.size() == 1);
  CHECK(head_saw->ends[0].report.reason == "killed by SIGSEGV");
  CHECK(head_saw->ends[0].node == node_id{"node-1"});
  CHECK(head_saw->ends[0].flow == flow_name{"orders"});
  CHECK_FALSE(head_saw->ends[0].expected);
  CHECK(head_saw->order.front() == "end");
  CHECK(head_saw->reports.back().hosts.at(0).phase == node::host_phase::backing_off);
  CHECK(head_saw->reports.back().hosts.at(0).replicas.empty());
  CHECK(notices.size() == 1);
  advance(200ms);
  CHECK(launcher->launches.size() == 2);
  CHECK(launcher->launches[0].order.host != launcher->launches[1].order.host);
}

TEST_CASE_FIXTURE(node_fixture, "without a head everything goes on, and the head hears of it later") {
  connect_head();
  wish(5);
  run_host();
  caf::anon_send(agent, node::head_lost{});
  run();
  auto before = head_saw->reports.size();
  host_exits(3, 0, "exited with code 3");
  advance(1s);
  CHECK(launcher->launches.size() == 2);
  run_host(78);
  CHECK(host_saw->size() == 2);
  CHECK(head_saw->reports.size() == before);
  CHECK(head_saw->ends.empty());
  head_saw->order.clear();
  connect_head();
  CHECK(head_saw->order == std::vector<std::string>{"register", "end", "report"});
  CHECK(head_saw->reports.back().hosts.at(0).restarts == 1);
  wish(1, {1, 2}); // the head was restarted and counts anew
  CHECK(host_saw->back().replicas.size() == 2);
}

TEST_CASE_FIXTURE(node_fixture, "an older wish is ignored") {
  connect_head();
  wish(5);
  wish(4, {}, false);
  run_host();
  CHECK(host_saw->back().replicas.size() == 1);
}

TEST_CASE_FIXTURE(node_fixture, "routes are handed on when they differ, also while the node stops") {
  auto tell = [&](std::uint64_t revision, std::vector<std::string> paths) {
    node::desired_state what;
    what.revision = revision;
    auto table = std::make_shared<ingress::route_table>();
    for (auto& path : paths)
      table->routes.emplace_back().http.route = std::move(path);
    what.routes = std::move(table);
    caf::anon_send(agent, what);
    run();
  };
  using counts = std::vector<std::size_t>;
  connect_head();
  wish(5);
  CHECK(route_counts == counts{0});
  tell(6, {"/a"});
  tell(7, {"/a"});
  CHECK(route_counts == counts{0, 1});
  tell(4, {"/a", "/b"});
  CHECK(route_counts == counts{0, 1});
  tell(8, {"/a", "/b", "/c"});
  CHECK(route_counts == counts{0, 1, 3});
  run_host();
  ask_to_stop();
  run();
  tell(9, {"/c"});
  CHECK(route_counts == counts{0, 1, 3, 1});
}

TEST_CASE_FIXTURE(node_fixture, "a head that does not register the node is asked again") {
  head_saw->refuse = true;
  connect_head();
  CHECK(head_saw->reports.empty());
  head_saw->refuse = false;
  advance(1s);
  CHECK(head_saw->registers.size() == 2);
  CHECK_FALSE(head_saw->reports.empty());
  CHECK(notices.size() == 1);
}

TEST_CASE_FIXTURE(node_fixture, "a host over its memory limit is killed and shown for it") {
  connect_head();
  wish(1);
  resources->processes[77] = {std::uint64_t{100} << 20, 1s};
  run_host();
  advance(1s);
  CHECK(launcher->killed.empty());
  CHECK(head_saw->reports.back().hosts.at(0).memory_bytes == std::uint64_t{100} << 20);
  resources->processes[77] = {std::uint64_t{412} << 20, 2s};
  advance(250ms);
  REQUIRE(launcher->killed.size() == 1);
  resources->processes.clear();
  host_exits(0, SIGKILL, "killed by SIGKILL (not by Sluice)");
  advance(60ms);
  CHECK(head_saw->ends.at(0).report.reason == "out of memory: 412 MiB used, limit 256 MiB");
  CHECK(head_saw->reports.back().hosts.at(0).last_crash->reason
        == "out of memory: 412 MiB used, limit 256 MiB");
}

TEST_CASE_FIXTURE(node_fixture, "hosts that come and go for hours leave no timers behind") {
  connect_head();
  wish(1);
  for (int i = 0; i < 200; ++i) {
    run_host();
    for (int seconds = 0; seconds < 60; ++seconds) { // so long that it is no crash loop
      host_reports({replica(host::replica_phase::running)});
      advance(1s);
    }
    host_exits(0, SIGSEGV, "killed by SIGSEGV");
    advance(10s);
  }
  CHECK(launcher->launches.size() == 201);
  CHECK(timer_count() < 10);
}

TEST_CASE_FIXTURE(node_fixture, "a hung call is ended within a second after its timeout") {
  connect_head();
  wish(1);
  run_host();
  host_reports({replica(host::replica_phase::running, 2100ms)});
  CHECK(launcher->killed.empty());
  host_reports({replica(host::replica_phase::running, 2600ms)});
  REQUIRE(launcher->killed.size() == 1);
  CHECK(launcher->killed[0].second == 2s);
}

TEST_CASE_FIXTURE(node_fixture, "a pause of the whole process ends no host") {
  connect_head();
  wish(1);
  run_host();
  advance(1s);
  host_reports({replica(host::replica_phase::running)});
  jump(30s);
  advance(1s);
  CHECK(launcher->killed.empty());
  advance(limits::host_silence_timeout);
  CHECK(launcher->killed.size() == 1);
}

TEST_CASE_FIXTURE(node_fixture, "a flow that is gone from the wish is drained, stopped and forgotten") {
  connect_head();
  wish(1);
  run_host();
  host_reports({replica(host::replica_phase::running)});
  wish(2, {}, false);
  CHECK(host_saw->back().replicas.empty());
  CHECK(launcher->terminated.empty());
  host_reports({replica(host::replica_phase::down)});
  CHECK(launcher->terminated.size() == 1);
  host_exits(0, 0, "exited with code 0");
  advance(60ms);
  CHECK(head_saw->ends.at(0).expected);
  CHECK(head_saw->reports.back().hosts.at(0).phase == node::host_phase::down);
  advance(1s);
  CHECK(head_saw->reports.back().hosts.empty());
  CHECK(notices.empty());
}

TEST_CASE_FIXTURE(node_fixture, "a stop drains all hosts, then leaves, then answers") {
  connect_head();
  wish(1);
  run_host();
  ask_to_stop();
  run();
  CHECK(stops == 0);
  CHECK(host_saw->back().replicas.empty());
  host_reports({});
  host_exits(0, 0, "exited with code 0");
  CHECK(stops == 1);
  CHECK(head_saw->leaves == std::vector<node_id>{node_id{"node-1"}});
  CHECK(head_saw->order.back() == "leave");
  auto before = head_saw->reports.size();
  advance(2s);
  CHECK(head_saw->reports.size() == before);
}

TEST_CASE_FIXTURE(node_fixture, "a stop without hosts is answered at once") {
  ask_to_stop();
  ask_to_stop();
  run();
  CHECK(stops == 2);
}

TEST_CASE_FIXTURE(node_fixture, "a crash loop starts at most five processes a minute") {
  connect_head();
  wish(1);
  for (int i = 0; i < 200; ++i) {
    auto count = launcher->launches.size();
    advance(300ms);
    if (launcher->launches.size() != count || i == 0)
      host_exits(1, 0, "exited with code 1");
  }
  CHECK(launcher->launches.size() <= 6);
  CHECK(head_saw->reports.back().hosts.at(0).phase == node::host_phase::crash_loop);
}

TEST_CASE_FIXTURE(node_fixture, "a fetch that is answered late starts the host then") {
  artifacts->hold = true;
  connect_head();
  wish(1);
  CHECK(launcher->launches.empty());
  advance(1min);
  artifacts->held.at(0)({});
  run();
  CHECK(launcher->launches.size() == 1);
}

TEST_CASE_FIXTURE(node_fixture, "a damaged artifact is told once, with flow and version") {
  artifacts->outcome = fail(errc::corrupt, "the head's copy of aa does not match its hash");
  connect_head();
  wish(1);
  advance(1min);
  CHECK(artifacts->asked.size() > 2);
  CHECK(notices
        == std::vector<std::string>{
          "flow 'orders' version 1 cannot run here: the head's copy of aa does not match its hash"});
  CHECK(head_saw->reports.back().hosts.at(0).detail
        == "artifact: the head's copy of aa does not match its hash");
}

TEST_CASE_FIXTURE(node_fixture, "logs are read through the store, and its refusal is passed on") {
  node::log_request request;
  request.flow = flow_name{"orders"};
  auto chunk = ask<node::log_chunk>(agent, request);
  REQUIRE(chunk);
  CHECK(chunk->text == "a line\n");
  request.flow = flow_name{"unknown"};
  auto none = ask<node::log_chunk>(agent, request);
  REQUIRE_FALSE(none);
  CHECK(none.error().code == errc::not_found);
  auto sources = ask<node::log_sources_reply>(agent, node::log_sources_request{flow_name{"orders"}});
  REQUIRE(sources);
  CHECK(sources->sources.at(0).host == host_id{5});
}

TEST_CASE("every phase of a host has a name") {
  CHECK(node::to_string(node::host_phase::fetching) == "fetching");
  CHECK(node::to_string(node::host_phase::crash_loop) == "crash_loop");
  CHECK(node::to_string(node::host_phase::down) == "down");
}
