// Goal: single events lead to the right orders, rows and refusals; whole histories are in tests/sim.

#include "actors/cluster/cluster_state.hpp"
#include "actors/cluster/cluster_view.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace {

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::cluster;

const flow_name orders{"orders"};
const processor_name price{"price"};

struct fixture {
  cluster_state state;
  moment at{time_point{1h}, std::chrono::system_clock::time_point{1h}};
  std::map<node_id, node::desired_state> told; ///< the newest order of each node
  decision last;

  decision& does(const event& what) {
    last = apply(state, what, at);
    for (const auto& one : last.actions)
      if (const auto* order = std::get_if<send_desired>(&one))
        told[order->node] = order->state;
    return last;
  }

  decision& join(const std::string& id, double cpus = 4, std::uint64_t started = 1) {
    node_registers what;
    what.info.id = node_id{id};
    what.info.started = incarnation{{started, 0}};
    what.info.address = id + ":7410";
    what.info.cpus = cpus;
    what.info.memory_bytes = 1ull << 30;
    return does(what);
  }

  static submit_request submit_of(std::uint32_t replicas = 1, std::string request_id = {}) {
    submit_request what;
    what.request_id = std::move(request_id);
    what.artifact = artifact_id{std::string(64, 'a')};
    what.spec.name = orders;
    processor_spec one;
    one.name = price;
    one.source = {"queue", {{"name", "in"}}};
    one.sink = {"queue", {{"name", "out"}}};
    one.num_replicas = replicas;
    one.max_replicas = 100;
    what.spec.processors.push_back(one);
    return what;
  }

  /// What the node runs if it did as told; `phase` of those that should run.
  std::shared_ptr<node::node_report> report_of(const std::string& id,
                                               host::replica_phase phase = host::replica_phase::running) {
    auto report = std::make_shared<node::node_report>();
    report->node = node_id{id};
    report->started = state.nodes.at(node_id{id}).stored.info.started;
    const auto& order = told[node_id{id}];
    report->revision = order.revision;
    for (const auto& flow : order.flows) {
      node::host_status host;
      host.flow = flow.flow;
      host.version = flow.version;
      host.phase = node::host_phase::running;
      for (const auto& one : order.assignments)
        if (one.flow == flow.flow && one.version == flow.version) {
          host::replica_report replica;
          replica.id = one.id;
          replica.processor = one.processor;
          replica.phase = one.goal == host::replica_goal::run ? phase : host::replica_phase::down;
          host.replicas.push_back(replica);
        }
      report->hosts.push_back(host);
    }
    return report;
  }

  void beat(const std::string& id) { does(std::shared_ptr<const node::node_report>{report_of(id)}); }

  /// All nodes do as they are told until nothing changes.
  void settle() {
    for (int round = 0; round < 10; ++round)
      for (const auto& [id, node] : state.nodes)
        if (node.is_connected)
          beat(id.value);
  }

  /// Time passes; living nodes report, the ones named stay silent.
  void pass(std::chrono::milliseconds length, const std::set<std::string>& silent = {}) {
    for (auto end = at.now + length; at.now < end;) {
      at.now += 250ms;
      for (const auto& [id, node] : state.nodes)
        if (node.is_connected && !silent.contains(id.value))
          beat(id.value);
      does(tick{});
    }
  }

  const flow_record& flow() { return state.flows.at(orders); }
  std::size_t count(const std::string& id) { return told[node_id{id}].assignments.size(); }
};

TEST_CASE_FIXTURE(fixture, "a second process of a node that lives is a conflict and changes nothing") {
  join("a");
  auto& refused = join("a", 8, 2);
  REQUIRE(refused.refused);
  CHECK(refused.refused->code == errc::conflict);
  CHECK(refused.refused->message.find("a:7410") != std::string::npos);
  CHECK(refused.changes.empty());
  CHECK(state.nodes.at(node_id{"a"}).stored.info.cpus == 4);
}

