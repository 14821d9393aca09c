// Goal: kill anything at any moment; nothing is lost, and it is soon well again.
#include "tests/support/cli_cluster.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>

using namespace sluice::test;

namespace {

using steady = std::chrono::steady_clock;

double seconds_since(steady::time_point then) {
  return std::chrono::duration<double>(steady::now() - then).count();
}

/// Kills a process and waits until the kernel has taken it away.
void kill_hard(pid_t pid) {
  REQUIRE(pid > 0);
  kill(pid, SIGKILL);
  REQUIRE(eventually([pid] { return !process_alive(pid); }));
}

/// Waits until the queue `out` grows again, the sign that work goes on; seconds since `start`.
double time_to_progress(cli_cluster& cluster, steady::time_point start) {
  auto depth = [&]() -> std::uint64_t {
    return cluster.sluice({"status"}).exit_code == 0 ? cluster.depth("out") : 0;
  };
  std::uint64_t before = 0;
  REQUIRE(eventually([&] { return (before = depth()) > 0; }, 60s));
  REQUIRE(eventually([&] { return depth() > before || cluster.depth("in") == 0; }, 60s));
  return seconds_since(start);
}

} // namespace

TEST_CASE("a killed head comes back with everything, and adopts what runs") {
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  cluster.start_worker();
  cluster.must({"submit", program("probe_flow"), "--", "--replicas", "2"});
  cluster.put_jobs("in", 1, 100);
  REQUIRE(eventually([&] { return cluster.depth("out") == 100; }));
  auto hosts = cluster.host_pids("probe");
  REQUIRE(hosts.size() == 1);

  kill_hard(cluster.head_pid());
  auto start = steady::now();
  cluster.start_head({"--no-worker"});
  REQUIRE(eventually([&] { return cluster.host_pids("probe") == hosts; }));
  std::printf("head killed: up and adopted after %.2f s\n", seconds_since(start));

  CHECK(cluster.flow_phase("probe") == "running");
  CHECK(cluster.depth("out") == 100);
  cluster.put_jobs("in", 101, 100);
  CHECK(eventually([&] { return cluster.depth("out") == 200; }));
  CHECK(cluster.host_pids("probe") == hosts);
}

TEST_CASE("a killed worker is known dead in under 5 s and its replicas are placed elsewhere") {
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  auto first = cluster.start_worker();
  auto second = cluster.start_worker();
  cluster.must({"submit", program("probe_flow"), "--", "--replicas", "2"});
  cluster.wait_running("probe");
  kill_hard(cli_cluster::node_pid(first));
  auto start = steady::now();
  REQUIRE(eventually([&] { return cluster.must({"list", "nodes"}).find("dead") != std::string::npos; }));
  auto known_dead_s = seconds_since(start);
  std::printf("worker killed: known dead after %.2f s\n", known_dead_s);
  CHECK(known_dead_s < 5.0);
  cluster.put_jobs("in", 1, 1000);
  CHECK(eventually([&] { return cluster.depth("out") == 1000; }));
}

TEST_CASE("a worker that stands still for good is known dead in under 5 s, though its link does not break") {
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  auto first = cluster.start_worker();
  cluster.start_worker();
  cluster.must({"submit", program("probe_flow"), "--", "--replicas", "2"});
  cluster.wait_running("probe");
  kill(cli_cluster::node_pid(first), SIGSTOP);
  auto start = steady::now();
  REQUIRE(eventually([&] { return cluster.must({"list", "nodes"}).find("dead") != std::string::npos; }));
  auto known_dead_s = seconds_since(start);
  std::printf("worker stopped for good: known dead after %.2f s\n", known_dead_s);
  CHECK(known_dead_s < 5.0);
  cluster.put_jobs("in", 1, 1000);
  CHECK(eventually([&] { return cluster.depth("out") == 1000; }));
}

