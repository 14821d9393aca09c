// Goal: the actor around `cluster_state` stores before it acts and answers, orders nodes
// after it has greeted them, gives leases back, and survives a store that cannot write.

#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_cluster_store.hpp"
#include "actors/cluster/cluster.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

namespace {

using namespace std::chrono_literals;
using namespace sluice;

/// What the fake agent and the fake queue were told.
struct recorded {
  std::vector<node::desired_state> orders;
  std::vector<queue::release_request> releases;
};

node::handle::behavior_type fake_agent(node::handle::pointer, recorded* log) {
  return {
    [log](const node::desired_state& order) { log->orders.push_back(order); },
    [](const node::log_request&) { return node::log_chunk{}; },
    [](const node::log_sources_request&) { return node::log_sources_reply{}; },
  };
}

queue::handle::behavior_type fake_queue(queue::handle::pointer, recorded* log) {
  return {
    [](const queue::append_request&) { return queue::append_reply{}; },
    [](const queue::lease_request&) { return queue::lease_reply{}; },
    [](const queue::commit_request&) { return queue::commit_reply{}; },
    [](const queue::renew_request&) { return queue::count_reply{}; },
    [log](const queue::release_request& what) {
      log->releases.push_back(what);
      return queue::count_reply{};
    },
    [](const queue::cursor_request&) { return std::string{}; },
  };
}

cluster::submit_request submit_of(std::string request_id, std::uint32_t replicas = 1) {
  cluster::submit_request request;
  request.request_id = std::move(request_id);
  request.artifact = artifact_id{std::string(64, 'a')};
  request.spec.name = flow_name{"orders"};
  processor_spec price;
  price.name = processor_name{"price"};
  price.source = {"queue", {{"name", "in"}}};
  price.sink = {"queue", {{"name", "out"}}};
  price.num_replicas = replicas;
  price.max_replicas = 10;
  request.spec.processors.push_back(price);
  return request;
}

struct fixture : testing::deterministic_system {
  std::shared_ptr<testing::fake_cluster_store> store = std::make_shared<testing::fake_cluster_store>();
  recorded log;
  queue::handle queue = own(sys.spawn(fake_queue, &log));
  node::handle agent = own(sys.spawn(fake_agent, &log));
  std::vector<std::set<artifact_id>> artifacts; ///< each time they were told
  std::vector<std::string> lines;               ///< of the head's log
  std::vector<failure> broken;
  cluster::handle actor = start();

  cluster::handle start() {
    cluster::options opts;
    opts.cluster_id = "test";
    opts.wall_clock = [this] {
      return std::chrono::system_clock::time_point{
        std::chrono::duration_cast<std::chrono::system_clock::duration>(now().time_since_epoch())};
    };
    opts.on_artifacts = [this](std::set<artifact_id> kept) { artifacts.push_back(std::move(kept)); };
    opts.on_broken = [this](const failure& why) { broken.push_back(why); };
    opts.report = [this](const std::string& line) { lines.push_back(line); };
    auto spawned = cluster::spawn(sys, opts, store, queue);
    REQUIRE(spawned);
    own(*spawned);
    run();
    return *spawned;
  }

  node::node_info info(std::uint64_t started = 1) {
    node::node_info info;
    info.id = node_id{"node-a"};
    info.started = incarnation{{started, 0}};
    info.cpus = 4;
    info.memory_bytes = 1u << 30;
    return info;
  }

  result<cluster::registered> join(std::uint64_t started = 1) {
    return ask<cluster::registered>(actor, cluster::register_node{info(started), agent});
  }

  result<cluster::submit_reply> submit(const cluster::submit_request& request) {
    return ask<cluster::submit_reply>(actor, request);
  }

  cluster::cluster_view view() {
    return *ask<cluster::view_reply>(actor, cluster::view_request{}).value().view;
  }

