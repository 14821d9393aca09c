// Goal: what goes out over the control API says what the cluster and the queues said,
// and can always be parsed by its reader.
#include "transport/grpc/convert.hpp"

#include <sluice/codec/utf8.hpp>

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::control;
using namespace std::chrono_literals;

namespace {

processor_spec full_spec() {
  processor_spec spec;
  spec.name = processor_name{"price"};
  spec.kind = pattern::collector;
  spec.source = {"queue", {{"name", "orders"}}};
  spec.sink = {"file", {{"path", "out.jsonl"}, {"format", "csv"}}};
  spec.num_replicas = 2;
  spec.min_replicas = 1;
  spec.max_replicas = 10;
  spec.autoscale = false;
  spec.num_cpus = 0.5;
  spec.memory_bytes = 1u << 30;
  spec.num_concurrency = 4;
  spec.timeout = 1500ms;
  spec.max_attempts = 3;
  spec.batch_size = 100;
  spec.log_level = "debug";
  spec.node_labels = {{"gpu", "1"}};
  spec.input_type = "order";
  spec.output_type = "priced";
  return spec;
}

cluster::cluster_view small_view() {
  cluster::cluster_view view;
  view.cluster_id = "c1";
  cluster::node_view node;
  node.info.id = node_id{"node-1"};
  node.info.http_address = "http://10.0.0.1:8000";
  node::host_status host;
  host.id = host_id{0xabcdef};
  host.flow = flow_name{"orders"};
  host.replicas.emplace_back().id = replica_id{5};
  node.hosts.push_back(host);
  view.nodes.push_back(node);
  cluster::flow_view flow;
  flow.name = flow_name{"orders"};
  flow.env_names = {"ADMIN_TOKEN"};
  cluster::processor_view fed_by_queue;
  fed_by_queue.spec = full_spec();
  cluster::processor_view fed_by_timer;
  fed_by_timer.spec.name = processor_name{"tick"};
  fed_by_timer.spec.source = {"pulse", {{"name", "orders"}}};
  flow.processors = {fed_by_queue, fed_by_timer};
  view.flows.push_back(flow);
  for (std::uint64_t id : {5, 6}) {
    cluster::replica_view replica;
    replica.id = replica_id{id};
    if (id == 5)
      replica.node = node_id{"node-1"};
    view.replicas.push_back(replica);
  }
  for (std::uint64_t id = 1; id <= 4; ++id)
    view.events.push_back({.id = id, .at = {}, .severity = "info", .subject = "s", .text = "t"});
  return view;
}

} // namespace

TEST_CASE("a processor's description survives the way there and back") {
  auto back = from_proto(to_proto(full_spec()));
  REQUIRE(back);
  CHECK(*back == full_spec());
  CHECK(*from_proto(to_proto(processor_spec{})) == processor_spec{});
  processor_spec reached;
  reached.kind = pattern::endpoint;
  reached.http = {"/orders/{id}", method::delete_, 77, 5, 3, 9, 2.5, 7, {"https://a.example"}, ""};
  CHECK(*from_proto(to_proto(reached)) == reached);
}

TEST_CASE("a pattern of a newer head is refused by name") {
  auto wire = to_proto(full_spec());
  wire.set_pattern("dancer");
  auto back = from_proto(wire);
  REQUIRE_FALSE(back);
  CHECK(back.error().code == errc::invalid_argument);
  CHECK(back.error().message.find("dancer") != std::string::npos);
}

TEST_CASE("host ids are 16 hex digits and are read back") {
  CHECK(to_text(host_id{0xabcdef}) == "0000000000abcdef");
  CHECK(to_text(host_id{~0ull}) == "ffffffffffffffff");
  CHECK(*host_id_from_text("0000000000abcdef") == host_id{0xabcdef});
  CHECK(*host_id_from_text("abcdef") == host_id{0xabcdef});
  for (auto wrong : {"", "xyz", "abcdefg", "-1", "00000000000000001", "12 "})
    CHECK_FALSE(host_id_from_text(wrong));
}

