// Goal: under the load of many connections, an update costs no request, a host's death only what it must, and
// what a collector has confirmed is in its sink, once.
#include "tests/support/cli_cluster.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/http_load.hpp"

#include <boost/json/parse.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>

using namespace sluice::test;
using sluice::testing::http_client;
using sluice::testing::load_options;
using sluice::testing::load_report;
using sluice::testing::run_load;

namespace {

std::string get_item() { return "GET /items/a HTTP/1.1\r\nHost: localhost\r\n\r\n"; }

std::string post_json(const std::string& path, const std::string& fields = {}) {
  return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + fields
         + "Content-Length: 2\r\n\r\n{}";
}

std::uint16_t http_port_of(const std::filesystem::path& state_dir) {
  const auto address = cli_cluster::record_of(state_dir, "http_address");
  return static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
}

/// A head with a worker in it, and a worker beside it; the flow "web" on both.
struct two_nodes : cli_cluster {
  std::vector<std::uint16_t> ports;

  explicit two_nodes(int replicas) {
    start_head({"--http", "127.0.0.1:0"});
    ports = {http_port_of(head_dir()), http_port_of(start_worker({"--http", "127.0.0.1:0"}))};
    must({"submit", program("web_flow"), "--", "--replicas", std::to_string(replicas)});
    wait_running("web");
    for (auto port : ports)
      REQUIRE(eventually([&] {
        http_client client{port};
        return client.ask(get_item()).status == 200;
      }));
  }
};

/// Load on a thread of its own until it is stopped.
class background_load {
public:
  explicit background_load(load_options what)
    : options_(std::move(what)), thread_([this] { report_ = run_load(options_, stop_, done); }) {}
  ~background_load() { end(); }

  load_report end() {
    stop_ = true;
    if (thread_.joinable())
      thread_.join();
    return report_;
  }
  void wait_for_more(std::uint64_t count) {
    const auto until = done + count;
    REQUIRE(eventually([&] { return done >= until; }));
  }

  std::atomic<std::uint64_t> done{0};

private:
  const load_options options_;
  std::atomic<bool> stop_{false};
  load_report report_;
  std::thread thread_;
};

} // namespace

TEST_CASE("a rolling update under the load of many connections fails no request") {
  two_nodes cluster{2};
  background_load load{{.ports = cluster.ports,
                        .connections = 64,
                        .requests = {get_item(), post_json("/items/b"), post_json("/keep/c")}}};
  load.wait_for_more(1000);
  cluster.must({"submit", program("web_flow_v2"), "--start-timeout", "60s", "--", "--replicas", "2"});
  load.wait_for_more(1000);
  cluster.must({"rollback", "flow/web", "--wait", "60s"});
  load.wait_for_more(1000);
  const auto report = load.end();
  for (std::size_t request = 0; request < 3; ++request)
    CHECK_MESSAGE(report.failed(request) == 0, report.first_failure);
}

TEST_CASE("hosts that are killed under load cost no GET, and a POST only 502 where it was in flight") {
  constexpr std::size_t connections = 32;
  constexpr std::size_t kills = 4;
  two_nodes cluster{4};
  background_load load{
    {.ports = cluster.ports, .connections = connections, .requests = {get_item(), post_json("/items/b")}}};
  for (std::size_t i = 0; i < kills; ++i) {
    load.wait_for_more(1000);
    auto pids = cluster.host_pids("web");
    REQUIRE_FALSE(pids.empty());
    kill(pids[i % pids.size()], SIGKILL);
  }
  load.wait_for_more(2000);
  const auto report = load.end();
  CHECK_MESSAGE(report.failed(0) == 0, report.first_failure);
  for (const auto& [status, count] : report.by_status[1])
    CHECK_MESSAGE((status == 200 || status == 502), report.first_failure);
  CHECK(report.failed(1) <= kills * connections);
}

namespace {

/// Clients that post to the collector, each record with a key of its own, and try again until they hear of success.
class keepers {
public:
  keepers(std::uint16_t port, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      threads_.emplace_back([this, port, i] { run(port, "client" + std::to_string(i) + "-"); });
  }
  ~keepers() { end(); }
  void end() {
    is_over_ = true;
    for (auto& each : threads_)
      if (each.joinable())
        each.join();
  }

  std::atomic<std::uint64_t> confirmed{0};
  std::atomic<std::uint64_t> failed{0}; ///< attempts

private:
  void run(std::uint16_t port, const std::string& name) {
    std::optional<http_client> client{port};
    for (int i = 0; !is_over_; ++i) {
      const auto id = name + std::to_string(i);
      const auto request = post_json("/keep/" + id, "Idempotency-Key: " + id + "\r\n");
      // Also after the end: what was begun is brought to success.
      while (client->ask(request).status != 200) {
        ++failed;
        client.emplace(port);
      }
      ++confirmed;
    }
  }

