// Goal: nodes are told at every moment which replicas take requests: those that run and shall go on.

#include "actors/cluster/cluster_state.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace {

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::cluster;

const flow_name shop{"shop"};

processor_spec endpoint(std::string name, method by, std::string route, std::uint32_t replicas = 1) {
  processor_spec made;
  made.name = processor_name{std::move(name)};
  made.kind = pattern::endpoint;
  made.http.emplace();
  made.http->route = std::move(route);
  made.http->method = by;
  made.num_replicas = replicas;
  made.max_replicas = 100;
  made.num_cpus = 0.5;
  return made;
}

processor_spec consumer(std::string name) {
  processor_spec made;
  made.name = processor_name{std::move(name)};
  made.source = {"queue", {{"name", "in"}}};
  made.sink = {"queue", {{"name", "out"}}};
  return made;
}

struct fixture {
  cluster_state state;
  moment at{time_point{1h}, std::chrono::system_clock::time_point{1h}};
  std::map<node_id, node::desired_state> told; ///< the newest order of each node
  std::map<node_id, int> orders;
  std::set<std::uint64_t> held_back; ///< replicas that go on starting
  std::string never_up;              ///< a processor whose replicas fail, all of them
  std::string restarting;            ///< a node whose hosts wait to be started again
  bool has_crash_loops = false;      ///< all hosts, after many tries
  decision last;

  decision& does(const event& what) {
    last = apply(state, what, at);
    for (const auto& one : last.actions)
      if (const auto* order = std::get_if<send_desired>(&one)) {
        told[order->node] = order->state;
        ++orders[order->node];
      }
    return last;
  }

  void join(const std::string& id, std::uint64_t started = 1) {
    node_registers what;
    what.info.id = node_id{id};
    what.info.started = incarnation{{started, 0}};
    what.info.address = id + ":7410";
    what.info.cpus = 4;
    what.info.memory_bytes = 1ull << 30;
    does(what);
  }

  decision& submit(std::vector<processor_spec> processors, flow_name name = shop) {
    submit_request what;
    what.artifact = artifact_id{std::string(64, 'a')};
    what.spec.name = std::move(name);
    what.spec.processors = std::move(processors);
    return does(what);
  }

  /// What the node runs if it did as told.
  void beat(const std::string& id) {
    auto report = std::make_shared<node::node_report>();
    report->node = node_id{id};
    report->started = state.nodes.at(node_id{id}).stored.info.started;
    const auto& order = told[node_id{id}];
    report->revision = order.revision;
    for (const auto& flow : order.flows) {
      node::host_status host;
      host.flow = flow.flow;
      host.version = flow.version;
      host.phase = has_crash_loops    ? node::host_phase::crash_loop
                   : restarting == id ? node::host_phase::backing_off
                                      : node::host_phase::running;
      for (const auto& one : order.assignments)
        if (one.flow == flow.flow && one.version == flow.version && host.phase == node::host_phase::running) {
          host::replica_report replica;
          replica.id = one.id;
          replica.processor = one.processor;
          replica.phase = one.processor.value == never_up         ? host::replica_phase::failed
                          : one.goal == host::replica_goal::drain ? host::replica_phase::down
                          : held_back.contains(one.id.value)      ? host::replica_phase::starting
                                                                  : host::replica_phase::running;
          host.replicas.push_back(replica);
        }
      report->hosts.push_back(host);
    }
    does(std::shared_ptr<const node::node_report>{report});
  }

  void settle() {
    for (int round = 0; round < 10; ++round)
      for (const auto& [id, node] : state.nodes)
        if (node.is_connected)
          beat(id.value);
  }

  void pass(std::chrono::milliseconds length, const std::set<std::string>& silent = {}) {
    for (auto end = at.now + length; at.now < end;) {
      at.now += 250ms;
      for (const auto& [id, node] : state.nodes)
        if (node.is_connected && !silent.contains(id.value))
          beat(id.value);
      does(tick{});
    }
  }

  /// The table as `id` was last told it.
  const ingress::route_table& table(const std::string& id = "a") {
    static const ingress::route_table none;
    const auto& routes = told[node_id{id}].routes;
    return routes ? *routes : none;
  }

  /// "GET /a: 1 2" per route.
  std::vector<std::string> shown(const std::string& id = "a") {
    std::vector<std::string> lines;
    for (const auto& route : table(id).routes) {
      auto line = std::string{to_string(route.http.method)} + " " + route.http.route + ":";
      for (const auto& target : route.targets)
        line += " " + std::to_string(target.replica.value);
      lines.push_back(line + (route.is_draining ? " drains" : ""));
    }
    return lines;
  }

