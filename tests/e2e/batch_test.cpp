// Goal: a batch that is killed, whatever of it and whenever, gives what an uninterrupted one gives.
#include "tests/support/cli_cluster.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

using namespace sluice::test;
namespace fs = std::filesystem;

namespace {

/// SLUICE_BATCH_LINES asks for more: with 5,000,000 the test takes minutes in a debug build.
std::uint64_t lines_wanted() {
  const char* value = std::getenv("SLUICE_BATCH_LINES");
  return value == nullptr ? 300'000 : std::strtoull(value, nullptr, 10);
}

struct files {
  temp_dir dir;
  std::string in = dir / "in.jsonl";
  std::string out = dir / "out.jsonl";
  std::string expected = dir / "expected.jsonl";

  /// Writes `count` records, and what comes of them.
  void make(std::uint64_t count) const {
    std::ofstream records{in};
    std::ofstream results{expected};
    for (std::uint64_t id = 1; id <= count; ++id) {
      const auto text = "\"text\":\"some text of record " + std::to_string(id % 1000) + "\"}\n";
      records << "{\"id\":" << id << "," << text;
      for (std::uint64_t i = 0; i < id % 3; ++i)
        results << "{\"id\":" << id << ",\"number\":" << i << "," << text;
    }
  }
  bool is_as_expected() const { return fs::exists(out) && run({"cmp", out, expected}).exit_code == 0; }
  /// Parts that are done, of whichever run.
  std::size_t parts() const {
    std::size_t count = 0;
    std::error_code gone; // the folder goes with the run
    for (const auto& each : fs::directory_iterator{dir.path(), gone})
      if (each.path().filename().string().starts_with(".out.jsonl.parts-"))
        for (fs::directory_iterator part{each.path(), gone}, end; !gone && part != end; part.increment(gone))
          count += part->path().extension() == ".part" ? 1 : 0;
    return count;
  }
  bool leaves_nothing_behind() const {
    for (const auto& each : fs::directory_iterator{dir.path()})
      if (each.path().filename().string().starts_with("."))
        return false;
    return true;
  }
};

void kill_hard(pid_t pid) {
  REQUIRE(pid > 0);
  kill(pid, SIGKILL);
  REQUIRE(eventually([pid] { return !process_alive(pid); }));
}

std::vector<std::string> by_hand(const files& with, std::vector<std::string> more = {}) {
  std::vector<std::string> argv{
    program("batch_flow"), "--state-dir", with.dir / "state", "--", with.in, with.out};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

/// One number of the batch, as `get` shows it.
std::uint64_t batch_number(cli_cluster& cluster, const char* member) {
  auto flow = cluster.json({"get", "flow/batch-test"});
  const auto& first = flow.as_object().at("processors").as_array().at(0).as_object();
  const auto* batch = first.if_contains("batch");
  const auto* value = batch == nullptr ? nullptr : batch->as_object().if_contains(member);
  if (value == nullptr)
    return 0;
  return value->is_string() ? std::strtoull(value->as_string().c_str(), nullptr, 10)
                            : value->to_number<std::uint64_t>();
}

} // namespace

TEST_CASE("a batch by hand that is killed twice goes on and gives what an uninterrupted one gives") {
  files with;
  with.make(lines_wanted());
  for (std::size_t parts : {3u, 10u}) {
    background_process process{by_hand(with, {"threads=2"}), {}, with.dir / "output"};
    REQUIRE(eventually([&] { return with.parts() >= parts; }, 120s));
    kill_hard(process.pid());
    CHECK_FALSE(fs::exists(with.out));
  }
  auto last = run(by_hand(with, {"threads=2"}), {{}, {}, {}, 600s});
  CHECK(last.exit_code == 0);
  CHECK_MESSAGE(last.err.find("goes on where it was") != std::string::npos, last.err);
  CHECK(last.err.find("work: done") != std::string::npos);
  CHECK(with.is_as_expected());
  CHECK(with.leaves_nothing_behind());
}

TEST_CASE("Ctrl-C ends a batch in order, and the next start goes on") {
  files with;
  with.make(30'000);
  {
    background_process process{by_hand(with), {}, with.dir / "output"};
    REQUIRE(eventually([&] { return with.parts() >= 2; }));
    process.signal(SIGINT);
    CHECK(process.wait() == 130);
    CHECK_MESSAGE(process.output().find("run it again to go on") != std::string::npos, process.output());
  }
  CHECK(run(by_hand(with)).exit_code == 0);
  CHECK(with.is_as_expected());
  // A batch that is done begins anew, with what the file has then.
  with.make(500);
  CHECK(run(by_hand(with)).exit_code == 0);
  CHECK(with.is_as_expected());
}

TEST_CASE("a record that fails for good fails the batch, or is listed if so many may be") {
  files with;
  with.make(300);
  append_file(with.in, "{\"id\":301,\"text\":\"throw\"}\nno json\n");
  auto refused = run(by_hand(with, {"threads=2"}));
  CHECK(refused.exit_code == 1);
  CHECK_MESSAGE(refused.err.find("is rejected") != std::string::npos, refused.err);
  CHECK_FALSE(fs::exists(with.out));
  auto too_many = run(by_hand(with, {"rejected=1"}));
  CHECK(too_many.exit_code == 1);
  CHECK_MESSAGE(too_many.err.find("2 records are rejected, max_rejected is 1: at byte ") != std::string::npos,
                too_many.err);
  CHECK_MESSAGE(too_many.err.find("this record always throws; at byte ") != std::string::npos, too_many.err);
  CHECK_FALSE(fs::exists(with.out));
  auto tolerant = run(by_hand(with, {"rejected=2"}));
  CHECK_MESSAGE(tolerant.exit_code == 0, tolerant.err);
  CHECK(tolerant.err.find("2 rejected") != std::string::npos);
  CHECK_MESSAGE(tolerant.err.find("  rejected records: " + with.out + ".rejected.jsonl\n")
                  != std::string::npos,
                tolerant.err);
  CHECK(with.is_as_expected());
  const auto rejected = read_file(with.out + ".rejected.jsonl");
  CHECK(rejected.find(R"("error":"this record always throws")") != std::string::npos);
  CHECK(rejected.find(R"("record":"no json")") != std::string::npos);
}

TEST_CASE("a missing source is told by name") {
  files with;
  auto refused = run(by_hand(with));
  CHECK(refused.exit_code == 1);
  CHECK_MESSAGE(refused.err.find(with.in) != std::string::npos, refused.err);
}

TEST_CASE("a reduce step gives the same table however the file is cut") {
  files with;
  with.make(20'000);
  std::string first;
  for (const char* split : {"split=0", "split=4096", "split=70000"}) {
    CHECK(run(by_hand(with, {"reduce", "threads=2", split})).exit_code == 0);
    const auto table = read_file(with.out);
    CHECK(std::count(table.begin(), table.end(), '\n') == 1000);
    CHECK(table.find(R"({"text":"some text of record 7","count":20,"first":7,"last":19007})")
          != std::string::npos);
    if (first.empty())
      first = table;
    CHECK(table == first);
  }
}

TEST_CASE(
  "a batch on a cluster whose host, worker and head are killed gives what an uninterrupted one gives") {
  files with;
  with.make(lines_wanted());
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  auto first = cluster.start_worker();
  cluster.start_worker();
  background_process waiting{
    {sluice_program(), "submit", program("batch_flow"), "--wait", "--", with.in, with.out, "replicas=2"},
    {{}, cluster.env(), {}},
    with.dir / "output"};
  REQUIRE(eventually([&] { return with.parts() >= 3; }, 120s));
  auto hosts = cluster.host_pids("batch-test");
  REQUIRE_FALSE(hosts.empty());
  kill_hard(hosts.front());
  auto before = with.parts();
  REQUIRE(eventually([&] { return with.parts() >= before + 3; }, 120s));
  kill_hard(cli_cluster::node_pid(first));
  kill_hard(cluster.head_pid());
  cluster.start_head({"--no-worker"});
  CHECK(waiting.wait(600s) == 0);
  CHECK_MESSAGE(waiting.output().find("completed") != std::string::npos, waiting.output());
  CHECK(with.is_as_expected());
  CHECK(cluster.flow_phase("batch-test") == "completed");
  CHECK(batch_number(cluster, "records_in") == lines_wanted());
  CHECK(eventually([&] { return cluster.host_pids("batch-test").empty(); }));
  CHECK(eventually([&] { return with.leaves_nothing_behind(); }));

  // The same program again is another run.
  with.make(1000);
  cluster.must({"submit", program("batch_flow"), "--wait", "--", with.in, with.out});
  CHECK(with.is_as_expected());
  CHECK(batch_number(cluster, "records_in") == 1000);
}

TEST_CASE("what is in a queue is worked off by a batch, once, though a host and a worker are killed") {
  files with;
  with.make(30'000);
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  auto first = cluster.start_worker();
  cluster.start_worker();
  cluster.must({"queue", "put", "orders", with.in});
  background_process waiting{{sluice_program(), "submit", program("batch_flow"), "--wait", "--",
                              "queue:orders", "queue:done", "replicas=2"},
                             {{}, cluster.env(), {}},
                             with.dir / "output"};
  REQUIRE(eventually([&] { return cluster.depth("done") > 0; }));
  if (auto hosts = cluster.host_pids("batch-test"); !hosts.empty())
    kill_hard(hosts.front());
  kill_hard(cli_cluster::node_pid(first));
  CHECK(waiting.wait(300s) == 0);
  CHECK_MESSAGE(waiting.output().find("completed") != std::string::npos, waiting.output());
  CHECK(cluster.depth("orders") == 0);
  CHECK(batch_number(cluster, "records_in") == 30'000);
  CHECK(cluster.depth("done") == 30'000);
}

TEST_CASE("the records of a queue are taken over to the last one, though the head is killed meanwhile") {
  files with;
  with.make(30'000);
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  cluster.start_worker();
  cluster.start_worker();
  cluster.must({"queue", "put", "orders", with.in});
  // Small splits: taking them over takes a while.
  background_process waiting{{sluice_program(), "submit", program("batch_flow"), "--wait", "--",
                              "queue:orders", with.out, "replicas=4", "split=4096"},
                             {{}, cluster.env(), {}},
                             with.dir / "output"};
  for (int kills = 0; kills < 3; ++kills) {
    const auto before = cluster.depth("orders");
    REQUIRE(eventually([&] {
      const auto left = cluster.depth("orders");
      return left < before || left == 0;
    }));
    kill_hard(cluster.head_pid());
    cluster.start_head({"--no-worker"});
  }
  CHECK(waiting.wait(300s) == 0);
  CHECK_MESSAGE(waiting.output().find("completed") != std::string::npos, waiting.output());
  CHECK(cluster.depth("orders") == 0);
  CHECK(batch_number(cluster, "records_in") == 30'000);
  CHECK(
    eventually([&] { return cluster.depth("batch.batch-test.work") == 0; })); // also what was settled in vain
  // Each once; a split that was being taken over when the head was killed may stand elsewhere.
  const auto sorted = [&](const std::string& path) {
    REQUIRE(run({"sort", "-o", path, path}).exit_code == 0);
    return read_file(path);
  };
  CHECK(sorted(with.out) == sorted(with.expected));
}

TEST_CASE("by hand, too, what a failed batch has taken off a queue is kept for a run that fits") {
  files with;
  with.make(3000);
  write_file(with.dir / "bad", "{\"id\":1,\"text\":\"throw\"}\n");
  const auto start = [&](const std::string& out, std::vector<std::string> own = {},
                         std::vector<std::string> more = {}) {
    std::vector<std::string> argv{program("batch_flow"), "--state-dir", with.dir / "state"};
    argv.insert(argv.end(), own.begin(), own.end());
    argv.insert(argv.end(), {"--", "queue:orders", out, "split=4096"});
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv);
  };
  const auto failed =
    start(with.out, {"--put", "orders=" + with.in, "--put", "orders=" + (with.dir / "bad")});
  CHECK_MESSAGE(failed.exit_code == 1, failed.err);
  const auto elsewhere = start(with.dir / "elsewhere.jsonl");
  CHECK(elsewhere.exit_code == 1);
  CHECK_MESSAGE(elsewhere.err.find("an earlier run took records off queue orders") != std::string::npos,
                elsewhere.err);
  CHECK_MESSAGE(elsewhere.err.find("goes on") == std::string::npos, elsewhere.err);
  const auto mended = start(with.out, {}, {"rejected=1"});
  CHECK_MESSAGE(mended.exit_code == 0, mended.err);
  CHECK(with.is_as_expected());
}

TEST_CASE(
  "what a failed batch has taken off a queue is done by the next run that fits, with what has come since") {
  files with;
  with.make(3000);
  cli_cluster cluster;
  cluster.start_head();
  cluster.must({"queue", "put", "orders", with.in});
  write_file(with.dir / "bad", "{\"id\":1,\"text\":\"throw\"}\n");
  cluster.must({"queue", "put", "orders", with.dir / "bad"});
  const auto submit = [&](const std::string& out, std::vector<std::string> more = {}) {
    std::vector<std::string> argv{"submit", program("batch_flow"), "--wait", "--", "queue:orders",
                                  out,      "split=4096"};
    argv.insert(argv.end(), more.begin(), more.end());
    return cluster.sluice(argv);
  };
  const auto failed = submit(with.out);
  REQUIRE(failed.exit_code == 1);
  CHECK_MESSAGE(failed.err.find("always throws") != std::string::npos, failed.err);
  const auto elsewhere = submit(with.dir / "elsewhere.jsonl");
  CHECK(elsewhere.exit_code == 1);
  CHECK_MESSAGE(elsewhere.err.find("an earlier run took records off queue orders") != std::string::npos,
                elsewhere.err);
  CHECK_MESSAGE(elsewhere.err.find(with.out) != std::string::npos, elsewhere.err);
  const auto purged = cluster.sluice({"queue", "purge", "batch.batch-test.work"});
  CHECK_MESSAGE(purged.err.find("splits of a batch") != std::string::npos, purged.err);
  cluster.must({"queue", "put", "orders", with.in});
  const auto mended = submit(with.out, {"rejected=1"});
  CHECK_MESSAGE(mended.exit_code == 0, mended.err);
  CHECK(cluster.depth("orders") == 0);
  CHECK(batch_number(cluster, "records_in") == 6001);
  CHECK(read_file(with.out)
        == read_file(with.expected) + read_file(with.expected)); // in the order of the queue
}

TEST_CASE("a batch on a cluster that fails says why, also one that ends its process each time") {
  files with;
  with.make(200);
  cli_cluster cluster;
  cluster.start_head();
  append_file(with.in, "{\"id\":1,\"text\":\"throw\"}\n");
  auto failed = cluster.sluice({"submit", program("batch_flow"), "--wait", "--", with.in, with.out});
  CHECK(failed.exit_code == 1);
  CHECK_MESSAGE(failed.err.find("always throws") != std::string::npos, failed.err);
  CHECK(cluster.flow_phase("batch-test") == "failed");
  with.make(200);
  append_file(with.in, "{\"id\":1,\"text\":\"crash\"}\n");
  auto crashed = cluster.sluice({"submit", program("batch_flow"), "--wait", "--", with.in, with.out});
  CHECK(crashed.exit_code == 1);
  CHECK_MESSAGE(crashed.err.find("SIGABRT") != std::string::npos, crashed.err);
  auto endless = cluster.sluice({"submit", program("probe_flow"), "--wait"});
  CHECK(endless.exit_code == 2);
}
