// Goal: nodes start, are seen, and stop as the README says; what is asked wrongly is
// refused with a reason and harms nothing.
#include "tests/support/cli_cluster.hpp"

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <csignal>
#include <netinet/in.h>
#include <random>
#include <sys/socket.h>
#include <unistd.h>

using namespace sluice::test;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Connects to 127.0.0.1, writes the bytes, closes.
void throw_at(std::uint16_t port, const std::string& bytes) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0)
    static_cast<void>(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  close(fd);
}

/// Another program on a port of 127.0.0.1.
class port_holder {
public:
  explicit port_holder(std::uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1; // connections of whoever had it may linger
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // A process that was killed may be gone before the last of its threads, and with it its sockets.
    REQUIRE(eventually([&] { return bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0; }));
    REQUIRE(listen(fd_, 1) == 0);
  }
  ~port_holder() { close(fd_); }
  port_holder(const port_holder&) = delete;
  port_holder& operator=(const port_holder&) = delete;

private:
  int fd_;
};

} // namespace

TEST_CASE("start, list, stop: everything that was started is gone afterwards") {
  cli_cluster cluster;
  cluster.start_head();
  auto worker = cluster.start_worker({"--labels", "zone=a"});
  auto head_pid = cluster.head_pid();
  auto worker_pid = cli_cluster::node_pid(worker);
  REQUIRE(eventually([&] { return cluster.json({"status"}).at("nodes").as_array().size() == 2; }));
  auto nodes = cluster.must({"list", "nodes"});
  CHECK(contains(nodes, "alive"));
  cluster.must({"stop"});
  CHECK_FALSE(process_alive(head_pid));
  CHECK_FALSE(process_alive(worker_pid));
  auto after = cluster.sluice({"status"});
  CHECK(after.exit_code == 5);
  CHECK(contains(after.err, "sluice start --head"));
}

TEST_CASE(
  "a processor that asks for labels runs only on nodes that have them, and says so while there are none") {
  cli_cluster cluster;
  cluster.start_head();
  auto submitted =
    cluster.sluice({"submit", program("probe_flow"), "--start-timeout", "5s", "--", "--on", "gpu=1"});
  CHECK(submitted.exit_code == 8);
  CHECK(contains(submitted.err, "no node has the label gpu=1"));
  CHECK(contains(cluster.must({"status"}), "no node has the label gpu=1"));
  CHECK(contains(cluster.must({"get", "flow/probe"}), "no node has the label gpu=1"));
  auto worker = cluster.start_worker({"--labels", "gpu=1,zone=a"});
  cluster.wait_running("probe");
  CHECK(contains(cluster.must({"list", "nodes", "-f", "labels.gpu=1"}), "gpu=1,zone=a"));
  auto id = cli_cluster::record_of(worker, "node_id");
  CHECK(contains(cluster.must({"list", "replicas", "-f", "node=" + id}), "work"));
}

TEST_CASE("without a head every command says so and ends with 5") {
  cli_cluster cluster;
  for (auto& command : std::vector<std::vector<std::string>>{{"status"},
                                                             {"list", "nodes"},
                                                             {"queue", "list"},
                                                             {"scale", "a/b", "2"},
                                                             {"submit", program("probe_flow")}}) {
    auto done = cluster.sluice(command);
    CHECK(done.exit_code == 5);
    CHECK(contains(done.err, "sluice start --head"));
  }
}

TEST_CASE("a second head on the same state dir is refused and the first goes on") {
  cli_cluster cluster;
  cluster.start_head();
  auto second = cluster.sluice({"start", "--head", "--link-port", "0", "--control-port", "0"});
  CHECK(second.exit_code != 0);
  CHECK(contains(second.err, std::to_string(cluster.head_pid())));
  CHECK(cluster.sluice({"status"}).exit_code == 0);
}

TEST_CASE("a taken port, an unknown flag and an unknown key are named") {
  cli_cluster cluster;
  cluster.start_head();
  auto info = cluster.json({"list", "nodes"});
  auto taken = std::string{};
  {
    auto text = read_file(cluster.head_dir() / "node.json");
    auto at = text.find("127.0.0.1:");
    REQUIRE(at != std::string::npos);
    taken = text.substr(at + 10, text.find('"', at) - at - 10);
  }
  cli_cluster other;
  auto port = other.sluice({"start", "--head", "--link-port", taken, "--control-port", "0"});
  CHECK(port.exit_code != 0);
  CHECK_MESSAGE(contains(port.err, taken), port.err);

  auto flag = other.sluice({"start", "--haed"});
  CHECK(flag.exit_code == 2);
  CHECK(contains(flag.err, "--haed"));

  write_file(other.home() / "bad.toml", "link_prot = 1\n");
  auto key = other.sluice({"start", "--head", "--config", (other.home() / "bad.toml").string()});
  CHECK(key.exit_code == 2);
  CHECK(contains(key.err, "link_prot"));
}