TEST_CASE_FIXTURE(fixture, "a second process of a node that is suspect takes over, and leases go back") {
  join("a");
  does(submit_of(2));
  settle();
  does(link_lost{node_id{"a"}, incarnation{{1, 0}}});
  auto& taken = join("a", 4, 2);
  CHECK(!taken.refused);
  REQUIRE(std::ranges::any_of(taken.actions,
                              [](const action& one) { return std::holds_alternative<release_leases>(one); }));
  CHECK(std::holds_alternative<release_leases>(taken.actions.front())); // before the new orders
  CHECK(count("a") == 2);
}

TEST_CASE_FIXTURE(fixture, "a registration without id or incarnation is refused") {
  CHECK(join("").refused->code == errc::invalid_argument);
  CHECK(join("a", 4, 0).refused->code == errc::invalid_argument);
  CHECK(state.nodes.empty());
}

TEST_CASE_FIXTURE(fixture, "a node that comes back with another HTTP address is stored with it") {
  join("a");
  CHECK(join("a").changes.nodes.empty());
  node_registers again{state.nodes.at(node_id{"a"}).stored.info};
  again.info.http_address = "http://10.0.0.1:8000";
  does(again);
  REQUIRE(last.changes.nodes.size() == 1);
  CHECK(last.changes.nodes[0].info.http_address == "http://10.0.0.1:8000");
}

TEST_CASE_FIXTURE(fixture, "words of an older process of a node are not heard") {
  join("a");
  auto old = report_of("a");
  does(link_lost{node_id{"a"}, incarnation{{1, 0}}});
  join("a", 4, 2);
  pass(2s, {"a"});
  CHECK(phase_of(state, state.nodes.at(node_id{"a"})) == node_phase::suspect);
  does(std::shared_ptr<const node::node_report>{old});
  CHECK(phase_of(state, state.nodes.at(node_id{"a"})) == node_phase::suspect);
  join("a", 4, 2);
  does(link_lost{node_id{"a"}, incarnation{{1, 0}}});
  CHECK(phase_of(state, state.nodes.at(node_id{"a"})) == node_phase::alive);
}

TEST_CASE_FIXTURE(
  fixture, "orders grow in revision, go out only on change, and again to a node that has not seen its own") {
  join("a");
  const auto first = told[node_id{"a"}].revision;
  does(tick{});
  CHECK(last.actions.empty());
  auto old = report_of("a");
  does(submit_of(1));
  const auto second = told[node_id{"a"}].revision;
  CHECK(second > first);
  does(std::shared_ptr<const node::node_report>{old});
  CHECK(last.actions.empty()); // it may be on its way
  at.now += 1s;
  does(std::shared_ptr<const node::node_report>{old});
  CHECK(last.actions.size() == 1);
  CHECK(told[node_id{"a"}].revision > second);
}

TEST_CASE_FIXTURE(fixture,
                  "a node that knows a higher revision than the head is told with one still higher") {
  join("a");
  auto report = report_of("a");
  report->revision = 1ull << 40;
  does(std::shared_ptr<const node::node_report>{report});
  CHECK(told[node_id{"a"}].revision > 1ull << 40);
}

TEST_CASE_FIXTURE(fixture,
                  "rows of new replicas come with the order that names them, and the last id with both") {
  join("a");
  auto& made = does(submit_of(3));
  CHECK(made.changes.replicas.size() == 3);
  CHECK(made.changes.replica_id_last == 3);
  CHECK(made.changes.versions.size() == 1);
  CHECK(made.changes.flows.size() == 1);
  CHECK(count("a") == 3);
  CHECK(made.reply.version == flow_version{1});
}

TEST_CASE_FIXTURE(fixture, "ids are never given twice, also after a restart of the head") {
  join("a");
  does(submit_of(3));
  stored_state stored;
  stored.openings = 2;
  stored.replica_id_last = 3;
  auto restored = restore(stored, {}, at.now);
  REQUIRE(restored);
  const auto revision = told[node_id{"a"}].revision;
  state = *restored;
  join("a");
  does(submit_of(1));
  CHECK(told[node_id{"a"}].assignments.at(0).id == replica_id{4});
  CHECK(told[node_id{"a"}].revision > revision);
}