  stored_state stored() const {
    stored_state out;
    out.openings = 2;
    out.replica_id_last = state.replica_id_last;
    for (const auto& [id, node] : state.nodes)
      out.nodes.push_back(node.stored);
    for (const auto& [name, flow] : state.flows) {
      out.flows.push_back(flow.stored);
      for (const auto& [number, version] : flow.versions)
        out.versions.push_back(*version);
    }
    for (const auto& [id, replica] : state.replicas)
      out.replicas.push_back(replica.stored);
    return out;
  }

  void restart_head() {
    state = *restore(stored(), {}, at.now);
    told.clear();
  }

  using lines = std::vector<std::string>;
};

} // namespace

TEST_CASE_FIXTURE(fixture, "with a WebSocket every node is told where else clients may be") {
  join("a");
  join("b");
  auto chat = endpoint("chat", method::get, "/chat");
  submit({endpoint("lookup", method::get, "/orders/{id}")});
  beat("a");
  beat("b");
  REQUIRE(told[node_id{"a"}].routes);
  CHECK(told[node_id{"a"}].routes->nodes.empty()); // nobody needs to know
  chat.kind = pattern::websocket;
  submit({chat}, flow_name{"talk"});
  const std::vector<ingress::ingress_node> both = {{node_id{"a"}, "a:7410"}, {node_id{"b"}, "b:7410"}};
  CHECK(told[node_id{"a"}].routes->nodes == both);
  join("c");
  CHECK(told[node_id{"b"}].routes->nodes.size() == 3);
}

TEST_CASE_FIXTURE(fixture, "replicas are in the table of every node once they run") {
  join("a");
  join("b");
  submit({endpoint("get", method::get, "/a/{id}", 2), consumer("c")});
  CHECK(shown("a") == lines{"GET /a/{id}:"});
  CHECK(shown("b") == lines{"GET /a/{id}:"});
  settle();
  CHECK(shown("a") == lines{"GET /a/{id}: 1 2"});
  CHECK(shown("b") == lines{"GET /a/{id}: 1 2"});
  const auto& entry = table().routes[0];
  CHECK(entry.flow == shop);
  CHECK(entry.processor == processor_name{"get"});
  CHECK(entry.targets[0].version == flow_version{1});
  CHECK(entry.targets[0].node != entry.targets[1].node);
  CHECK(entry.targets[0].address == entry.targets[0].node.value + ":7410");
}

TEST_CASE_FIXTURE(fixture, "the route has what its processor says") {
  join("a");
  auto one = endpoint("get", method::put, "/a");
  one.kind = pattern::collector;
  one.sink = {"queue", {{"name", "out"}}};
  one.http->method = method::post;
  one.http->max_queued_requests = 7;
  one.num_concurrency = 5;
  one.timeout = 3s;
  one.output_type = "order";
  submit({one});
  settle();
  const auto& entry = table().routes.at(0);
  CHECK(entry.kind == pattern::collector);
  CHECK(entry.http == *one.http);
  CHECK(entry.num_concurrency == 5);
  CHECK(entry.timeout == 3s);
  CHECK(entry.output_type == "order");
}

TEST_CASE_FIXTURE(fixture, "flows without routes cost no orders") {
  join("a");
  submit({consumer("c")});
  settle();
  CHECK_FALSE(told[node_id{"a"}].routes);
}

TEST_CASE_FIXTURE(fixture, "an order goes out for a change of routes and for no other report") {
  join("a");
  join("b");
  submit({endpoint("get", method::get, "/a")});
  settle();
  const auto before = orders;
  settle();
  does(tick{});
  CHECK(orders == before);
}

TEST_CASE_FIXTURE(fixture, "a node that joins is told all routes") {
  join("a");
  submit({endpoint("get", method::get, "/a")});
  settle();
  join("b");
  CHECK(shown("b") == lines{"GET /a: 1"});
}

TEST_CASE_FIXTURE(
  fixture, "new replicas join the route before the old ones leave, which they do as they are drained") {
  join("a");
  submit({endpoint("get", method::get, "/a")});
  settle();
  submit({endpoint("get", method::get, "/a")});
  held_back = {2};
  settle();
  CHECK(shown() == lines{"GET /a: 1"});
  held_back.clear();
  beat("a");
  // In the order that drains the old one, the table has the new one alone.
  CHECK(shown() == lines{"GET /a: 2"});
  auto drains =
    std::ranges::count(told[node_id{"a"}].assignments, host::replica_goal::drain, &node::assignment::goal);
  CHECK(drains == 1);
}

TEST_CASE_FIXTURE(fixture, "replicas of two versions share a route") {
  join("a");
  submit({endpoint("get", method::get, "/a", 2)});
  settle();
  auto newer = endpoint("get", method::get, "/a", 2);
  newer.http->max_queued_requests = 9;
  submit({newer});
  CHECK(table().routes[0].http.max_queued_requests == 1000);
  held_back = {4};
  settle();
  CHECK(shown() == lines{"GET /a: 1 2 3"});
  CHECK(table().routes[0].http.max_queued_requests == 9); // of the newest that has a replica
  held_back.clear();
  settle();
  CHECK(shown() == lines{"GET /a: 3 4"});
}