  std::atomic<bool> is_over_{false};
  std::vector<std::thread> threads_;
};

} // namespace

TEST_CASE("what a collector confirms is in its sink once, whenever its host is killed and however often "
          "clients retry") {
  cli_cluster cluster;
  cluster.start_head({"--http", "127.0.0.1:0"});
  cluster.must({"submit", program("web_flow"), "--", "--replicas", "1"});
  cluster.wait_running("web");
  const auto port = http_port_of(cluster.head_dir());
  REQUIRE(eventually([&] {
    http_client client{port};
    return client.ask(get_item()).status == 200;
  }));
  keepers clients{port, 8};
  // One less than what a crash loop takes.
  for (int i = 0; i < 4; ++i) {
    const auto until = clients.confirmed + 50;
    REQUIRE(eventually([&] { return clients.confirmed >= until; }));
    for (auto pid : cluster.host_pids("web"))
      kill(pid, SIGKILL);
  }
  const auto until = clients.confirmed + 50;
  REQUIRE(eventually([&] { return clients.confirmed >= until; }));
  clients.end();
  CHECK(clients.failed > 0); // some were on their way when their host died
  std::map<std::string, int> kept;
  for (auto& record : cluster.read_queue("kept"))
    ++kept[std::string{record.at("name").as_string()}];
  CHECK(kept.size() == clients.confirmed);
  for (const auto& [name, times] : kept)
    CHECK_MESSAGE(times == 1, name);
}

TEST_CASE("a collector's host that is killed takes only requests with it that user code or the sink had") {
  two_nodes cluster{1};
  constexpr std::size_t connections = 40;
  const std::string body = R"({"us":20000})";
  background_load load{
    {.ports = {cluster.ports[0]},
     .connections = connections,
     .requests = {"POST /keep/slow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                  "Content-Length: "
                  + std::to_string(body.size()) + "\r\n\r\n" + body}}};
  load.wait_for_more(2 * connections);
  for (auto pid : cluster.host_pids("web"))
    kill(pid, SIGKILL);
  load.wait_for_more(2 * connections);
  const auto report = load.end();
  auto by_status = report.by_status.at(0);
  // 4 in user code and 4 at hand; what waits for the sink is few at 200 a second.
  CHECK(by_status[502] > 0);
  CHECK(by_status[502] <= connections / 2);
  CHECK_MESSAGE(report.failed(0) == by_status[502], report.first_failure);
}

TEST_CASE("requests are seen in status and in the access log") {
  two_nodes cluster{1};
  const auto report = run_load({.ports = cluster.ports,
                                .connections = 4,
                                .requests = {get_item(), "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"},
                                .duration = 200ms});
  const auto asked = report.by_status[0].at(200);
  REQUIRE(eventually([&] {
    auto one = cluster.json({"get", "processor/web/read"}).as_object();
    auto* figures = one.if_contains("requests");
    return figures != nullptr && figures->as_object().contains("answered_total")
           && figures->at("answered_total").to_number<std::uint64_t>() >= asked;
  }));
  CHECK(cluster.must({"list", "processors"}).find("P99") != std::string::npos);
  std::uint64_t lines = 0;
  std::uint64_t routed = 0;
  REQUIRE(eventually([&] {
    lines = routed = 0;
    const auto nodes = cluster.json({"list", "nodes"}); // named: the loop does not keep it alive
    for (const auto& node : nodes.as_array()) {
      std::istringstream text{cluster.must({"logs", "node/" + std::string{node.at("id").as_string()}})};
      for (std::string line; std::getline(text, line); ++lines) {
        auto value = boost::json::parse(line).as_object();
        if (value.at("processor") == "web/read" && value.at("status") == 200
            && value.at("replica").to_number<std::uint64_t>() > 0)
          ++routed;
      }
    }
    return routed > 0 && lines > routed;
  }));
}

TEST_CASE("a node tells nobody its routes if its setting says so") {
  cli_cluster cluster;
  const temp_dir dir;
  std::ofstream{dir / "sluice.toml"} << "http-docs = false\n";
  cluster.start_head({"--http", "127.0.0.1:0", "--config", dir / "sluice.toml"});
  const auto worker = cluster.start_worker({"--http", "127.0.0.1:0"});
  for (const auto* page : {"/docs", "/openapi.json"}) {
    const auto asked = "GET " + std::string{page} + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // 503 until the head has said what routes there are.
    CHECK(eventually([&] { return http_client{http_port_of(cluster.head_dir())}.ask(asked).status == 404; }));
    CHECK(http_client{http_port_of(worker)}.ask(asked).status == 200);
  }
}
