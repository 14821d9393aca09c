// Goal: the status is one screen, whatever the cluster and the terminal are like.

#include "runtime/cli/status_screen.hpp"
#include "runtime/cli/table.hpp"

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

using namespace sluice;
using namespace sluice::cli;

namespace {

namespace api = client::api;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream from{text};
  for (std::string line; std::getline(from, line);)
    lines.push_back(line);
  return lines;
}

bool has_line(const std::vector<std::string>& lines, const std::string& part) {
  for (const auto& line : lines)
    if (line.find(part) != std::string::npos)
      return true;
  return false;
}

void add_node(api::SnapshotReply& to, const std::string& id, const std::string& phase,
              std::uint64_t heartbeat_age_ms = 100) {
  auto* node = to.add_nodes();
  node->set_id(id);
  node->set_phase(phase);
  node->set_address("192.168.100.200:65000");
  node->set_cpus_total(128);
  node->set_memory_total_bytes(1'234'567'890'123);
  node->set_memory_used_bytes(123'456'789'012);
  node->set_heartbeat_age_ms(heartbeat_age_ms);
}

/// A cluster in trouble: `count` of everything, all with long names and texts.
api::SnapshotReply crowded(int count) {
  const std::string long_text(300, 'x');
  api::SnapshotReply cluster;
  cluster.set_cluster_id("0123456789abcdef");
  cluster.set_sluice_version("0.1.0");
  for (int i = 0; i < count; ++i) {
    const auto n = std::to_string(i);
    add_node(cluster, "a-node-with-a-long-name-" + n, i % 2 == 0 ? "alive" : "suspect");
    auto* host = cluster.mutable_nodes(i)->add_hosts();
    host->set_id("host-" + n);
    host->set_flow("flow");
    host->set_phase("crash_loop");
    host->set_detail(long_text);
    auto* flow = cluster.add_flows();
    flow->set_name("a-flow-with-a-long-name-" + n);
    flow->set_phase("degraded");
    flow->set_detail(long_text);
    auto* processor = flow->add_processors();
    processor->set_name("a-processor-with-a-long-name-" + n);
    processor->set_processed_total(123'456'789'012);
    processor->set_failed_total(123'456'789);
    processor->set_backlog_count(123'456'789);
    processor->set_rate_per_s(123'456);
    processor->set_last_error(long_text);
    processor->mutable_spec()->mutable_http()->set_route("/a/long/route/" + n);
    auto* queue = cluster.add_queues();
    queue->set_name("a-queue-with-a-long-name-" + n);
    queue->set_depth_count(1);
    auto* event = cluster.add_events();
    event->set_severity("warning");
    event->set_subject("node/a-node-with-a-long-name-" + n);
    event->set_text(long_text);
  }
  return cluster;
}

} // namespace

TEST_CASE("what does not fit a small terminal is left out and counted") {
  for (int count : {1, 3, 100}) {
    CAPTURE(count);
    const auto lines =
      lines_of(status_screen({.is_terminal = true, .width = 80, .height = 24}, crowded(count)));
    CHECK(lines.size() < 24);
    for (const auto& line : lines)
      CHECK_MESSAGE(display_width(line) <= 80, line);
    for (auto part : {"cluster 0123456789abcdef", "a-node-with", "BACKLOG", "OLDEST", "RATE", "ERRORS",
                      "REPLICAS", "a-queue", "EVENT", "host/host-0", "flow/a-flow"})
      CHECK_MESSAGE(has_line(lines, part), part);
  }
}

TEST_CASE("no line is wider and no screen higher than the terminal, however small") {
  for (int count : {0, 3, 12}) {
    const auto cluster = crowded(count);
    for (std::size_t width : {1U, 10U, 40U, 64U})
      for (std::size_t height : {2U, 5U, 10U, 16U}) {
        CAPTURE(count);
        CAPTURE(width);
        CAPTURE(height);
        const auto lines =
          lines_of(status_screen({.is_terminal = true, .width = width, .height = height}, cluster));
        CHECK(lines.size() < height);
        CHECK_FALSE(lines.empty());
        for (const auto& line : lines)
          CHECK_MESSAGE(display_width(line) <= width, line);
      }
  }
}

TEST_CASE("the smallest screen has a node, a flow with its phase, and why it is so") {
  const auto lines = lines_of(status_screen({.is_terminal = true, .width = 40, .height = 10}, crowded(100)));
  for (auto part : {"cluster 0123", "a-node-", "a-flow-", "  degraded", "  degraded flow/a-flow",
                    "more: sluice list nodes", "more: sluice list processors"})
    CHECK_MESSAGE(has_line(lines, part), part);
  const auto more = lines_of(status_screen({.is_terminal = true, .width = 80, .height = 20}, crowded(100)));
  for (auto part : {"a-node-", "a-flow-", "flow/a-flow", "host/host-0", "a-queue-", "EVENT"})
    CHECK_MESSAGE(has_line(more, part), part);
}

TEST_CASE("flows in trouble have their lines before healthy ones have their second") {
  api::SnapshotReply cluster;
  add_node(cluster, "here", "alive");
  for (int i = 0; i < 6; ++i) {
    const auto n = std::to_string(i);
    auto* flow = cluster.add_flows();
    flow->set_name("flow-" + n);
    flow->set_phase(i < 4 ? "running" : i == 4 ? "degraded" : "failed");
    if (i >= 4)
      flow->set_detail("this is why " + n);
    for (int k = 0; k < 5; ++k) {
      auto* processor = flow->add_processors();
      processor->set_name("work-" + n + "-" + std::to_string(k));
      processor->set_replicas_desired(1);
      processor->set_replicas_running(1);
      if (i < 4)
        processor->set_last_error("an error of long ago");
    }
    auto* event = cluster.add_events();
    event->set_subject("flow/flow-" + n);
  }
  const auto lines = lines_of(status_screen({.is_terminal = true, .width = 80, .height = 20}, cluster));
  for (auto part : {"degraded", "failed", "work-4-0", "work-5-0", "this is why 4", "this is why 5"})
    CHECK_MESSAGE(has_line(lines, part), part);
  for (auto& flow : *cluster.mutable_flows())
    for (auto& processor : *flow.mutable_processors())
      processor.clear_last_error();
  const auto healthy = lines_of(status_screen({.is_terminal = true, .width = 80, .height = 20}, cluster));
  for (auto part : {"work-0-0", "work-1-0", "work-2-0", "work-3-0", "work-4-0", "work-5-0", "this is why 5"})
    CHECK_MESSAGE(has_line(healthy, part), part);
}

TEST_CASE("a batch that could not open its source has done nothing of it") {
  api::SnapshotReply cluster;
  auto* flow = cluster.add_flows();
  flow->set_name("sales");
  auto* batch = flow->add_processors()->mutable_batch();
  batch->set_phase("failed");
  CHECK(status_screen({}, cluster).find("  0 % done") != std::string::npos);
  batch->set_phase("running"); // from a queue
  batch->set_records_in(12);
  CHECK(status_screen({}, cluster).find("  12 done") != std::string::npos);
  batch->set_phase("done"); // of an empty file
  CHECK(status_screen({}, cluster).find("100 % done") != std::string::npos);
}

TEST_CASE("a wide terminal shows every column") {
  const auto screen = status_screen({.is_terminal = true, .width = 240, .height = 80}, crowded(3));
  for (auto part : {"ADDRESS", "HEARTBEAT", "HOSTS", "VERSION", "DEAD", "DONE", "ROUTE", "/a/long/route/2"})
    CHECK_MESSAGE(screen.find(part) != std::string::npos, part);
}

TEST_CASE("off a terminal nothing is cut") {
  const auto screen = status_screen({}, crowded(1));
  CHECK(screen.find(std::string(300, 'x')) != std::string::npos);
  CHECK(screen.find("192.168.100.200:65000") != std::string::npos);
}

TEST_CASE("a node that has been gone for long is only counted") {
  api::SnapshotReply cluster;
  add_node(cluster, "here", "alive");
  add_node(cluster, "left-now", "left", 60'000);
  add_node(cluster, "left-long-ago", "left", 86'400'000);
  add_node(cluster, "dead-long-ago", "dead", 86'400'000);
  const auto lines = lines_of(status_screen({}, cluster));
  CHECK(has_line(lines, "here"));
  CHECK(has_line(lines, "left-now"));
  CHECK_FALSE(has_line(lines, "long-ago"));
  CHECK(has_line(lines, "and 2 more: sluice list nodes"));
}

TEST_CASE("what is in trouble goes before what only comes first by name") {
  api::SnapshotReply cluster;
  for (int i = 0; i < 40; ++i) {
    const auto n = std::to_string(100 + i);
    auto* flow = cluster.add_flows();
    flow->set_name("flow-" + n);
    flow->set_phase(i % 2 == 0 ? "drained" : "running");
    auto* processor = flow->add_processors();
    processor->set_name("work");
    if (i % 2 == 1) {
      processor->set_replicas_desired(1);
      processor->set_replicas_running(1);
    }
    auto* queue = cluster.add_queues();
    queue->set_name("queue-" + n);
    queue->set_depth_count(1);
  }
  cluster.mutable_flows(38)->mutable_processors(0)->set_dead_count(3);
  cluster.mutable_flows(39)->mutable_processors(0)->set_replicas_desired(2);
  cluster.mutable_queues(39)->set_dead_count(1);
  const auto lines = lines_of(status_screen({.is_terminal = true, .width = 100, .height = 24}, cluster));
  for (auto part : {"flow-138", "flow-139", "queue-139", "flow-101", "queue-100", " more: sluice list queues",
                    " more: sluice list processors"})
    CHECK_MESSAGE(has_line(lines, part), part);
  CHECK_FALSE(has_line(lines, "flow-100"));
}

TEST_CASE("records that the disk has damaged are shown where there are any") {
  api::SnapshotReply cluster;
  auto* queue = cluster.add_queues();
  queue->set_name("orders");
  CHECK_FALSE(has_line(lines_of(status_screen({}, cluster)), "damaged"));
  queue->set_damaged_total(3);
  CHECK(has_line(lines_of(status_screen({}, cluster)), "queue/orders: 3 records"));
}

TEST_CASE("a column for what is rare takes no place without it") {
  for (bool any : {false, true}) {
    table rows{{{"QUEUE"}, {"DAMAGED", align::right, false, 0, true}}};
    rows.add({"a", cell{""}});
    rows.add({"b", any ? cell{"7"} : cell{""}});
    std::ostringstream out;
    rows.print(out, {});
    CHECK(out.str() == (any ? "QUEUE  DAMAGED\na\nb            7\n" : "QUEUE\na\nb\n"));
  }
}

TEST_CASE("what the head itself cannot do stands at the top") {
  auto cluster = crowded(20);
  cluster.add_problems("the queues store nothing: disk full: no space left");
  for (std::size_t height : {24, 10, 3}) {
    CAPTURE(height);
    const auto lines = lines_of(status_screen({.is_terminal = true, .width = 80, .height = height}, cluster));
    CHECK(lines.size() < height);
    REQUIRE(lines.size() > 1);
    CHECK(lines[1].find("the queues store nothing: disk full") != std::string::npos);
  }
}