TEST_CASE_FIXTURE(fixture, "an update that moves a route keeps the old one while its replicas run") {
  join("a");
  submit({endpoint("get", method::get, "/old")});
  settle();
  submit({endpoint("get", method::get, "/new")});
  CHECK(shown() == lines{"GET /new:", "GET /old: 1"});
  settle();
  CHECK(shown() == lines{"GET /new: 2"});
}

TEST_CASE_FIXTURE(fixture, "a processor that is renamed takes its route over once it runs") {
  join("a");
  submit({endpoint("one", method::get, "/a/{x}")});
  settle();
  submit({endpoint("two", method::get, "/a/{y}")});
  CHECK(shown() == lines{"GET /a/{x}: 1"});
  settle();
  CHECK(shown() == lines{"GET /a/{y}: 2"});
}

TEST_CASE_FIXTURE(fixture, "an update that fails leaves the routes as they were") {
  join("a");
  submit({endpoint("get", method::get, "/a")});
  settle();
  submit({endpoint("get", method::get, "/b")});
  held_back = {2};
  settle();
  rollback_request back;
  back.flow = shop;
  does(back);
  settle();
  CHECK(shown() == lines{"GET /a: 1"});
}

TEST_CASE_FIXTURE(fixture,
                  "scaling down takes a replica out as it is drained, scaling to none keeps the route") {
  join("a");
  submit({endpoint("get", method::get, "/a", 2)});
  settle();
  does(scale_request{shop, processor_name{"get"}, 1});
  CHECK(shown() == lines{"GET /a: 1"});
  does(scale_request{shop, processor_name{"get"}, 0});
  CHECK(shown() == lines{"GET /a:"});
}