TEST_CASE_FIXTURE(fixture, "a node that is known from before is heard once it has registered, not earlier") {
  stored_state stored;
  stored_node node;
  node.info.id = node_id{"a"};
  node.info.started = incarnation{{1, 0}};
  node.info.cpus = 4;
  stored.nodes.push_back(node);
  state = *restore(stored, {}, at.now);
  beat("a"); // there is no agent to send orders to yet
  CHECK(phase_of(state, state.nodes.at(node_id{"a"})) == node_phase::suspect);
  does(submit_of(1));
  CHECK(flow().waiting.at(price).reason == "no node takes work");
  join("a");
  CHECK(count("a") == 1);
}

TEST_CASE_FIXTURE(fixture, "suspect and draining nodes get nothing new, and keep what they have") {
  join("a");
  join("b");
  does(submit_of(2));
  settle();
  pass(2s, {"a"});
  does(scale_request{orders, price, 5});
  CHECK(count("a") == 1);
  CHECK(count("b") == 4);
  settle();
  does(drain_node_request{node_id{"b"}, false});
  CHECK(count("a") == 4); // it has been heard in `settle` and takes what fits
  CHECK(flow().waiting.at(price).count == 1);
}

TEST_CASE_FIXTURE(fixture, "a node that drains twice or is unknown") {
  join("a");
  does(drain_node_request{node_id{"a"}, false});
  CHECK(phase_of(state, state.nodes.at(node_id{"a"})) == node_phase::drained);
  CHECK(does(drain_node_request{node_id{"a"}, false}).changes.empty());
  CHECK(does(drain_node_request{node_id{"x"}, false}).refused->code == errc::not_found);
}

TEST_CASE_FIXTURE(fixture,
                  "a draining replica is gone when its node says so, not when it merely knows the order") {
  join("a");
  does(submit_of(1));
  auto before = report_of("a");
  before->hosts[0].replicas.clear(); // the host has just said hello
  does(std::shared_ptr<const node::node_report>{before});
  does(drain_flow_request{orders, false});
  auto unseen = report_of("a");
  unseen->hosts[0].replicas.clear();
  does(std::shared_ptr<const node::node_report>{unseen});
  CHECK(state.replicas.size() == 1);
  CHECK(flow().phase == flow_phase::draining);
  auto draining = report_of("a");
  draining->hosts[0].replicas[0].phase = host::replica_phase::draining;
  does(std::shared_ptr<const node::node_report>{draining});
  CHECK(state.replicas.size() == 1);
  does(std::shared_ptr<const node::node_report>{unseen}); // now its absence says something
  CHECK(state.replicas.empty());
  CHECK(flow().phase == flow_phase::drained);
  CHECK(last.changes.replicas_forgotten == std::vector{replica_id{1}});
}

TEST_CASE_FIXTURE(fixture,
                  "a draining replica that no host has is gone, one that is never named is after 2 s") {
  join("a");
  does(submit_of(1));
  does(drain_flow_request{orders, false});
  auto copy = state;
  auto unseen = report_of("a");
  unseen->hosts[0].replicas.clear();
  auto without = report_of("a");
  without->hosts.clear();
  does(std::shared_ptr<const node::node_report>{without});
  CHECK(state.replicas.empty());
  state = copy;
  at.now += 1999ms;
  does(std::shared_ptr<const node::node_report>{unseen});
  CHECK(state.replicas.size() == 1);
  at.now += 1ms;
  does(std::shared_ptr<const node::node_report>{unseen});
  CHECK(state.replicas.empty());
}

TEST_CASE_FIXTURE(fixture, "the same request id is answered once only, and old answers are forgotten") {
  state.limits.answers_kept_max = 2;
  CHECK(does(submit_of(1, "r1")).reply.version == flow_version{1});
  CHECK(does(submit_of(1, "r1")).reply.version == flow_version{1});
  CHECK(last.reply.is_new); // as at first
  CHECK(last.changes.empty());
  CHECK(does(submit_of(1, "r2")).reply.version == flow_version{2});
  CHECK_FALSE(last.reply.is_new); // an update
  CHECK(does(submit_of(1, "r3")).reply.version == flow_version{3});
  CHECK(last.changes.answers_forgotten_to == 1);
  CHECK(does(submit_of(1, "r1")).reply.version == flow_version{4});
  CHECK(does(submit_of(1)).reply.version == flow_version{5});
  CHECK(does(submit_of(1)).reply.version == flow_version{6}); // no id: each one counts
}

