// Goal: what ends the process of a run by hand counts as it would on a cluster, and the run after next is past it.
#include "tests/support/cli_cluster.hpp"

#include <doctest/doctest.h>

#include <csignal>

using namespace sluice::test;

namespace {

struct by_hand {
  temp_dir dir;

  run_result probe(std::vector<std::string> args) {
    args.insert(args.begin(), {program("probe_flow"), "--state-dir", dir / "state"});
    return run(args);
  }

  /// Runs until nothing waits any more, `runs_max` times at most. The last run's result.
  run_result until_done(const std::string& records, const std::vector<std::string>& args, int runs_max) {
    write_file(dir / "in.jsonl", records);
    auto first = args;
    first.insert(first.end(), {"--put", "in=" + (dir / "in.jsonl")});
    auto last = probe(first);
    for (int runs = 1; runs < runs_max && !probe({"--peek", "in"}).out.empty(); ++runs)
      last = probe(args);
    return last;
  }
};

constexpr auto max_attempts = 3; // of the probe

} // namespace

TEST_CASE_FIXTURE(by_hand,
                  "a record that kills the process is a dead letter after its attempts, by hand, too") {
  const auto ways = {"exit", "crash"};
  for (const std::string way : ways) {
    CAPTURE(way);
    std::filesystem::remove_all(dir / "state");
    const auto last =
      until_done("{\"id\":1}\n{\"id\":2,\"act\":\"" + way + "\"}\n{\"id\":3}\n", {}, max_attempts + 1);
    CHECK(last.exit_code == 7);
    CHECK(last.err.find("it is a dead letter now") != std::string::npos);
    const auto letters = probe({"--dead-letters"});
    CHECK(letters.out.find(R"(\"id\":2)") != std::string::npos);
    CHECK(letters.out.find("ended while it had the record") != std::string::npos);
    const auto results = probe({"--peek", "out"}).out;
    CHECK(results.find(R"("id":1)") != std::string::npos);
    CHECK(results.find(R"("id":3)") != std::string::npos);
    CHECK(results.find(R"("id":2)") == std::string::npos);
  }
}

TEST_CASE_FIXTURE(by_hand, "user code that calls exit does not make a run look as if all were done") {
  const auto last = until_done("{\"id\":1,\"act\":\"leave\"}\n", {}, 1);
  CHECK(last.exit_code == 1);
  CHECK_MESSAGE(last.err.find("user code called exit(0) before the run was over; 1 record was in user code")
                  != std::string::npos,
                last.err);
  const auto next = probe({});
  CHECK(next.exit_code == 1);
  CHECK(next.err.find("record 1 of queue 'in' was in user code when the last run ended: attempt 1 of 3")
        != std::string::npos);
}

TEST_CASE_FIXTURE(by_hand, "what is put may begin with a byte order mark") {
  CHECK(until_done("\xEF\xBB\xBF{\"id\":1}\n{\"id\":2}\n", {}, 1).exit_code == 0);
  const auto results = probe({"--peek", "out"}).out;
  CHECK(results.find(R"("id":1)") != std::string::npos);
  CHECK(results.find(R"("id":2)") != std::string::npos);
}

TEST_CASE_FIXTURE(by_hand, "a call over its timeout ends a run by hand, and the attempt counts") {
  const std::vector<std::string> args{"--timeout-ms", "300"};
  const auto last =
    until_done("{\"id\":1}\n{\"id\":2,\"act\":\"hang\"}\n{\"id\":3}\n", args, max_attempts + 1);
  CHECK(last.exit_code == 7);
  CHECK(probe({"--dead-letters"}).out.find(R"(\"id\":2)") != std::string::npos);
  CHECK(probe({"--peek", "out"}).out.find(R"("id":3)") != std::string::npos);
}

TEST_CASE_FIXTURE(by_hand, "a second Ctrl-C is nobody's fault") {
  write_file(dir / "in.jsonl", "{\"id\":1,\"act\":\"hang\"}\n");
  for (int i = 0; i < max_attempts + 1; ++i) {
    std::vector<std::string> args{program("probe_flow"), "--state-dir", dir / "state"};
    if (i == 0)
      args.insert(args.end(), {"--put", "in=" + (dir / "in.jsonl")});
    background_process one{args, {}, dir.path() / ("output" + std::to_string(i))};
    REQUIRE(eventually([&] { return one.output().find("probe hangs") != std::string::npos; }));
    one.signal(SIGINT);
    REQUIRE(eventually(
      [&] { return one.output().find("once more ends at once") != std::string::npos || !one.running(); }));
    one.signal(SIGINT);
    CHECK(one.wait() == 130);
  }
  CHECK(probe({"--dead-letters"}).out.empty());
  CHECK(!probe({"--peek", "in"}).out.empty());
}