  /// The node runs what it was told last, and has processed `processed` records per replica.
  void report(std::uint64_t processed = 0) {
    node::node_report report;
    report.node = info().id;
    report.started = info().started;
    if (!log.orders.empty()) {
      const auto& order = log.orders.back();
      report.revision = order.revision;
      for (const auto& flow : order.flows) {
        node::host_status host;
        host.id = host_id{flow.version.value};
        host.flow = flow.flow;
        host.version = flow.version;
        host.phase = node::host_phase::running;
        for (const auto& one : order.assignments)
          if (one.flow == flow.flow && one.version == flow.version && one.goal == host::replica_goal::run) {
            host::replica_report replica;
            replica.id = one.id;
            replica.processor = one.processor;
            replica.phase = host::replica_phase::running;
            replica.processed_total = processed;
            host.replicas.push_back(replica);
          }
        report.hosts.push_back(host);
      }
    }
    caf::anon_send(actor, report);
    run();
  }
};

TEST_CASE_FIXTURE(fixture, "what artifacts are kept is told at the start and when versions fall out") {
  REQUIRE(artifacts.size() == 1);
  CHECK(artifacts.back().empty());
  const auto kept_max = limits::flow_versions_kept_max;
  std::vector<artifact_id> ids;
  for (std::size_t i = 0; i <= kept_max; ++i) {
    auto request = submit_of("r" + std::to_string(i));
    request.artifact = ids.emplace_back(std::string(63, 'a') + static_cast<char>('b' + i));
    REQUIRE(submit(request));
  }
  REQUIRE(artifacts.size() == 2);
  CHECK(artifacts.back().size() == kept_max);
  CHECK_FALSE(artifacts.back().contains(ids.front()));
  CHECK(artifacts.back().contains(ids.back()));
}

TEST_CASE_FIXTURE(fixture, "a node is greeted, then told what to run") {
  auto greeting = join();
  REQUIRE(greeting);
  CHECK(greeting->cluster_id == "test");
  REQUIRE(log.orders.size() == 1);
  CHECK(log.orders[0].assignments.empty());
  REQUIRE(submit(submit_of("r1", 2)));
  REQUIRE(log.orders.size() == 2);
  CHECK(log.orders[1].assignments.size() == 2);
  REQUIRE(log.orders[1].flows.size() == 1);
  CHECK(log.orders[1].flows[0].artifact.value == std::string(64, 'a'));
  CHECK(log.orders[1].revision > log.orders[0].revision);
}

TEST_CASE_FIXTURE(fixture, "the same request is answered the same, also by the next head") {
  auto first = submit(submit_of("r1"));
  REQUIRE(first);
  CHECK(first->version == flow_version{1});
  CHECK(submit(submit_of("r1"))->version == flow_version{1});
  CHECK(submit(submit_of("r2"))->version == flow_version{2});
  kill(actor);
  actor = start();
  CHECK(submit(submit_of("r1"))->version == flow_version{1});
  CHECK(submit(submit_of("r3"))->version == flow_version{3});
}

TEST_CASE_FIXTURE(fixture, "a request that cannot be stored changes nothing") {
  join();
  log.orders.clear();
  store->fail_writes_with = failure{errc::exhausted, "disk full"};
  auto refused = submit(submit_of("r1"));
  REQUIRE(!refused);
  CHECK(refused.error().code == errc::unavailable);
  CHECK(refused.error().message.find("disk full") != std::string::npos);
  CHECK(view().flows.empty());
  CHECK(log.orders.empty());
  store->fail_writes_with.reset();
  CHECK(submit(submit_of("r1"))->version == flow_version{1});
  CHECK(log.orders.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "orders wait until what they rest on is stored, leases go back at once") {
  join();
  REQUIRE(submit(submit_of("r1", 2)));
  report();
  log.orders.clear();
  store->fail_writes_with = failure{errc::exhausted, "disk full"};
  CHECK(join(2).error().code == errc::conflict); // as far as the head knows, the first process lives
  caf::anon_send(actor, cluster::node_unreachable{node_id{"node-a"}, info().started});
  run();
  REQUIRE(join(2)); // the node was started again
  CHECK(log.orders.empty());
  REQUIRE(log.releases.size() == 1);
  CHECK(log.releases[0].owner.node == node_id{"node-a"});
  CHECK(!log.releases[0].failed); // no record of it is to blame
  store->fail_writes_with.reset();
  advance(500ms);
  REQUIRE(!log.orders.empty());
  CHECK(log.orders.back().assignments.size() == 2);
}

TEST_CASE_FIXTURE(fixture,
                  "a host that ends gives its leases back; only what was inside user code is blamed") {
  join();
  REQUIRE(submit(submit_of("r1", 2)));
  run();
  REQUIRE(!log.orders.empty());
  const auto replica = log.orders.back().assignments.at(0).id;
  cluster::host_ended ended;
  ended.node = node_id{"node-a"};
  ended.flow = flow_name{"orders"};
  ended.report.host = host_id{7};
  ended.report.reason = "killed by SIGSEGV";
  ended.report.suspects = {{replica, 41}, {replica, 42}, {replica_id{999}, 1}};
  caf::anon_send(actor, ended);
  ended.expected = true;
  caf::anon_send(actor, ended);
  run();
  REQUIRE(log.releases.size() == 3);
  CHECK(log.releases[0].owner == queue::owner_id{node_id{"node-a"}, host_id{7}, replica});
  CHECK(log.releases[0].failed);
  CHECK(log.releases[0].error == "killed by SIGSEGV");
  CHECK(log.releases[0].queue == queue_name{"in"});
  CHECK(log.releases[0].seqs == std::vector<std::uint64_t>{41, 42});
  CHECK(log.releases[1].owner == queue::owner_id{node_id{"node-a"}, host_id{7}, {}});
  CHECK(!log.releases[1].failed);
  CHECK(log.releases[2].seqs.empty());
  CHECK(!log.releases[2].failed);
}

TEST_CASE_FIXTURE(fixture, "an agent that goes makes its node suspect, then dead within 3 s") {
  join();
  kill(agent);
  CHECK(view().nodes.at(0).phase == cluster::node_phase::suspect);
  CHECK(ask<cluster::agent_reply>(actor, cluster::agent_request{node_id{"node-a"}}).error().code
        == errc::unavailable);
  advance(3s);
  CHECK(view().nodes.at(0).phase == cluster::node_phase::dead);
}

TEST_CASE_FIXTURE(fixture, "a pause of the head itself kills nobody") {
  join();
  report();
  jump(60s);
  CHECK(view().nodes.at(0).phase == cluster::node_phase::alive);
  advance(1s);
  CHECK(view().nodes.at(0).phase == cluster::node_phase::alive);
}

TEST_CASE_FIXTURE(fixture, "the view counts what replicas did and how fast") {
  join();
  REQUIRE(submit(submit_of("r1", 2)));
  for (std::uint64_t round = 0; round <= 20; ++round) {
    report(round * 50);
    advance(500ms);
  }
  const auto seen = view();
  REQUIRE(seen.flows.size() == 1);
  const auto& price = seen.flows[0].processors.at(0);
  CHECK(seen.flows[0].phase == cluster::flow_phase::running);
  CHECK(price.replicas_running == 2);
  CHECK(price.processed_total == 2000);
  CHECK(price.rate_per_s == doctest::Approx(200).epsilon(0.15));
  CHECK(seen.nodes.at(0).cpus_reserved == 2.0);
  CHECK(seen.cluster_id == "test");
  CHECK(!seen.events.empty());
}

TEST_CASE_FIXTURE(fixture, "a scale request is answered once its orders are out") {
  join();
  REQUIRE(submit(submit_of("r1")));
  log.orders.clear();
  CHECK(ask<void>(actor, cluster::scale_request{flow_name{"orders"}, processor_name{"price"}, 3}));
  REQUIRE(log.orders.size() == 1);
  CHECK(log.orders[0].assignments.size() == 3);
}

TEST_CASE_FIXTURE(fixture, "what is asked for and not there is named") {
  CHECK(ask<cluster::agent_reply>(actor, cluster::agent_request{node_id{"node-x"}}).error().code
        == errc::not_found);
  auto refused = ask<void>(actor, cluster::scale_request{flow_name{"none"}, processor_name{"p"}, 2});
  REQUIRE(!refused);
  CHECK(refused.error().code == errc::not_found);
  CHECK(refused.error().message.find("none") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "log lines alone are written with the next tick") {
  join();
  advance(1s);
  const auto before = store->writes_count;
  kill(agent); // "suspect" is only told
  CHECK(store->writes_count == before);
  advance(250ms);
  CHECK(store->writes_count == before + 1);
}

TEST_CASE_FIXTURE(fixture, "a store that cannot be written is told once, and once that it can be again") {
  join();
  REQUIRE(submit(submit_of("r1", 2)));
  store->fail_writes_with = failure{errc::unavailable, "no space left"};
  CHECK_FALSE(submit(submit_of("r2", 2)));
  CHECK(view().trouble == "no space left");
  kill(agent);
  advance(5s);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("no space left") != std::string::npos);
  CHECK(view().events.size() > 0);
  const auto is_heads = [](const cluster::event_view& line) { return line.subject == "head"; };
  CHECK(std::ranges::count_if(view().events, is_heads) == 1);
  store->fail_writes_with.reset();
  REQUIRE(submit(submit_of("r3", 2)));
  advance(1s);
  CHECK(lines.size() == 2);
  CHECK(view().trouble.empty());
  CHECK(broken.empty());
  actor = start(); // both are stored, with numbers of their own
  const auto events = view().events;
  CHECK(std::ranges::count_if(events, is_heads) == 2);
  CHECK(std::ranges::adjacent_find(events, std::ranges::greater_equal{}, &cluster::event_view::id)
        == events.end());
}

TEST_CASE_FIXTURE(fixture, "what a part of the head has noticed is among the events, and stays") {
  caf::anon_send(actor, cluster::head_event{"error", "queue 'in': 3 records are damaged"});
  advance(1s);
  CHECK(lines.empty()); // who sends it has a log of its own
  actor = start();
  const auto events = view().events;
  REQUIRE(events.size() == 1);
  CHECK(events[0].severity == "error");
  CHECK(events[0].subject == "head");
  CHECK(events[0].text == "queue 'in': 3 records are damaged");
}

TEST_CASE_FIXTURE(fixture, "a store that is broken ends the head, which is told once") {
  join();
  store->fail_writes_with = failure{errc::unavailable, "a sync failed"};
  store->broken_with = store->fail_writes_with;
  CHECK_FALSE(submit(submit_of("r1", 2)));
  kill(agent);
  advance(5s);
  REQUIRE(broken.size() == 1);
  CHECK(broken[0].message == "a sync failed");
}

TEST_CASE_FIXTURE(fixture, "a store that breaks after a write went well ends the head, too") {
  join();
  store->broken_with = failure{errc::unavailable, "the sync of a checkpoint failed"};
  CHECK(submit(submit_of("r1", 2)));
  REQUIRE(broken.size() == 1);
  CHECK(broken[0].message == "the sync of a checkpoint failed");
}

} // namespace