TEST_CASE_FIXTURE(fixture,
                  "the route of a processor that does not come up is failed, also between two tries") {
  join("a");
  never_up = "get";
  submit({endpoint("get", method::get, "/a"), endpoint("put", method::put, "/b")});
  settle();
  for (int i = 0; i < 40; ++i) {
    const auto& routes = table().routes;
    CHECK(routes.at(0).is_failed);
    CHECK_FALSE(routes.at(1).is_failed);
    pass(250ms);
  }
  never_up.clear();
  pass(60s);
  CHECK_FALSE(table().routes.at(0).is_failed);
  CHECK(table().routes.at(0).targets.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a route whose host is started again waits for it, whatever fails beside it") {
  join("a");
  join("b");
  never_up = "get";
  auto get = endpoint("get", method::get, "/a");
  get.num_cpus = 3; // of 4: the other one goes elsewhere
  auto put = endpoint("put", method::put, "/b");
  put.num_cpus = 3;
  submit({get, put});
  settle();
  REQUIRE(table().routes.at(1).targets.size() == 1);
  restarting = table().routes.at(1).targets[0].node.value;
  bool was_failed = false;
  for (int i = 0; i < 40; ++i) {
    pass(250ms);
    was_failed = was_failed || state.flows.at(shop).phase == flow_phase::failed;
    CHECK(table().routes.at(1).targets.empty());
    CHECK_FALSE(table().routes.at(1).is_failed);
  }
  CHECK(was_failed);
  restarting.clear();
  pass(5s);
  CHECK(table().routes.at(1).targets.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "the routes of a flow whose host is in a crash loop are failed") {
  join("a");
  submit({endpoint("get", method::get, "/a"), endpoint("put", method::put, "/b")});
  settle();
  has_crash_loops = true;
  pass(5s);
  for (const auto& route : table().routes) {
    CHECK(route.targets.empty());
    CHECK(route.is_failed);
  }
}

TEST_CASE_FIXTURE(fixture, "a flow that drains says so and keeps its route until it is deleted") {
  join("a");
  submit({endpoint("get", method::get, "/a")});
  settle();
  does(drain_flow_request{shop, false});
  CHECK(shown() == lines{"GET /a: drains"});
  settle();
  CHECK(shown() == lines{"GET /a: drains"});
  does(drain_flow_request{shop, true});
  CHECK(shown() == lines{"GET /a:"});
  settle();
  CHECK(shown() == lines{"GET /a: 2"});
  does(delete_flow_request{shop});
  CHECK(shown() == lines{"GET /a: drains"});
  settle();
  CHECK(shown().empty());
}

TEST_CASE_FIXTURE(fixture, "a node that drains, leaves or dies takes its replicas out of the tables") {
  join("a");
  join("b");
  submit({endpoint("get", method::get, "/a", 2)});
  settle();
  auto of = [&](const std::string& id) {
    return std::ranges::count(table("a").routes.at(0).targets, node_id{id}, &ingress::route_target::node);
  };
  REQUIRE(of("a") == 1);
  REQUIRE(of("b") == 1);

  SUBCASE("drain: as soon as another one runs or at once") {
    does(drain_node_request{node_id{"b"}, false});
    CHECK(of("b") == 0);
    settle();
    CHECK(of("a") == 2);
  }
  SUBCASE("leave") {
    does(node_leaves{node_id{"b"}});
    CHECK(of("b") == 0);
    settle();
    CHECK(of("a") == 2);
  }
  SUBCASE("silence: not before it is dead") {
    pass(2s, {"b"});
    CHECK(of("b") == 1);
    pass(3s, {"b"});
    CHECK(of("b") == 0);
    CHECK(of("a") == 2);
  }
  SUBCASE("started again: until its replicas run") {
    does(link_lost{node_id{"b"}, incarnation{{1, 0}}});
    join("b", 2);
    CHECK(of("b") == 0);
    settle();
    CHECK(of("b") == 1);
  }
}

TEST_CASE_FIXTURE(
  fixture, "after a restart of the head replicas go on getting requests until their node says otherwise") {
  join("a");
  join("b");
  submit({endpoint("get", method::get, "/a", 2)});
  settle();
  restart_head();
  join("a");
  CHECK(shown("a") == lines{"GET /a: 1 2"});
  beat("a");
  CHECK(shown("a") == lines{"GET /a: 1 2"});
  join("b", 7); // another process: nothing of the old one runs
  CHECK(shown("b").at(0).size() == std::string{"GET /a: 1"}.size());
  settle();
  CHECK(shown("a") == lines{"GET /a: 1 2"});
}

TEST_CASE_FIXTURE(fixture,
                  "after a restart of the head a node that never comes back is out when it is dead") {
  join("a");
  join("b");
  submit({endpoint("get", method::get, "/a", 2)});
  settle();
  restart_head();
  join("a");
  pass(20s, {"b"});
  CHECK(std::ranges::all_of(table("a").routes.at(0).targets,
                            [](const ingress::route_target& target) { return target.node == node_id{"a"}; }));
  CHECK(table("a").routes[0].targets.size() == 2);
}

// ---- conflicts ------------------------------------------------------------------------------

TEST_CASE_FIXTURE(fixture, "two flows cannot have one route") {
  join("a");
  submit({endpoint("get", method::get, "/a/{id}")});
  auto& refused = submit({consumer("c"), endpoint("mine", method::get, "/a/{key}/")}, flow_name{"other"});
  REQUIRE(refused.refused);
  CHECK(refused.refused->code == errc::conflict);
  CHECK(
    refused.refused->message
    == "flow 'other': processor \"mine\": route: GET /a/{key}/ is taken by shop/get (/a/{id}); change one of "
       "them, or delete flow/shop");
  CHECK_FALSE(state.flows.contains(flow_name{"other"}));
  CHECK(refused.changes.empty());
  CHECK_FALSE(submit({endpoint("mine", method::post, "/a/{key}")}, flow_name{"other"}).refused);
  CHECK_FALSE(submit({endpoint("mine", method::get, "/a/b")}, flow_name{"third"}).refused);
}

TEST_CASE_FIXTURE(fixture, "a flow may take its own route over") {
  join("a");
  submit({endpoint("get", method::get, "/a")});
  CHECK_FALSE(submit({endpoint("other", method::get, "/a")}).refused);
}

TEST_CASE_FIXTURE(fixture, "a route is free once no version of the flow that had it runs or shall run") {
  join("a");
  submit({endpoint("get", method::get, "/a")});
  settle();
  submit({endpoint("get", method::get, "/b")});
  held_back = {2};
  beat("a");
  CHECK(submit({endpoint("x", method::get, "/a")}, flow_name{"other"}).refused);
  held_back.clear();
  settle();
  CHECK_FALSE(submit({endpoint("x", method::get, "/a")}, flow_name{"other"}).refused);

  SUBCASE("and then the flow cannot roll back to it") {
    rollback_request back;
    back.flow = shop;
    auto& refused = does(back);
    REQUIRE(refused.refused);
    CHECK(refused.refused->code == errc::conflict);
    CHECK(refused.refused->message.find("version 1: processor \"get\": route: GET /a is taken by other/x")
          != std::string::npos);
    CHECK(state.flows.at(shop).stored.target == flow_version{2});
  }
  SUBCASE("a drained flow keeps it, a deleted one does not") {
    does(drain_flow_request{flow_name{"other"}, false});
    settle();
    CHECK(submit({endpoint("y", method::get, "/a")}, flow_name{"third"}).refused);
    does(delete_flow_request{flow_name{"other"}});
    settle();
    CHECK_FALSE(submit({endpoint("y", method::get, "/a")}, flow_name{"third"}).refused);
  }
}
