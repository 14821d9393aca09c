// Goal: what one process encodes the next one reads back, and bytes that nobody
// encoded do no harm.
#include "transport/peer/wire.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace sluice;
using namespace sluice::peer;
using namespace std::chrono_literals;

namespace {

record_block block_of(std::initializer_list<std::string_view> payloads) {
  record_block_builder builder;
  std::uint64_t seq = 7;
  for (auto payload : payloads)
    builder.add(seq++, 2, payload);
  return builder.finish();
}

queue::commit_request full_commit() {
  queue::commit_request x;
  x.queue = queue_name{"orders"};
  x.owner = {node_id{"node-1"}, host_id{0xffff'ffff'ffff'fff1}, replica_id{3}};
  x.consumer = {flow_name{"shop"}, processor_name{"price"}};
  x.epoch = 9;
  x.attempts_max = 4;
  x.acks = {1, 2, 1'000'000'000'000};
  x.nacks = {{5, "order.items[2].price: expected number, got string", false, 0}, {6, "later", true}};
  x.results = {{queue_name{"priced"}, block_of({"a", "", "ccc"})}, {queue_name{"audit"}, block_of({"z"})}};
  x.burials = {{std::string("\0\xff", 2), "boom", 5}};
  x.cursor = queue::cursor_move{"shop/price", "10", "20"};
  return x;
}

template <class T>
T round_trip(const T& x) {
  T back{};
  auto ok = decode(encode(x), back);
  REQUIRE_MESSAGE(ok, (ok ? "" : ok.error().message));
  return back;
}

} // namespace

TEST_CASE("a commit keeps every part of it") {
  auto x = full_commit();
  auto back = round_trip(x);
  CHECK(back.queue == x.queue);
  CHECK(back.owner == x.owner);
  CHECK(back.consumer == x.consumer);
  CHECK(back.epoch == 9);
  CHECK(back.attempts_max == 4);
  CHECK(back.acks == x.acks);
  REQUIRE(back.nacks.size() == 2);
  CHECK(back.nacks[0].attempts == 0u);
  CHECK_FALSE(back.nacks[1].attempts.has_value());
  CHECK(back.nacks[0].error == x.nacks[0].error);
  CHECK_FALSE(back.nacks[0].retry);
  REQUIRE(back.results.size() == 2);
  CHECK(back.results[0].queue == queue_name{"priced"});
  CHECK(back.results[0].records.bytes() == x.results[0].records.bytes());
  CHECK(back.results[0].records.count() == 3);
  CHECK(back.results[1].records.bytes() == x.results[1].records.bytes());
  REQUIRE(back.burials.size() == 1);
  CHECK(back.burials[0].payload == x.burials[0].payload);
  REQUIRE(back.cursor);
  CHECK(back.cursor->next == "20");
}

TEST_CASE("an append keeps what makes a repeat known") {
  const queue::append_request x{queue_name{"orders"}, block_of({"one"}), "key/shop/ingest/k-1", 1,
                                0xfedc'ba98'7654'3210};
  auto back = round_trip(x);
  CHECK(back.queue == x.queue);
  CHECK(back.records.bytes() == x.records.bytes());
  CHECK(back.producer == x.producer);
  CHECK(back.producer_seq == 1);
  CHECK(back.fingerprint == x.fingerprint);
}

TEST_CASE("a lease reply carries its records untouched") {
  queue::lease_reply x{3, block_of({"one", "two"})};
  auto back = round_trip(x);
  CHECK(back.epoch == 3);
  CHECK(back.records.bytes() == x.records.bytes());
  CHECK((*back.records.begin()).seq == 7);
  CHECK_FALSE(back.more_may_come);
  CHECK(round_trip(queue::lease_reply{1, {}}).records.empty());
  CHECK(round_trip(queue::lease_reply{1, {}, true}).more_may_come);
}

TEST_CASE("a registration says where the node is reached, and where it serves HTTP") {
  cluster::register_node x;
  x.info.id = node_id{"node-1"};
  x.info.started = incarnation{{1, 2}};
  x.info.address = "10.0.0.1:7410";
  x.info.http_address = "http://10.0.0.1:8000";
  auto back = round_trip(x);
  CHECK(back.info.id == x.info.id);
  CHECK(back.info.started == x.info.started);
  CHECK(back.info.address == x.info.address);
  CHECK(back.info.http_address == x.info.http_address);
}

TEST_CASE("desired state keeps flows, their description and assignments") {
  node::desired_state x;
  x.revision = 12;
  node::flow_order order;
  order.flow = flow_name{"shop"};
  order.version = flow_version{3};
  order.artifact = artifact_id{std::string(64, 'a')};
  order.artifact_size_bytes = 1234;
  order.args = {"--level", "high"};
  order.env = {{"ADMIN_TOKEN", "xyz"}, {"EMPTY", ""}};
  order.spec.name = flow_name{"shop"};
  order.spec.sluice_version = "0.1.0";
  processor_spec processor;
  processor.name = processor_name{"price"};
  processor.source = {"queue", {{"name", "orders"}}};
  processor.sink = {"empty", {}};
  order.spec.processors = {processor};
  x.flows = {order};
  x.assignments = {
    {replica_id{5}, flow_name{"shop"}, flow_version{3}, processor_name{"price"}, host::replica_goal::drain}};
  auto back = round_trip(x);
  CHECK(back.revision == 12);
  REQUIRE(back.flows.size() == 1);
  CHECK(back.flows[0].spec == order.spec);
  CHECK(back.flows[0].args == order.args);
  CHECK(back.flows[0].env == order.env);
  REQUIRE(back.assignments.size() == 1);
  CHECK(back.assignments[0].goal == host::replica_goal::drain);
  CHECK_FALSE(back.routes);
}

TEST_CASE("desired state keeps the routes") {
  ingress::route_entry route;
  route.flow = flow_name{"shop"};
  route.processor = processor_name{"lookup"};
  route.kind = pattern::collector;
  route.http = {
    "/orders/{id}",       sluice::method::delete_, 77, 5, 3, 9, 2.5, 4, {"*", "https://a.example"},
    R"({"operation":{}})"};
  route.num_concurrency = 4;
  route.timeout = 1500ms;
  route.output_type = "order";
  route.is_draining = true;
  route.targets = {{replica_id{9}, flow_version{2}, node_id{"node-1"}, "10.0.0.1:7410", route.flow},
                   {replica_id{10}, flow_version{3}, node_id{"node-2"}, "", route.flow}};
  node::desired_state x;
  x.revision = 3;
  x.routes = std::make_shared<const ingress::route_table>(
    ingress::route_table{{route, {}}, {{node_id{"node-1"}, "10.0.0.1:7410"}, {node_id{"node-2"}, ""}}});
  auto back = round_trip(x);
  REQUIRE(back.routes);
  CHECK(*back.routes == *x.routes);
}

TEST_CASE("the documentation of a route crosses a link once, as long as orders name it") {
  auto order_of = [](std::vector<std::string> documents) {
    ingress::route_table table;
    for (auto& each : documents)
      table.routes.emplace_back().http.openapi = std::move(each);
    node::desired_state x;
    x.routes = std::make_shared<const ingress::route_table>(std::move(table));
    return x;
  };
  peer::documents_told told;
  peer::documents_known known;
  auto crosses = [&](const node::desired_state& x) {
    const auto bytes = peer::encode(x, told);
    node::desired_state back;
    REQUIRE(peer::decode(bytes, back, known));
    CHECK(*back.routes == *x.routes);
    return bytes.size();
  };
  const std::string one(10'000, '1');
  const std::string two(10'000, '2');
  CHECK(crosses(order_of({one, "", two, one})) > 20'000);
  CHECK(crosses(order_of({one, "", two, one})) < 1'000);
  CHECK(crosses(order_of({two})) < 1'000);
  CHECK(known.size() == 1);
  const auto again = crosses(order_of({one, two})); // nobody kept it
  CHECK(again > 10'000);
  CHECK(again < 20'000);
  told.clear(); // the sender does not know what arrived
  CHECK(crosses(order_of({one, two})) > 20'000);
  told.clear();
  known.clear(); // another link
  CHECK(crosses(order_of({one})) > 10'000);
}

TEST_CASE("a node's report keeps hosts, replicas and the last crash") {
  node::node_report x;
  x.node = node_id{"node-1"};
  x.started.bits = {1, 0xffff'ffff'ffff'ffff};
  node::host_status host;
  host.id = host_id{77};
  host.phase = node::host_phase::crash_loop;
  host.starts_in = 42s;
  node::crash_report crash;
  crash.signal = 11;
  crash.reason = "killed by SIGSEGV";
  crash.log_tail = {"a", "b"};
  crash.suspects = {{replica_id{4}, 99}};
  host.last_crash = crash;
  host.replicas = {{replica_id{4}, processor_name{"p"}, host::replica_phase::failed, 10, 2, 1, 250ms, "bad"}};
  x.hosts = {host};
  ingress::processor_load load;
  load.flow = flow_name{"shop"};
  load.processor = processor_name{"quote"};
  load.waiting = 3;
  load.ongoing = 2;
  load.wait_oldest = 40ms;
  load.answered_total = 9;
  load.client_errors_total = 1;
  load.server_errors_total = 2;
  load.turned_away_total = 1;
  load.room_messages_lost_total = 6;
  load.sink_error = "no room";
  load.latency.add(5ms);
  load.latency.add(70s);
  x.requests = {load, {}};
  auto back = round_trip(x);
  CHECK(back.requests == x.requests);
  CHECK(back.started == x.started);
  REQUIRE(back.hosts.size() == 1);
  CHECK(back.hosts[0].phase == node::host_phase::crash_loop);
  CHECK(back.hosts[0].starts_in == 42s);
  REQUIRE(back.hosts[0].last_crash);
  CHECK(back.hosts[0].last_crash->log_tail == crash.log_tail);
  CHECK(back.hosts[0].last_crash->suspects == crash.suspects);
  REQUIRE(back.hosts[0].replicas.size() == 1);
  CHECK(back.hosts[0].replicas[0].busy_longest == 250ms);
  CHECK(back.hosts[0].replicas[0].phase == host::replica_phase::failed);
}

TEST_CASE("a failure keeps its code and text; an unknown code becomes internal") {
  auto back = decode_failure(encode_failure({errc::stale, "lease lost"}));
  CHECK(back == failure{errc::stale, "lease lost"});
  CHECK(decode_failure(std::string("\xee") + "x").code == errc::internal);
  CHECK(decode_failure(std::string("\0", 1) + "x").code == errc::internal);
  CHECK(decode_failure("").code == errc::internal);
}

TEST_CASE("truncated bytes are refused or read as a shorter message, never past their end") {
  auto bytes = encode(full_commit());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // A heap copy of exact size lets the address sanitizer see an over-read.
    std::string cut(bytes, 0, size);
    cut.shrink_to_fit();
    queue::commit_request back;
    CHECK_FALSE(decode(cut, back).has_value());
  }
}

TEST_CASE("mutated bytes do no harm") {
  std::mt19937_64 random{20261124};
  const auto commit = encode(full_commit());
  const auto lease = encode(queue::lease_reply{1, block_of({"one", "two", "three"})});
  for (int round = 0; round < 20'000; ++round) {
    auto mutate = [&](std::string bytes) {
      for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips)
        bytes[random() % bytes.size()] = static_cast<char>(random());
      return bytes;
    };
    queue::commit_request commit_back;
    if (decode(mutate(commit), commit_back))
      for (auto& part : commit_back.results)
        for (auto record : part.records)
          CHECK(record.payload.size() <= commit.size());
    queue::lease_reply lease_back;
    static_cast<void>(decode(mutate(lease), lease_back));
    node::desired_state desired_back;
    static_cast<void>(decode(mutate(commit), desired_back));
  }
}