TEST_CASE_FIXTURE(
  fixture, "a rollback without a version goes to the next older one, and with a request id only once") {
  join("a", 100);
  for (int version = 1; version <= 3; ++version) {
    does(submit_of(1));
    settle();
  }
  CHECK(flow().stored.current == flow_version{3});
  CHECK(does(rollback_request{orders, {}, "r"}).reply.version == flow_version{2});
  settle();
  CHECK(does(rollback_request{orders, {}, "r"}).reply.version == flow_version{2});
  CHECK(flow().stored.target == flow_version{2});
  does(rollback_request{orders, flow_version{1}, {}});
  settle();
  CHECK(flow().stored.current == flow_version{1});
  CHECK(does(rollback_request{orders, {}, {}}).refused->code == errc::conflict);
  auto& unknown = does(rollback_request{orders, flow_version{9}, {}});
  REQUIRE(unknown.refused);
  CHECK(unknown.refused->message == "flow/orders has no version 9; kept are 1, 2, 3");
  CHECK(!does(rollback_request{orders, flow_version{1}, {}}).reply.is_new);
  CHECK(does(submit_of(1)).reply.version == flow_version{4});
}

TEST_CASE_FIXTURE(fixture,
                  "variables belong to their version: an update brings its own, a rollback those of before") {
  join("a", 100);
  const auto told_env = [&] { return told[node_id{"a"}].flows.at(0).env; };
  auto first = submit_of(1);
  first.env = {{"ADMIN_TOKEN", "old"}};
  does(first);
  CHECK(last.changes.versions.at(0).env == first.env);
  CHECK(told_env() == first.env);
  settle();
  auto second = submit_of(1);
  second.env = {{"ADMIN_TOKEN", "new"}, {"READER_KEY", "x"}};
  CHECK(does(second).reply.version == flow_version{2});
  settle();
  CHECK(told_env() == second.env);
  CHECK(make_view(state, {}, at.now)->flows.at(0).env_names
        == std::vector<std::string>{"ADMIN_TOKEN", "READER_KEY"});
  does(rollback_request{orders, {}, {}});
  settle();
  CHECK(told_env() == first.env);
}

TEST_CASE_FIXTURE(fixture, "a rollback during an update goes back to what ran") {
  join("a", 100);
  does(submit_of(1));
  settle();
  does(submit_of(1));
  CHECK(flow().phase == flow_phase::updating);
  CHECK(does(rollback_request{orders, {}, {}}).reply.version == flow_version{1});
  settle();
  CHECK(flow().phase == flow_phase::running);
  CHECK(state.replicas.size() == 1);
}

TEST_CASE_FIXTURE(
  fixture, "a chosen scale outlives a submit that asks for the same number, not one that asks for another") {
  join("a", 100);
  does(submit_of(2));
  does(scale_request{orders, price, 5});
  does(submit_of(2));
  CHECK(flow().stored.scale.at(price) == 5);
  does(submit_of(3));
  CHECK(flow().stored.scale.at(price) == 3);
}

TEST_CASE_FIXTURE(fixture, "a chosen scale is never more than the version allows") {
  join("a", 100);
  does(submit_of(1));
  settle();
  auto narrow = submit_of(1);
  narrow.spec.processors[0].max_replicas = 1;
  SUBCASE("of an update to one that allows less") {
    does(scale_request{orders, price, 4});
    does(narrow);
    CHECK(flow().stored.scale.at(price) == 1);
  }
  SUBCASE("of one that comes back because the update failed") {
    does(narrow);
    settle();
    does(submit_of(1));
    CHECK(flow().phase == flow_phase::updating);
    does(scale_request{orders, price, 8});
    CHECK(flow().stored.scale.at(price) == 8);
    CHECK(flow().stored.scale_before.at(price) == 1);
  }
}

