// Goal: clients in one room hear each other, whichever nodes they and their replicas are on; whatever ends a replica,
// its clients are told at once and find another one.
#include "tests/support/cli_cluster.hpp"
#include "tests/support/websocket_client.hpp"

#include <boost/json/parse.hpp>
#include <doctest/doctest.h>

#include <csignal>
#include <map>
#include <set>

using namespace sluice::test;
using sluice::testing::websocket_client;

namespace {

std::uint16_t http_port_of(const std::filesystem::path& state_dir) {
  auto node = boost::json::parse(read_file(state_dir / "node.json")).as_object();
  std::string address{node.at("http_address").as_string()};
  return static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
}

/// A head without a worker and two workers.
struct two_nodes : cli_cluster {
  std::vector<std::filesystem::path> dirs;
  std::vector<std::uint16_t> ports;

  explicit two_nodes(int replicas) {
    start_head({"--no-worker"});
    for (int i = 0; i < 2; ++i) {
      dirs.push_back(start_worker({"--http", "127.0.0.1:0"}));
      ports.push_back(http_port_of(dirs.back()));
    }
    must({"submit", program("chat_flow"), "--", "--replicas", std::to_string(replicas)});
    wait_running("chat");
    for (auto port : ports)
      REQUIRE(eventually([&] { return websocket_client{port, "/chat/warm-up"}.status() == 101; }));
  }

  /// A client at one of the nodes that has been greeted: `by` has "v1 PID".
  struct guest {
    websocket_client client;
    std::string by;
  };
  guest enter(std::size_t node, const std::string& name, const std::string& room = "lobby") {
    guest made{{ports[node], "/chat/" + room + "?name=" + name}, {}};
    REQUIRE(made.client.status() == 101);
    auto greeting = made.client.read();
    REQUIRE(greeting);
    REQUIRE(greeting->starts_with("connected to "));
    made.by = greeting->substr(13);
    return made;
  }

  std::uint64_t open_connections() {
    std::uint64_t sum = 0;
    const auto replicas = json({"list", "replicas"});
    for (const auto& each : replicas.as_array())
      sum += each.at("in_flight_count").to_number<std::uint64_t>();
    return sum;
  }
};

} // namespace

TEST_CASE("clients of different nodes and replicas share a room") {
  two_nodes cluster{2};
  auto ada = cluster.enter(0, "ada");
  auto bob = cluster.enter(1, "bob");
  auto eve = cluster.enter(1, "eve", "attic");
  CHECK(ada.by != bob.by); // each is served where it is connected
  // Both ways; the first message may still wait for the link between the nodes.
  CHECK(ada.client.send("hello"));
  CHECK(ada.client.read_until("ada: hello"));
  CHECK(bob.client.read_until("ada: hello"));
  CHECK(bob.client.send("hi"));
  CHECK(ada.client.read_until("bob: hi"));
  CHECK(bob.client.read_until("bob: hi"));
  for (int i = 0; i < 200; ++i)
    CHECK(ada.client.send(std::to_string(i)));
  for (int i = 0; i < 200; ++i) // in order, none missing
    CHECK(bob.client.read() == "ada: " + std::to_string(i));
  const std::string big(500'000, 'x');
  CHECK(bob.client.send(big));
  CHECK(ada.client.read_until("bob: " + big));
  CHECK(eve.client.send("only me 1"));
  CHECK(eve.client.read() == "only me 1"); // nothing of the other room came before
  CHECK(eventually([&] { return cluster.open_connections() == 3; }));
  bob.client.vanish();
  CHECK(ada.client.read_until("bob has gone"));
  CHECK(eventually([&] { return cluster.open_connections() == 2; }));
}

TEST_CASE("a client is served by a replica of another node") {
  two_nodes cluster{1};
  auto ada = cluster.enter(0, "ada");
  auto bob = cluster.enter(1, "bob");
  CHECK(ada.by == bob.by); // one of them over a link between nodes
  CHECK(ada.client.send("hello"));
  CHECK(bob.client.read_until("ada: hello"));
  CHECK(bob.client.send("hi"));
  CHECK(ada.client.read_until("bob: hi"));
  ada.client.close(4001);
  CHECK(bob.client.read_until("ada has gone"));
}

TEST_CASE("a failure in user code ends one connection, and the logs have its id") {
  two_nodes cluster{1};
  auto ada = cluster.enter(0, "ada");
  auto bob = cluster.enter(0, "bob");
  CHECK(ada.client.send("crash"));
  CHECK(ada.client.read_to_close() == 1011);
  const auto reason = ada.client.close_reason();
  REQUIRE(reason.starts_with("internal error, id "));
  CHECK(eventually([&] {
    return cluster.must({"logs", "flow/chat"}).find(reason.substr(19) + ": as ada asked")
           != std::string::npos;
  }));
  CHECK(bob.client.read_until("ada has gone"));
  CHECK(bob.client.send("only me"));
  CHECK(bob.client.read_until("bob: only me"));
}

TEST_CASE("a host that is killed is a closed connection at once, and another one serves") {
  two_nodes cluster{2};
  auto ada = cluster.enter(0, "ada");
  auto bob = cluster.enter(1, "bob");
  kill(static_cast<pid_t>(std::stol(ada.by.substr(ada.by.find(' ')))), SIGKILL);
  CHECK(ada.client.read_to_close() == 1012);
  auto again = cluster.enter(0, "ada");
  CHECK(again.client.send("I am back"));
  CHECK(bob.client.read_until("ada: I am back"));
}

TEST_CASE("a rolling update sends clients away, and they come back to the new version") {
  two_nodes cluster{2};
  auto ada = cluster.enter(0, "ada");
  auto bob = cluster.enter(1, "bob");
  cluster.must({"submit", program("chat_flow_v2"), "--", "--replicas", "2"});
  CHECK(ada.client.read_to_close() == 1001);
  CHECK(bob.client.read_to_close() == 1001);
  auto ada_again = cluster.enter(0, "ada");
  auto bob_again = cluster.enter(1, "bob");
  CHECK(ada_again.by.starts_with("v2 "));
  CHECK(bob_again.by.starts_with("v2 "));
  CHECK(ada_again.client.send("hello"));
  CHECK(bob_again.client.read_until("ada: hello"));
  CHECK(eventually([&] { return cluster.flow_phase("chat") == "running"; }));
}
