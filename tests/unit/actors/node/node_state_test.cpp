// Goal: the hosts of a node follow the cluster's wish, and the report says how they stand.
#include "actors/node/node_state.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::node;
using namespace std::chrono_literals;

namespace {

flow_order order_of(const char* name, std::uint64_t version, std::uint64_t memory_bytes = 0) {
  flow_order order;
  order.flow = flow_name{name};
  order.version = flow_version{version};
  order.artifact = artifact_id{"aa"};
  processor_spec work;
  work.name = processor_name{"work"};
  work.timeout = 2s;
  work.memory_bytes = memory_bytes;
  processor_spec free;
  free.name = processor_name{"free"};
  order.spec.processors = {work, free};
  return order;
}

assignment replica_of(std::uint64_t id, const char* flow, std::uint64_t version,
                      const char* processor = "work") {
  return {replica_id{id}, flow_name{flow}, flow_version{version}, processor_name{processor},
          host::replica_goal::run};
}

const moment at{time_point{100s}, 0.5, host_id{1}};

} // namespace

TEST_CASE("each flow and version gets its own host with its own replicas") {
  node_state state;
  desired_state wish{3,
                     {order_of("a", 1), order_of("a", 2), order_of("b", 1)},
                     {replica_of(9, "a", 2), replica_of(1, "a", 1), replica_of(2, "a", 2)}};
  auto actions = apply(state, wish, at);
  CHECK(actions.size() == 3);
  CHECK(state.hosts.size() == 3);
  auto& second = state.hosts.at({flow_name{"a"}, flow_version{2}}).host;
  REQUIRE(second.replicas_wanted.size() == 2);
  CHECK(second.replicas_wanted[0].id == replica_id{2});
  CHECK(second.replicas_wanted[1].id == replica_id{9});
  CHECK(second.timeouts.at(processor_name{"work"}) == 2s);
  CHECK(state.revision == 3);
}

TEST_CASE("requests without a timeout have a bound for one call all the same") {
  node_state state;
  auto order = order_of("a", 1);
  order.spec.processors[1].kind = pattern::endpoint;
  apply(state, {1, {order}, {replica_of(1, "a", 1)}}, at);
  const auto& host = state.hosts.begin()->second.host;
  CHECK(host.timeouts.at(processor_name{"work"}) == 2s);
  CHECK(host.timeouts.at(processor_name{"free"}) == 60s);
  CHECK(host.setup_limits.at(processor_name{"work"}) == 60s); // no request waits for it
  CHECK(host.setup_limits.at(processor_name{"free"}) == 0s);
}

TEST_CASE("an older wish is ignored, the same one again is not an error") {
  node_state state;
  apply(state, {3, {order_of("a", 1)}, {}}, at);
  CHECK(apply(state, {2, {}, {}}, at).empty());
  CHECK(state.hosts.begin()->second.host.is_wanted);
  CHECK(apply(state, {3, {order_of("a", 1)}, {}}, at).empty());
  apply(state, {4, {}, {}}, at);
  CHECK(state.hosts.begin()->second.host.phase == host_phase::down);
}

TEST_CASE("another program under the same version waits until the process of the old one is gone") {
  node_state state;
  apply(state, {1, {order_of("a", 1)}, {replica_of(1, "a", 1)}}, at);
  const host_key key{flow_name{"a"}, flow_version{1}};
  apply_to(state, key, event::fetched{}, at);
  apply_to(state, key, event::connected{host_id{1}}, at);
  auto other = order_of("a", 1);
  other.artifact = artifact_id{"bb"};
  for (std::uint64_t revision : {2, 3}) {
    apply(state, {revision, {other}, {replica_of(2, "a", 1)}}, at);
    CHECK(state.hosts.at(key).order.artifact == artifact_id{"aa"});
    CHECK(state.hosts.at(key).host.phase == host_phase::stopping);
    CHECK(state.hosts.at(key).host.replicas_wanted.empty());
  }
  crash_report gone;
  gone.host = host_id{1};
  const auto actions = apply_to(state, key, event::exited{gone}, at);
  const auto& entry = state.hosts.at(key);
  CHECK(entry.order.artifact == artifact_id{"bb"});
  CHECK(entry.host.phase == host_phase::fetching);
  REQUIRE(entry.host.replicas_wanted.size() == 1);
  CHECK(entry.host.replicas_wanted[0].id == replica_id{2});
  REQUIRE(actions.size() == 2);
  CHECK(std::holds_alternative<action::report_end>(actions[0].what));
  CHECK(std::holds_alternative<action::fetch>(actions[1].what));

  apply(state, {4, {order_of("a", 1)}, {replica_of(3, "a", 1)}}, at); // without a process: at once
  CHECK(state.hosts.at(key).order.artifact == artifact_id{"aa"});
  CHECK(state.hosts.at(key).host.phase == host_phase::fetching);
}

TEST_CASE("the same program under the same version with other variables is another one") {
  node_state state;
  apply(state, {1, {order_of("a", 1)}, {replica_of(1, "a", 1)}}, at);
  const host_key key{flow_name{"a"}, flow_version{1}};
  apply_to(state, key, event::fetched{}, at);
  apply_to(state, key, event::connected{host_id{1}}, at);
  auto other = order_of("a", 1);
  other.env = {{"ADMIN_TOKEN", "new"}};
  apply(state, {2, {other}, {replica_of(1, "a", 1)}}, at);
  CHECK(state.hosts.at(key).host.phase == host_phase::stopping);
}

TEST_CASE("replicas of a flow that was not sent along start nothing") {
  node_state state;
  CHECK(apply(state, {1, {}, {replica_of(1, "a", 1)}}, at).empty());
  CHECK(state.hosts.empty());
}