TEST_CASE_FIXTURE(fixture,
                  "a failure is forgiven when its replica went with its node and the next one runs well") {
  join("a");
  does(submit_of(1));
  does(std::shared_ptr<const node::node_report>{report_of("a", host::replica_phase::failed)});
  does(tick{});
  REQUIRE(flow().retries.contains(price));
  join("b");
  does(drain_node_request{node_id{"a"}});
  settle();
  REQUIRE(count("b") == 1);
  pass(limits::host_restart_window + 2s);
  CHECK(flow().retries.empty());
}

TEST_CASE_FIXTURE(fixture,
                  "a flow leaves a node with a crash loop, and a loop on every node is shown as it is") {
  join("a", 100);
  join("b", 100);
  does(submit_of(1));
  settle();
  REQUIRE(flow().phase == flow_phase::running);
  const auto crash = [&](const std::string& id) {
    auto report = report_of(id);
    REQUIRE(report->hosts.size() == 1);
    report->hosts[0].phase = node::host_phase::crash_loop;
    report->hosts[0].detail = "killed by SIGSEGV; ended 5 times in a row";
    report->hosts[0].replicas.clear();
    does(std::shared_ptr<const node::node_report>{report});
  };
  const auto where = [&] { return state.replicas.begin()->second.stored.node.value; };
  const auto first = where();
  const std::string second = first == "a" ? "b" : "a";
  crash(first);
  CHECK(state.replicas.rbegin()->second.stored.node.value == second);
  CHECK(flow().phase == flow_phase::starting);
  crash(first); // the order to go has been seen, and there is no process
  does(std::shared_ptr<const node::node_report>{report_of(first)});
  SUBCASE("it runs there") {
    settle();
    REQUIRE(state.replicas.size() == 1);
    CHECK(where() == second);
    CHECK(flow().phase == flow_phase::running);
  }
  SUBCASE("it crashes there, too: it stays, and is failed") {
    crash(second);
    crash(second);
    CHECK(flow().phase == flow_phase::failed);
    CHECK(flow().detail == "crash loop on " + second + ": killed by SIGSEGV; ended 5 times in a row");
    REQUIRE(state.replicas.size() == 1);
    CHECK(where() == second);
    CHECK(flow().crash_loops.size() == 2);
    does(submit_of(1));
    CHECK(flow().crash_loops.empty());
  }
}

TEST_CASE_FIXTURE(fixture, "a failed update gives back the scale from before it") {
  join("a", 100);
  does(submit_of(2));
  settle();
  does(submit_of(7));
  auto failed = report_of("a");
  for (auto& host : failed->hosts)
    if (host.version == flow_version{2})
      host.phase = node::host_phase::crash_loop, host.detail = "killed by SIGSEGV; ended 5 times in a row";
  does(std::shared_ptr<const node::node_report>{failed});
  CHECK(flow().stored.target == flow_version{1});
  CHECK(flow().stored.scale.at(price) == 2);
  CHECK(flow().phase == flow_phase::degraded);
  CHECK(flow().detail
        == "update to version 2 failed: crash loop on a: killed by SIGSEGV; ended 5 times in a row; version "
           "1 stays");
  settle();
  CHECK(state.replicas.size() == 2);
}