TEST_CASE("text that is UTF-8 is left alone") {
  for (std::string text :
       {"", "plain\n\ttext", "gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac", "\xf0\x9f\x92\xa7", "\xed\x9f\xbf"})
    CHECK(codec::to_utf8(text) == text);
}

TEST_CASE("bytes that are not UTF-8 are replaced one by one") {
  const std::string mark = "\xef\xbf\xbd";
  CHECK(codec::to_utf8("a\xff z") == "a" + mark + " z");
  CHECK(codec::to_utf8("\xc3") == mark);                                  // cut off
  CHECK(codec::to_utf8("\xc0\x80") == mark + mark);                       // overlong
  CHECK(codec::to_utf8("\xe0\x80\x80") == mark + mark + mark);            // overlong
  CHECK(codec::to_utf8("\xf0\x80\x80\x80") == mark + mark + mark + mark); // overlong
  CHECK(codec::to_utf8("\xed\xa0\x80") == mark + mark + mark);            // surrogate
  CHECK(codec::to_utf8("\xf4\x90\x80\x80") == mark + mark + mark + mark); // above U+10FFFF
  CHECK(codec::to_utf8("\xe2\x82x") == mark + mark + "x");
}

TEST_CASE("of a flow's variables the names are told") {
  const auto snapshot = to_proto(small_view(), {}, 0);
  REQUIRE(snapshot.flows(0).env_names_size() == 1);
  CHECK(snapshot.flows(0).env_names(0) == "ADMIN_TOKEN");
}

TEST_CASE("a node says where it serves HTTP") {
  CHECK(to_proto(small_view(), {}, 0).nodes(0).http_address() == "http://10.0.0.1:8000");
}

TEST_CASE("a processor fed by a queue has that queue's backlog, another has none") {
  auto snapshot =
    to_proto(small_view(),
             {{.name = queue_name{"orders"}, .depth_count = 12, .dead_count = 2, .oldest_age = 1500ms}}, 10);
  const auto& price = snapshot.flows(0).processors(0);
  CHECK(price.flow() == "orders");
  CHECK(price.backlog_count() == 12);
  CHECK(price.oldest_age_ms() == 1500);
  CHECK(price.dead_count() == 2);
  CHECK_FALSE(snapshot.flows(0).processors(1).has_backlog_count());
}

TEST_CASE("a processor whose queue does not exist yet has no backlog") {
  auto snapshot = to_proto(small_view(), {}, 10);
  CHECK_FALSE(snapshot.flows(0).processors(0).has_backlog_count());
}

TEST_CASE("a replica names the host that runs it, and waits while it is not placed") {
  auto snapshot = to_proto(small_view(), {}, 10);
  CHECK(snapshot.replicas(0).host() == "0000000000abcdef");
  CHECK(snapshot.replicas(0).phase() == "starting");
  CHECK(snapshot.replicas(1).host().empty());
  CHECK(snapshot.replicas(1).phase() == "waiting");
}

TEST_CASE("the newest events are kept, oldest first") {
  auto snapshot = to_proto(small_view(), {}, 2);
  REQUIRE(snapshot.events_size() == 2);
  CHECK(snapshot.events(0).id() == 3);
  CHECK(snapshot.events(1).id() == 4);
  CHECK(to_proto(small_view(), {}, 0).events_size() == 0);
  CHECK(to_proto(small_view(), {}, 99).events_size() == 4);
}

TEST_CASE("what user code wrote cannot make a snapshot unreadable") {
  auto view = small_view();
  view.flows[0].processors[0].last_error = "bad \xff byte";
  auto& crash = view.nodes[0].hosts[0].last_crash.emplace();
  crash.reason = "\x80";
  crash.backtrace = "\x81";
  crash.log_tail = {"\x82"};
  view.replicas[0].report.last_error = "\xfe";
  auto bytes = to_proto(view, {}, 10).SerializeAsString();
  v1::SnapshotReply back;
  REQUIRE(back.ParseFromString(bytes));
  CHECK(back.flows(0).processors(0).last_error() == "bad \xef\xbf\xbd byte");
  CHECK(back.nodes(0).hosts(0).last_crash().log_tail(0) == "\xef\xbf\xbd");
}