TEST_CASE("a node that stops hears no more wishes") {
  node_state state;
  apply(state, {1, {order_of("a", 1)}, {}}, at);
  begin_stop(state, at);
  CHECK(state.hosts.begin()->second.host.phase == host_phase::down);
  CHECK(apply(state, {2, {order_of("a", 1)}, {}}, at).empty());
}

TEST_CASE("hosts that are down are reported once more, then forgotten") {
  node_state state;
  node_info self;
  self.id = node_id{"node-1"};
  apply(state, {1, {order_of("a", 1)}, {}}, at);
  apply(state, {2, {}, {}}, at);
  auto report = make_report(state, self, at.now);
  REQUIRE(report.hosts.size() == 1);
  CHECK(report.hosts[0].phase == host_phase::down);
  CHECK(report.node == self.id);
  CHECK(report.revision == 2);
  CHECK(forget_down(state));
  CHECK_FALSE(forget_down(state));
  CHECK(make_report(state, self, at.now).hosts.empty());
}

TEST_CASE("a report says how long a host still waits, as text that counts down") {
  node_state state;
  apply(state, {1, {order_of("a", 1)}, {}}, at);
  auto& host = state.hosts.begin()->second.host;
  host.phase = host_phase::crash_loop;
  host.detail = "killed by SIGSEGV; ended 5 times in a row";
  host.due = at.now + 61s;
  auto text_after = [&](auto span) { return describe(make_report(state, {}, at.now + span).hosts.at(0)); };
  CHECK(text_after(0s) == "killed by SIGSEGV; ended 5 times in a row; starts again in 61 s");
  CHECK(text_after(59s + 200ms) == "killed by SIGSEGV; ended 5 times in a row; starts again in 2 s");
  CHECK(text_after(61s) == "killed by SIGSEGV; ended 5 times in a row");
  CHECK(make_report(state, {}, at.now + 1s).hosts.at(0).detail == host.detail); // no news by itself
  host.phase = host_phase::running;
  CHECK(text_after(0s) == host.detail);
}

TEST_CASE("the memory limit is what the replicas reserve, within bounds") {
  auto order = order_of("a", 1, 100u << 20);
  host::replica_order work{replica_id{1}, processor_name{"work"}, host::replica_goal::run};
  host::replica_order free{replica_id{2}, processor_name{"free"}, host::replica_goal::run};
  CHECK(memory_limit(order, {work, work}, 0) == 200u << 20);
  CHECK(memory_limit(order, {work, work}, 150u << 20) == 150u << 20);
  CHECK(memory_limit(order, {work, free}, 1u << 30) == 1u << 30);
  CHECK(memory_limit(order, {work, free}, 0) == 0);
  CHECK(memory_limit(order, {}, 1u << 30) == 1u << 30);
  CHECK(memory_limit(order_of("a", 1, 1), {work}, 0) == limits::host_memory_bytes_min);
}

TEST_CASE("processor use is measured between two samples of one process") {
  host_entry entry;
  auto tick = measure(entry, process_sample{5000, 1s}, time_point{10s});
  CHECK(*tick.memory_bytes == 5000);
  CHECK(entry.cpu_used == 0);
  measure(entry, process_sample{5000, 1500ms}, time_point{11s});
  CHECK(entry.cpu_used == doctest::Approx(0.5));
  measure(entry, std::nullopt, time_point{12s});
  CHECK(entry.cpu_used == 0);
  measure(entry, process_sample{5000, 100ms}, time_point{13s});
  CHECK(entry.cpu_used == 0);
  node_state state;
  measure(state, machine_sample{7, 10s}, time_point{10s});
  measure(state, machine_sample{8, 13s}, time_point{12s});
  CHECK(state.cpu_used == doctest::Approx(1.5));
  CHECK(state.memory_used_bytes == 8);
}

TEST_CASE("a late look is taken for a pause of the agent, a usual one is not") {
  node_state state;
  apply(state, {1, {order_of("a", 1)}, {}}, at);
  auto& host = state.hosts.begin()->second.host;
  apply(host, event::fetched{}, at);
  auto due = *host.due;
  note_time(state, at.now);
  note_time(state, at.now + 300ms);
  CHECK(*host.due == due);
  note_time(state, at.now + 300ms + tick_interval + sleep_threshold - 1ms);
  CHECK(*host.due == due);
  note_time(state, at.now + 1h);
  CHECK(*host.due > due + 59min);
}

TEST_CASE("a heartbeat carries the last lines of a crash only") {
  node_state state;
  apply(state, {1, {order_of("a", 1)}, {}}, at);
  auto& host = state.hosts.begin()->second.host;
  crash_report crash;
  for (int i = 0; i < 200; ++i)
    crash.log_tail.push_back(std::to_string(i) + std::string(100, '.'));
  host.last_crash = crash;
  auto report = make_report(state, {}, at.now);
  const auto& tail = report.hosts[0].last_crash->log_tail;
  CHECK(tail.size() > 70);
  CHECK(tail.size() < 90);
  CHECK(tail.back() == crash.log_tail.back());
  CHECK(host.last_crash->log_tail.size() == 200);
}

TEST_CASE("only a process that is there is found by its id") {
  node_state state;
  apply(state, {1, {order_of("a", 1)}, {}}, at);
  CHECK_FALSE(find(state, host_id{1}));
  apply(state.hosts.begin()->second.host, event::fetched{}, at);
  CHECK(find(state, host_id{1}));
  CHECK_FALSE(find(state, host_id{2}));
}