TEST_CASE_FIXTURE(fixture,
                  "a flow whose replicas are tried again in vain is told of once, until it has run in full") {
  join("a", 100);
  does(submit_of(2));
  settle();
  std::vector<std::string> said;
  const auto seen = [&](host::replica_phase first, host::replica_phase second) {
    auto report = report_of("a");
    report->hosts[0].replicas[0].phase = first;
    report->hosts[0].replicas[0].last_error = "no such file";
    report->hosts[0].replicas[1].phase = second;
    does(std::shared_ptr<const node::node_report>{report});
    for (const auto& line : last.changes.events)
      said.push_back(line.text);
  };
  using phase = host::replica_phase;
  for (int tries = 0; tries < 3; ++tries) {
    seen(phase::failed, phase::running);
    CHECK(flow().phase == flow_phase::degraded);
    seen(phase::starting, phase::running);
    CHECK(flow().phase == flow_phase::running);
  }
  CHECK(said == std::vector<std::string>{"is degraded: price failed on a: no such file"});
  said.clear();
  for (int tries = 0; tries < 3; ++tries) { // now both of them
    seen(phase::failed, phase::running);
    seen(phase::failed, phase::failed);
    seen(phase::starting, phase::failed);
    seen(phase::starting, phase::starting);
    seen(phase::starting, phase::running);
  }
  CHECK(said == std::vector<std::string>{"version 1 failed: price failed on a: no such file"});
  said.clear();
  seen(phase::running, phase::running);
  seen(phase::failed, phase::running);
  CHECK(said == std::vector<std::string>{"version 1 runs", "is degraded: price failed on a: no such file"});
}

TEST_CASE_FIXTURE(fixture, "a scale request names what is there, and has a bound") {
  does(submit_of(1));
  CHECK(does(scale_request{orders, processor_name{"x"}, 1}).refused->message
        == "flow/orders has no processor 'x'; there is price");
  CHECK(does(scale_request{flow_name{"x"}, price, 1}).refused->message
        == "there is no flow 'x'; there is orders");
  CHECK(does(scale_request{orders, price, 101}).refused->message
        == "orders/price: at most 100 replicas, the flow's max_replicas; asked for 101");
  CHECK(does(scale_request{orders, price, 100001}).refused->code == errc::invalid_argument);
  CHECK(does(scale_request{orders, price, 1}).changes.empty());
}

TEST_CASE_FIXTURE(fixture, "a submit that is wrong or has no artifact is refused and leaves no flow") {
  auto wrong = submit_of(1);
  wrong.spec.processors[0].min_replicas = 5;
  wrong.spec.processors[0].max_replicas = 2;
  CHECK(does(wrong).refused->code == errc::invalid_argument);
  auto bare = submit_of(1);
  bare.artifact = {};
  CHECK(does(bare).refused->code == errc::invalid_argument);
  CHECK(state.flows.empty());
}

TEST_CASE_FIXTURE(fixture, "an update whose replicas neither come up nor fail is given up in the end") {
  state.limits.update_stall_max = 10s;
  join("a");
  does(submit_of(2));
  settle();
  does(submit_of(2)); // its setup hangs
  auto hangs = [&](std::chrono::milliseconds length) {
    for (auto end = at.now + length; at.now < end; at.now += 250ms) {
      auto report = report_of("a");
      for (auto& host : report->hosts)
        for (auto& replica : host.replicas)
          if (host.version == flow_version{2} && replica.phase == host::replica_phase::running)
            replica.phase = host::replica_phase::starting;
      does(std::shared_ptr<const node::node_report>{report});
      does(tick{});
    }
  };
  hangs(9s);
  CHECK(flow().phase == flow_phase::updating);
  hangs(2s);
  CHECK(flow().stored.target == flow_version{1});
  CHECK(flow().stored.update_error.find("no further replica came up") != std::string::npos);
  settle();
  CHECK(flow().phase == flow_phase::degraded);
  CHECK(count("a") == 2);
}

TEST_CASE_FIXTURE(fixture, "an update that waits for old replicas to finish is not given up") {
  state.limits.update_stall_max = 10s;
  join("a");
  does(submit_of(1));
  settle();
  does(submit_of(1));
  for (auto end = at.now + 30s; at.now < end; at.now += 250ms) {
    auto report = report_of("a");
    for (auto& host : report->hosts)
      for (auto& replica : host.replicas)
        if (host.version == flow_version{1} && replica.phase == host::replica_phase::down)
          replica.phase = host::replica_phase::draining; // on a long record
    does(std::shared_ptr<const node::node_report>{report});
    does(tick{});
  }
  CHECK(flow().stored.target == flow_version{2});
  CHECK(flow().phase == flow_phase::updating);
}

