// Goal: user code that crashes, exits, hangs or eats memory is shown for what it is and
// harms no other flow.
#include "tests/support/cli_cluster.hpp"

#include <doctest/doctest.h>

#include <csignal>

using namespace sluice::test;

namespace {

struct neighbour_fixture {
  cli_cluster cluster;

  neighbour_fixture() {
    cluster.start_head({"--cpus", "4", "--memory", "1GiB"});
    cluster.must(
      {"submit", program("probe_flow"), "--", "--name", "good", "--in", "good-in", "--out", "good-out"});
  }

  /// The other flow still does its work.
  void check_neighbour() {
    cluster.put_jobs("good-in", 1, 500);
    CHECK(eventually([&] { return cluster.depth("good-out") == 500; }));
  }

  void submit_bad(std::vector<std::string> args = {}) {
    args.insert(args.begin(), {"submit", program("probe_flow"), "--", "--name", "bad", "--in", "bad-in",
                               "--out", "bad-out"});
    cluster.must(std::move(args));
  }

  /// Status, get and logs all say what became of the processor.
  void check_shown(const std::string& what) {
    for (auto& command :
         std::vector<std::vector<std::string>>{{"status"}, {"get", "flow/bad"}, {"logs", "flow/bad"}})
      CHECK_MESSAGE(eventually([&] { return shows(command, what); }, 10s), (command[0] + ": " + what));
  }

  bool shows(std::vector<std::string> command, const std::string& text) {
    return cluster.must(std::move(command)).find(text) != std::string::npos;
  }
};

} // namespace

TEST_CASE_FIXTURE(neighbour_fixture, "a crashing processor is shown with its signal and its backtrace") {
  submit_bad();
  cluster.put_jobs("bad-in", 1, 1, R"(,"act":"crash")");
  REQUIRE(eventually([&] { return cluster.queue_number("bad-in", "dead_count") == 1; }));
  check_shown("killed by SIGSEGV");
  CHECK(shows({"list", "events"}, "SIGSEGV"));
  check_neighbour();
}

TEST_CASE_FIXTURE(neighbour_fixture, "an exiting processor is shown with its exit code") {
  submit_bad();
  cluster.put_jobs("bad-in", 1, 1, R"(,"act":"exit")");
  REQUIRE(eventually([&] { return cluster.queue_number("bad-in", "dead_count") == 1; }));
  check_shown("exited with code 3");
  check_neighbour();
}

TEST_CASE_FIXTURE(neighbour_fixture, "a hanging processor is killed at its timeout and shown as hung") {
  submit_bad({"--timeout-ms", "500"});
  cluster.put_jobs("bad-in", 1, 1, R"(,"act":"hang")");
  REQUIRE(eventually([&] { return cluster.queue_number("bad-in", "dead_count") == 1; }, 60s));
  check_shown("hung: processor 'work' has worked on one call");
  check_neighbour();
}

TEST_CASE_FIXTURE(neighbour_fixture,
                  "user code that never returns does not keep its flow from being deleted") {
  cluster.must({"submit", "--detach", program("probe_flow"), "--", "--name", "bad", "--in", "bad-in", "--out",
                "bad-out", "--setup", "hang"}); // it never runs
  cluster.must(
    {"submit", program("probe_flow"), "--", "--name", "worse", "--in", "worse-in", "--out", "bad-out"});
  cluster.put_jobs("worse-in", 1, 1, R"(,"act":"slow","ms":3600000)"); // without a timeout
  const auto hosts_of = [&](const std::string& flow) { return cluster.host_pids(flow); };
  REQUIRE(eventually([&] { return hosts_of("bad").size() == 1 && hosts_of("worse").size() == 1; }));
  REQUIRE(eventually([&] { return cluster.queue_number("worse-in", "leased_count") == 1; }));
  for (const auto* flow : {"flow/bad", "flow/worse"})
    cluster.must({"delete", flow, "--detach"});
  CHECK(eventually([&] { return cluster.json({"status"}).at("flows").as_array().size() == 1; }, 60s));
  CHECK(eventually([&] { return hosts_of("bad").empty() && hosts_of("worse").empty(); }, 20s));
  CHECK(cluster.queue_number("worse-in", "leased_count") == 0); // what it held has come back
  CHECK(cluster.depth("worse-in") == 1);
  check_neighbour();
}

TEST_CASE_FIXTURE(neighbour_fixture, "a processor that eats memory is killed at its limit and shown so") {
  submit_bad({"--memory-mib", "200"});
  cluster.put_jobs("bad-in", 1, 1, R"(,"act":"eat")");
  REQUIRE(eventually([&] { return cluster.queue_number("bad-in", "dead_count") == 1; }, 60s));
  check_shown("out of memory");
  check_neighbour();
}

TEST_CASE_FIXTURE(neighbour_fixture, "one that reserves no memory may have most of its node's, and no more") {
  submit_bad();
  cluster.put_jobs("bad-in", 1, 1, R"(,"act":"eat")");
  REQUIRE(eventually([&] { return cluster.queue_number("bad-in", "dead_count") == 1; }, 60s));
  check_shown("out of memory");
  check_neighbour();
}

TEST_CASE_FIXTURE(neighbour_fixture, "logs follow a running host and stay after its death") {
  submit_bad();
  cluster.put_jobs("bad-in", 1, 1, R"(,"act":"log")");
  REQUIRE(eventually([&] { return shows({"logs", "flow/bad"}, "probe saw record 1"); }));
  auto pids = cluster.host_pids("bad");
  REQUIRE(pids.size() == 1);
  kill(pids[0], SIGKILL);
  REQUIRE(eventually([&] {
    auto now = cluster.host_pids("bad");
    return now.size() == 1 && now[0] != pids[0];
  }));
  CHECK(shows({"logs", "flow/bad"}, "probe saw record 1"));
}

TEST_CASE_FIXTURE(neighbour_fixture,
                  "what user code logs names its processor, down to the processor's level") {
  submit_bad({"--log-level", "debug"});
  cluster.put_jobs("bad-in", 1, 1, R"(,"act":"log")");
  cluster.put_jobs("good-in", 1, 1, R"(,"act":"log")");
  REQUIRE(eventually([&] { return cluster.depth("bad-out") + cluster.depth("good-out") == 2; }));
  REQUIRE(eventually([&] { return shows({"logs", "flow/good"}, "info  work/1: probe saw record 1"); }));
  CHECK_FALSE(shows({"logs", "flow/good"}, "in detail"));
  REQUIRE(eventually([&] { return shows({"logs", "flow/bad"}, "info  work/2: probe saw record 1"); }));
  CHECK(shows({"logs", "flow/bad"}, "debug work/2: probe sees record 1 in detail"));
}

TEST_CASE("a binary that cannot be a flow is refused with the real reason") {
  cli_cluster cluster;
  cluster.start_head();
  auto refused = [&](const std::string& path, const std::string& reason) {
    auto done = cluster.sluice({"submit", path});
    CHECK(done.exit_code != 0);
    CHECK_MESSAGE(done.err.find(reason) != std::string::npos, done.err);
  };
  refused("/bin/true", "flow");
  refused((cluster.home() / "nothing-here").string(), "nothing-here");
  write_file(cluster.home() / "text", "hello");
  refused((cluster.home() / "text").string(), "text");
  CHECK(cluster.json({"status"}).at("flows").as_array().empty());
}