TEST_CASE("a worker with a wrong join token is refused") {
  cli_cluster cluster;
  cluster.start_head();
  auto text = read_file(cluster.head_dir() / "node.json");
  auto at = text.find("127.0.0.1:");
  REQUIRE(at != std::string::npos);
  auto address = text.substr(at, text.find('"', at) - at);
  cli_cluster stranger;
  write_file(stranger.home() / "token", "slj1." + std::string(64, 'a') + "." + std::string(64, 'b') + "\n");
  auto done = stranger.sluice(
    {"start", "--address", address, "--join-token-file", (stranger.home() / "token").string()});
  CHECK(done.exit_code != 0);
  CHECK(cluster.json({"status"}).at("nodes").as_array().size() == 1);
}

TEST_CASE("random and mutated bytes on the link port do no harm") {
  cli_cluster cluster;
  cluster.start_head();
  auto text = read_file(cluster.head_dir() / "node.json");
  auto at = text.find("127.0.0.1:");
  REQUIRE(at != std::string::npos);
  auto port = static_cast<std::uint16_t>(std::stoi(text.substr(at + 10)));
  std::mt19937 random{7};
  for (int i = 0; i < 500; ++i) {
    std::string bytes(random() % 2000, '\0');
    for (auto& c : bytes)
      c = static_cast<char>(random());
    if (i % 3 == 0)
      bytes.insert(0, "\x16\x03\x01\x02\x00\x01", 6); // looks like a TLS hello
    throw_at(port, bytes);
  }
  CHECK(cluster.sluice({"status"}).exit_code == 0);
  cluster.start_worker();
  CHECK(eventually([&] { return cluster.json({"status"}).at("nodes").as_array().size() == 2; }));
}

TEST_CASE("draining a node moves its replicas elsewhere") {
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  cluster.start_worker();
  cluster.start_worker();
  cluster.must({"submit", program("probe_flow"), "--", "--replicas", "2"});
  cluster.wait_running("probe");
  auto node = std::string{cluster.json({"status"}).at("nodes").as_array().at(0).at("id").as_string()};
  cluster.must({"drain", "node/" + node});
  auto status = cluster.json({"status"});
  for (auto& replica : status.at("replicas").as_array())
    CHECK(replica.at("node").as_string() != node);
  cluster.put_jobs("in", 1, 1000);
  CHECK(eventually([&] { return cluster.depth("out") == 1000; }));
}

TEST_CASE("a head comes back where its workers look for it, and says so when that port is another's") {
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  cluster.start_worker(); // --address auto
  cluster.must({"submit", program("probe_flow")});
  cluster.wait_running("probe");
  const auto port_of_head = [&] {
    auto address = cli_cluster::record_of(cluster.head_dir(), "link_address");
    return address.substr(address.rfind(':') + 1);
  };
  const auto port = port_of_head();
  const auto kill_head = [&] {
    const auto pid = cluster.head_pid();
    kill(pid, SIGKILL);
    REQUIRE(eventually([pid] { return !process_alive(pid); }));
  };
  const auto start_again = [&](std::vector<std::string> extra) {
    std::vector<std::string> args{"start", "--head", "--no-worker", "--control-port", "0"};
    args.insert(args.end(), extra.begin(), extra.end());
    return cluster.sluice(args);
  };

  kill_head();
  auto same = start_again({}); // without the --link-port of its first start
  REQUIRE_MESSAGE(same.exit_code == 0, same.err);
  CHECK(port_of_head() == port);
  CHECK_MESSAGE(same.err.empty(), same.err);
  cluster.put_jobs("in", 1, 100);
  CHECK(eventually([&] { return cluster.depth("out") == 100; }));

  kill_head();
  port_holder other{static_cast<std::uint16_t>(std::stoi(port))};
  auto refused = start_again({});
  CHECK(refused.exit_code == 6);
  CHECK_MESSAGE(contains(refused.err, "127.0.0.1:" + port), refused.err);
  CHECK_MESSAGE(contains(refused.err, "keeps the port"), refused.err);

  auto moved = start_again({"--link-port", "0"});
  REQUIRE_MESSAGE(moved.exit_code == 0, moved.err);
  CHECK(port_of_head() != port);
  CHECK_MESSAGE(contains(moved.err, "warning: the link port was " + port), moved.err);
  cluster.put_jobs("in", 101, 100); // the worker found its head by itself, and does so again
  CHECK(eventually([&] { return cluster.depth("out") == 200; }, 60s));
}