TEST_CASE_FIXTURE(fixture, "old versions are forgotten, those in use are kept") {
  join("a", 100);
  state.limits.versions_kept_max = 3;
  does(submit_of(1));
  settle();
  for (int version = 2; version <= 6; ++version)
    does(submit_of(1));                             // none of them comes to run
  CHECK(flow().versions.contains(flow_version{1})); // it runs
  CHECK(flow().versions.contains(flow_version{6}));
  settle();
  does(submit_of(1));
  settle();
  does(submit_of(1));
  CHECK(flow().versions.size() == 3);
  CHECK(!last.changes.versions_forgotten.empty());
}

TEST_CASE_FIXTURE(fixture,
                  "the versions of a flow go on where they were when it is deleted and submitted anew") {
  join("a");
  const auto delete_it = [&] {
    does(delete_flow_request{orders});
    settle();
    REQUIRE_FALSE(state.flows.contains(orders));
  };
  does(submit_of(1));
  CHECK(does(submit_of(1)).reply.version == flow_version{2});
  delete_it();
  CHECK(does(submit_of(1)).reply.version == flow_version{3});
  delete_it();
  stored_state stored; // the head is started again
  stored.deleted = {{orders, state.deleted.at(orders)}};
  auto restored = restore(stored, {}, at.now);
  REQUIRE(restored);
  state = *restored;
  join("a");
  CHECK(does(submit_of(1)).reply.version == flow_version{4});
}

TEST_CASE_FIXTURE(fixture, "of deleted flows that are too many to keep, new ones start above all numbers") {
  state.limits.deleted_kept_max = 2;
  join("a");
  const auto submit_and_delete = [&](const std::string& name, int versions) {
    auto what = submit_of(0);
    what.spec.name = flow_name{name};
    what.spec.processors[0].min_replicas = 0;
    for (int i = 0; i < versions; ++i)
      does(what);
    does(delete_flow_request{what.spec.name});
    settle();
    REQUIRE_FALSE(state.flows.contains(what.spec.name));
  };
  submit_and_delete("one", 1);
  submit_and_delete("three", 3);
  submit_and_delete("two", 2);
  CHECK(state.deleted.size() == 2);
  CHECK(state.deleted_floor == flow_version{1});
  CHECK_FALSE(state.deleted.contains(flow_name{"one"}));
  auto what = submit_of(0);
  what.spec.processors[0].min_replicas = 0;
  what.spec.name = flow_name{"one"};
  CHECK(does(what).reply.version == flow_version{2});
  what.spec.name = flow_name{"three"};
  CHECK(does(what).reply.version == flow_version{4});
}

TEST_CASE_FIXTURE(fixture, "a failed replica is replaced after a delay that doubles") {
  join("a", 100);
  does(submit_of(1));
  std::vector<std::chrono::nanoseconds> delays;
  auto since = at.now;
  auto id = told[node_id{"a"}].assignments.at(0).id;
  for (int tries = 0; tries < 200 && delays.size() < 4; ++tries) {
    does(std::shared_ptr<const node::node_report>{report_of("a", host::replica_phase::failed)});
    CHECK((flow().phase == flow_phase::failed || !delays.empty()));
    does(tick{});
    const auto& now = told[node_id{"a"}].assignments;
    if (auto newest = now.back().id; newest != id) {
      id = newest;
      delays.push_back(at.now - since);
      since = at.now;
    }
    at.now += 250ms;
  }
  CHECK(
    delays
    == std::vector<std::chrono::nanoseconds>{1s, 2250ms, 4250ms, 8250ms}); // each failure is seen 250 ms late
}

TEST_CASE_FIXTURE(fixture, "a dead node's replicas get new ids elsewhere; leases go back without blame") {
  join("a");
  join("b");
  does(submit_of(4));
  settle();
  std::vector<action> actions;
  for (int step = 0; step < 20; ++step) {
    at.now += 250ms;
    beat("b");
    for (const auto& one : does(tick{}).actions)
      actions.push_back(one);
  }
  CHECK(count("b") == 4);
  CHECK(state.replicas.rbegin()->first == replica_id{6});
  CHECK(state.replicas.size() == 4);
  const auto release = std::ranges::find_if(
    actions, [](const action& one) { return std::holds_alternative<release_leases>(one); });
  REQUIRE(release != actions.end());
  CHECK(std::get<release_leases>(*release).owner.node == node_id{"a"});
  CHECK(!std::get<release_leases>(*release).failed);
}