TEST_CASE("a worker that is stopped for 2 s is suspect and comes back with its work") {
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  auto worker = cluster.start_worker();
  cluster.must({"submit", program("probe_flow")});
  cluster.wait_running("probe");
  auto hosts = cluster.host_pids("probe");
  auto pid = cli_cluster::node_pid(worker);
  kill(pid, SIGSTOP);
  auto seen_suspect = eventually([&] {
    return cluster.must({"list", "nodes"}).find("suspect") != std::string::npos;
  });
  kill(pid, SIGCONT);
  CHECK(seen_suspect);
  CHECK(eventually([&] { return cluster.must({"list", "nodes"}).find("alive") != std::string::npos; }));
  CHECK(cluster.host_pids("probe") == hosts);
}

TEST_CASE("hosts die with their node agent, and what they started with them") {
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  auto worker = cluster.start_worker();
  cluster.must({"submit", program("probe_flow")});
  cluster.wait_running("probe");
  auto hosts = cluster.host_pids("probe");
  REQUIRE(hosts.size() == 1);
  cluster.put_jobs("in", 1, 1, R"(,"act":"fork")");
  REQUIRE(eventually([&] { return cluster.depth("out") == 1; }));
  auto child =
    static_cast<pid_t>(std::stoi(std::string{cluster.read_queue("out").at(0).at("by").as_string()}));
  REQUIRE(process_alive(child));
  kill_hard(cli_cluster::node_pid(worker));
  CHECK(eventually([&] { return !process_alive(hosts[0]); }, 5s));
  CHECK(eventually([&] { return !process_alive(child); }, 5s));
}

// The spine's promise in one test. SLUICE_CHAOS_SEED replays a run.
TEST_CASE("300,000 records survive the death of a host, a worker and the head") {
  constexpr std::uint64_t count = 300'000;
  auto* chosen = std::getenv("SLUICE_CHAOS_SEED");
  std::uint64_t seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : std::random_device{}();
  std::printf("chaos seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random{seed};

  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  auto first = cluster.start_worker({"--cpus", "2"});
  auto second = cluster.start_worker({"--cpus", "2"});
  cluster.put_jobs("in", 1, count, R"(,"act":"slow","us":50)");
  cluster.must({"submit", program("probe_flow"), "--", "--replicas", "4"});

  // Each victim dies at a random point of its quarter of the records, in a random order.
  std::vector<int> order{0, 1, 2};
  std::shuffle(order.begin(), order.end(), random);
  for (std::size_t i = 0; i < order.size(); ++i) {
    auto at = i * count / 4 + random() % (count / 8);
    REQUIRE(eventually([&] { return cluster.depth("out") >= at; }, 120s));
    CHECK(cluster.depth("in") > 0); // it dies with work under way
    auto start = steady::now();
    const char* victim = "";
    if (order[i] == 0) {
      victim = "host";
      auto hosts = cluster.host_pids("probe");
      REQUIRE(!hosts.empty());
      kill_hard(hosts[random() % hosts.size()]);
    } else if (order[i] == 1) {
      victim = "worker";
      auto& worker = random() % 2 == 0 ? first : second;
      kill_hard(cli_cluster::node_pid(worker));
      cluster.must({"start", "--address", "auto", "--state-dir", worker.string(), "--cpus", "2"});
    } else {
      victim = "head";
      kill_hard(cluster.head_pid());
      cluster.start_head({"--no-worker"});
    }
    std::printf("%s killed at %llu: goes on after %.2f s\n", victim, static_cast<unsigned long long>(at),
                time_to_progress(cluster, start));
  }
  REQUIRE(eventually([&] { return cluster.depth("in") == 0; }, 180s));

  std::map<std::uint64_t, int> seen;
  for (auto& record : cluster.read_queue("out"))
    ++seen[record.at("id").to_number<std::uint64_t>()];
  std::uint64_t lost = 0;
  std::uint64_t repeated = 0;
  for (std::uint64_t id = 1; id <= count; ++id) {
    auto found = seen.find(id);
    lost += found == seen.end() ? 1 : 0;
    repeated += found != seen.end() && found->second > 1 ? 1 : 0;
  }
  std::printf("%llu records: %llu lost, %llu repeated\n", static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(lost), static_cast<unsigned long long>(repeated));
  CHECK(lost == 0);
  // Queue to queue is one transaction, so not even those in flight at a kill repeat.
  CHECK(repeated == 0);
  CHECK(cluster.queue_number("in", "dead_count") == 0);
}
