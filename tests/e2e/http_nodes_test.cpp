// Goal: a request may be sent to any node, wherever the replica is, and nothing that is done on purpose to
// the cluster costs it its answer.
#include "tests/support/cli_cluster.hpp"
#include "tests/support/http_client.hpp"

#include <boost/json/parse.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <mutex>
#include <thread>

using namespace sluice::test;
using sluice::testing::client_answer;
using sluice::testing::http_client;

namespace {

std::uint16_t http_port_of(const std::filesystem::path& state_dir) {
  auto node = boost::json::parse(read_file(state_dir / "node.json")).as_object();
  std::string address{node.at("http_address").as_string()};
  return static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
}

std::string get_path(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

std::string get(const std::string& name) { return get_path("/items/" + name); }

std::string post(const std::string& name, const std::string& body = "{\"us\":500}") {
  return "POST /items/" + name
         + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
         + std::to_string(body.size()) + "\r\n\r\n" + body;
}

boost::json::object body_of(const client_answer& answer) {
  CHECK_MESSAGE(answer.status == 200, answer.body);
  return answer.status == 200 ? boost::json::parse(answer.body).as_object() : boost::json::object{};
}

/// A head without a worker and three workers.
struct three_nodes : cli_cluster {
  std::vector<std::filesystem::path> dirs;
  std::vector<std::uint16_t> ports;

  three_nodes() {
    start_head({"--no-worker"});
    for (int i = 0; i < 3; ++i) {
      dirs.push_back(start_worker({"--http", "127.0.0.1:0"}));
      ports.push_back(http_port_of(dirs.back()));
    }
  }

  void deploy(int replicas) {
    must({"submit", program("web_flow"), "--", "--replicas", std::to_string(replicas)});
    wait_running("web");
    for (auto port : ports)
      REQUIRE(eventually([&] {
        http_client client{port};
        return client.ask(get("x")).status == 200;
      }));
  }
};

/// Clients that ask all nodes, GET and POST in turn, one after the other on a connection.
class load {
public:
  explicit load(const std::vector<std::uint16_t>& ports) {
    for (auto port : ports)
      threads_.emplace_back([this, port] { run(port); });
  }
  ~load() { stop(); }

  void stop() {
    is_over_ = true;
    for (auto& each : threads_)
      if (each.joinable())
        each.join();
  }

  std::atomic<int> sent{0};
  std::atomic<int> failed_get{0};
  std::atomic<int> failed_post{0};
  std::string first_failure() {
    std::lock_guard lock{mutex_};
    return failure_;
  }

private:
  void run(std::uint16_t port) {
    http_client client{port};
    for (int i = 0; !is_over_; ++i) {
      const bool is_get = i % 2 == 0;
      auto answer = client.ask(is_get ? get("a") : post("a"));
      ++sent;
      if (answer.status == 200)
        continue;
      ++(is_get ? failed_get : failed_post);
      {
        std::lock_guard lock{mutex_};
        if (failure_.empty())
          failure_ = std::to_string(answer.status) + " " + answer.body;
      }
      client = http_client{port};
    }
  }

  std::atomic<bool> is_over_{false};
  std::mutex mutex_;
  std::string failure_;
  std::vector<std::thread> threads_;
};

} // namespace

TEST_CASE_FIXTURE(three_nodes, "`list nodes` says where each node serves HTTP") {
  for (auto port : ports) {
    const auto at = "http://127.0.0.1:" + std::to_string(port);
    CHECK(must({"list", "nodes"}).find(at) != std::string::npos);
    auto nodes = json({"list", "nodes", "-f", "http_address=" + at}).as_array();
    REQUIRE(nodes.size() == 1);
    CHECK(must({"get", "node/" + std::string{nodes[0].at("id").as_string()}}).find(at) != std::string::npos);
  }
}

TEST_CASE("a replica is reached through every node") {
  three_nodes cluster;
  cluster.deploy(1);
  auto pids = cluster.host_pids("web");
  for (auto port : cluster.ports) {
    http_client client{port};
    for (int i = 0; i < 20; ++i) {
      auto read = body_of(client.ask(get("a%20b")));
      CHECK(read["name"] == "a b");
      CHECK(std::ranges::find(pids, read["pid"].to_number<pid_t>()) != pids.end());
      CHECK(body_of(client.ask(post("c")))["name"] == "c");
    }
    std::string big(300'000, 'x');
    CHECK(body_of(client.ask(post("d", R"({"us":0,"more":")" + big + "\"}")))["name"] == "d");
    CHECK(client.ask(get("a/b")).status == 404);
  }
}

TEST_CASE("an answer is streamed through every node, and one that its client leaves stands in nobody's way") {
  three_nodes c;
  c.must({"submit", program("example_stream")});
  c.wait_running("countdown");
  for (auto port : c.ports) {
    REQUIRE(eventually([&] { return http_client{port}.ask(get_path("/squares/3")).status == 200; }));
    CHECK(http_client{port}.ask(get_path("/squares/3")).body == "1\n4\n9\n");
    auto counted = http_client{port}.ask(get_path("/countdown/2?interval_ms=1"));
    CHECK(counted.complete);
    CHECK(counted.body.ends_with("\"text\":\"lift-off\"}\n"));
    for (int i = 0; i < 20; ++i) { // more than the endpoint has places
      http_client leaves{port};
      leaves.send(get_path("/countdown/1000"));
      CHECK(leaves.receive());
    }
    CHECK(http_client{port}.ask(get_path("/squares/1")).body == "1\n");
  }
}

TEST_CASE("a rolling update under load fails no request on any node") {
  three_nodes cluster;
  cluster.deploy(2);
  load clients{cluster.ports};
  REQUIRE(eventually([&] { return clients.sent > 100; }));
  cluster.must({"submit", program("web_flow_v2"), "--start-timeout", "60s", "--", "--replicas", "2"});
  REQUIRE(eventually([&] {
    http_client client{cluster.ports[0]};
    return body_of(client.ask(get("x")))["by"] == "v2";
  }));
  const auto until = clients.sent + 100;
  REQUIRE(eventually([&] { return clients.sent > until; }));
  cluster.must(
    {"drain", "node/" + std::string{cluster.json({"list", "nodes"}).as_array()[0].at("id").as_string()}});
  clients.stop();
  CHECK_MESSAGE(clients.failed_get + clients.failed_post == 0, clients.first_failure());
}

TEST_CASE("a host that is killed under load costs no GET") {
  three_nodes cluster;
  cluster.deploy(3);
  load clients{cluster.ports};
  for (int round = 0; round < 3; ++round) {
    const auto until = clients.sent + 100;
    REQUIRE(eventually([&] { return clients.sent > until; }));
    auto pids = cluster.host_pids("web");
    REQUIRE_FALSE(pids.empty());
    kill(pids[static_cast<std::size_t>(round) % pids.size()], SIGKILL);
  }
  const auto until = clients.sent + 200;
  REQUIRE(eventually([&] { return clients.sent > until; }));
  clients.stop();
  CHECK_MESSAGE(clients.failed_get == 0, clients.first_failure());
  CHECK(clients.failed_post <= 3 * 3);
}

TEST_CASE("a node that is killed costs the others no GET") {
  three_nodes cluster;
  cluster.deploy(3);
  load clients{{cluster.ports[0], cluster.ports[1]}};
  REQUIRE(eventually([&] { return clients.sent > 100; }));
  kill(cli_cluster::node_pid(cluster.dirs[2]), SIGKILL);
  const auto until = clients.sent + 500;
  REQUIRE(eventually([&] { return clients.sent > until; }));
  clients.stop();
  CHECK_MESSAGE(clients.failed_get == 0, clients.first_failure());
  CHECK(clients.failed_post <= 4);
}