TEST_CASE_FIXTURE(fixture,
                  "what a host held goes back once its node names it no more, though its end was not told") {
  join("a");
  does(submit_of(1));
  const auto releases = [&] {
    std::vector<release_leases> found;
    for (const auto& one : last.actions)
      if (const auto* release = std::get_if<release_leases>(&one))
        found.push_back(*release);
    return found;
  };
  auto report = report_of("a");
  report->hosts.at(0).id = host_id{7};
  does(std::shared_ptr<const node::node_report>{report});
  CHECK(releases().empty());
  auto next = std::make_shared<node::node_report>(*report);
  SUBCASE("another process runs") { next->hosts[0].id = host_id{8}; }
  SUBCASE("it waits to start again") { next->hosts[0].phase = node::host_phase::backing_off; }
  SUBCASE("it is gone") { next->hosts.clear(); }
  does(std::shared_ptr<const node::node_report>{next});
  REQUIRE(releases().size() == 1);
  CHECK(releases()[0].owner == queue::owner_id{node_id{"a"}, host_id{7}, {}});
  CHECK_FALSE(releases()[0].failed);
  does(std::shared_ptr<const node::node_report>{std::make_shared<node::node_report>(*next)});
  CHECK(releases().empty());
}

TEST_CASE_FIXTURE(fixture, "gone nodes are forgotten after an hour, those with a drain request are not") {
  join("a");
  join("b");
  does(drain_node_request{node_id{"b"}, false});
  does(node_leaves{node_id{"a"}});
  does(node_leaves{node_id{"b"}});
  CHECK(phase_of(state, state.nodes.at(node_id{"a"})) == node_phase::left);
  CHECK(does(node_leaves{node_id{"a"}}).changes.empty());
  at.now += 1h;
  CHECK(does(tick{}).changes.nodes_forgotten == std::vector{node_id{"a"}});
  CHECK(state.nodes.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a replica that came to the end of its source is not replaced") {
  join("a");
  does(submit_of(1));
  auto report = report_of("a", host::replica_phase::down);
  report->hosts[0].replicas[0].exhausted = true;
  does(std::shared_ptr<const node::node_report>{report});
  at.now += 10s;
  does(std::shared_ptr<const node::node_report>{report});
  CHECK(count("a") == 1);
  CHECK(state.replica_id_last == 1);
  CHECK(flow().phase == flow_phase::running);
}

TEST_CASE_FIXTURE(fixture, "events are numbered and bounded") {
  state.event_id_last = limits::events_kept_max;
  join("a");
  REQUIRE(last.changes.events.size() == 1);
  CHECK(last.changes.events[0].id == limits::events_kept_max + 1);
  CHECK(last.changes.events[0].subject == "node/a");
  CHECK(last.changes.events[0].at == at.wall);
  CHECK(last.changes.events_forgotten_to == 1);
}

TEST_CASE("a stored state that names what is not there is corrupt") {
  stored_state stored;
  stored_flow flow;
  flow.name = orders;
  flow.target = flow_version{1};
  stored.flows.push_back(flow);
  CHECK(restore(stored, {}, {}).error().code == errc::corrupt);
  stored_version version;
  version.flow = orders;
  version.version = flow_version{1};
  stored.versions.push_back(version);
  CHECK(restore(stored, {}, {}));
  stored_replica replica;
  replica.id = replica_id{1};
  replica.flow = orders;
  replica.version = flow_version{1};
  replica.node = node_id{"a"};
  stored.replicas.push_back(replica);
  CHECK(restore(stored, {}, {}).error().message.find("replica 1") != std::string::npos);
  stored.flows.clear();
  stored.replicas.clear();
  CHECK(restore(stored, {}, {}).error().code == errc::corrupt);
}

} // namespace
