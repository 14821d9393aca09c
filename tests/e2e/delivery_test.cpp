// Goal: whatever happens to versions, replicas and single records, every record comes
// out, and only the bad ones do not.
#include "tests/support/cli_cluster.hpp"

#include <boost/json/serialize.hpp>
#include <doctest/doctest.h>

#include <csignal>
#include <map>
#include <set>

using namespace sluice::test;

namespace {

/// Counts how often each id came out.
std::map<std::uint64_t, int> ids_of(const std::vector<boost::json::value>& records) {
  std::map<std::uint64_t, int> counts;
  for (auto& record : records)
    ++counts[record.at("id").to_number<std::uint64_t>()];
  return counts;
}

void check_exactly_once(cli_cluster& cluster, const std::string& queue, std::uint64_t count) {
  auto counts = ids_of(cluster.read_queue(queue));
  CHECK(counts.size() == count);
  std::size_t doubled = 0;
  for (auto& [id, times] : counts)
    doubled += times > 1 ? 1 : 0;
  CHECK(doubled == 0);
}

} // namespace

TEST_CASE("one poison record in 10,000 reaches the dead letters alone and can be brought back") {
  cli_cluster cluster;
  cluster.start_head();
  cluster.put_jobs("in", 1, 4999);
  cluster.put_jobs("in", 5000, 1, R"(,"act":"throw")");
  cluster.put_jobs("in", 5001, 5000);
  cluster.must({"submit", program("probe_flow"), "--", "--replicas", "2"});
  REQUIRE(eventually(
    [&] { return cluster.depth("out") == 9999 && cluster.queue_number("in", "dead_count") == 1; }));
  check_exactly_once(cluster, "out", 9999);
  auto letters = cluster.must({"queue", "dead-letters", "in"});
  CHECK(letters.find("asked to fail on record 5000") != std::string::npos);

  cluster.must({"queue", "requeue", "in"});
  // It fails again, as it must: the letter that comes back is a new one.
  REQUIRE(
    eventually([&] { return cluster.depth("in") == 0 && cluster.queue_number("in", "dead_count") == 1; }));
  CHECK(cluster.depth("out") == 9999);
}

TEST_CASE("records that kill their process are blamed alone, and stop the flow for none of the others") {
  constexpr int killers = 3; // each ends a host three times, five ends would be a crash loop of minutes
  cli_cluster cluster;
  cluster.start_head();
  for (int i = 0; i < killers; ++i) {
    cluster.put_jobs("in", 1 + i * 300, 300);
    cluster.put_jobs("in", 10'000 + i, 1, R"(,"act":"crash")");
  }
  cluster.must({"submit", program("probe_flow"), "--", "--replicas", "2"});
  REQUIRE(eventually(
    [&] { return cluster.depth("out") == 900 && cluster.queue_number("in", "dead_count") == killers; }, 60s));
  check_exactly_once(cluster, "out", 900);
  CHECK(cluster.must({"queue", "dead-letters", "in"}).find("SIGSEGV") != std::string::npos);
}

TEST_CASE("a record that is not JSON or has a wrong type goes to the dead letters with its path") {
  cli_cluster cluster;
  cluster.start_head();
  cluster.must({"queue", "put", "in", "-"}, "{\"id\":\"seven\"}\n{\"id\":8}\n");
  cluster.must({"submit", program("probe_flow")});
  REQUIRE(
    eventually([&] { return cluster.depth("out") == 1 && cluster.queue_number("in", "dead_count") == 1; }));
  auto letters = cluster.must({"queue", "dead-letters", "in"});
  CHECK(letters.find("job.id: expected") != std::string::npos);

  auto refused = cluster.sluice({"queue", "put", "in", "-"}, "{\"id\":9}\nnot json\n");
  CHECK(refused.exit_code == 2);
  CHECK(refused.err.find("line 2") != std::string::npos);
}

TEST_CASE("a rolling update and a rollback under load lose nothing and double nothing") {
  cli_cluster cluster;
  cluster.start_head();
  cluster.start_worker();
  cluster.must({"submit", program("probe_flow"), "--", "--replicas", "4"});
  cluster.put_jobs("in", 1, 20'000, R"(,"act":"slow","ms":1)");
  REQUIRE(eventually([&] { return cluster.depth("out") > 1000; }));
  cluster.must({"submit", program("probe_flow_v2"), "--", "--replicas", "4"});
  cluster.put_jobs("in", 20'001, 10'000, R"(,"act":"slow","ms":1)");
  cluster.must({"rollback", "flow/probe"});
  REQUIRE(eventually([&] { return cluster.depth("out") == 30'000; }, 90s));
  auto records = cluster.read_queue("out");
  check_exactly_once(cluster, "out", 30'000);
  std::set<std::string> builders;
  for (auto& record : records)
    builders.insert(std::string{record.at("by").as_string()});
  CHECK(builders == std::set<std::string>{"v1", "v2"});
}

TEST_CASE("drain ends with nothing in flight and leaves the rest of the backlog untouched") {
  cli_cluster cluster;
  cluster.start_head();
  cluster.must({"submit", program("probe_flow"), "--", "--replicas", "2"});
  cluster.put_jobs("in", 1, 5000, R"(,"act":"slow","ms":2)");
  REQUIRE(eventually([&] { return cluster.depth("out") > 100; }));
  cluster.must({"drain", "flow/probe"});
  CHECK(cluster.flow_phase("probe") == "drained");
  CHECK(cluster.queue_number("in", "leased_count") == 0);
  auto waiting = cluster.depth("in");
  auto finished = cluster.depth("out");
  CHECK(waiting + finished == 5000);
  CHECK(waiting > 0);

  cluster.must({"drain", "flow/probe", "--resume"});
  REQUIRE(eventually([&] { return cluster.depth("out") == 5000; }, 60s));
  check_exactly_once(cluster, "out", 5000);
}

TEST_CASE("scale changes the number of running replicas") {
  cli_cluster cluster;
  cluster.start_head();
  cluster.must({"submit", program("probe_flow")});
  auto running = [&] {
    std::size_t count = 0;
    auto status = cluster.json({"status"});
    for (auto& replica : status.at("replicas").as_array())
      count += replica.at("phase").as_string() == "running" ? 1 : 0;
    return count;
  };
  cluster.must({"scale", "probe/work", "3"});
  CHECK(eventually([&] { return running() == 3; }));
  cluster.must({"scale", "probe/work", "1"});
  CHECK(eventually([&] { return running() == 1; }));
  auto refused = cluster.sluice({"scale", "probe/nothing", "1"});
  CHECK(refused.exit_code == 3);
  CHECK(refused.err.find("nothing") != std::string::npos);
}

TEST_CASE("a bounded queue that is full holds producers back, lets consumers go on, and has room again") {
  cli_cluster cluster;
  cluster.start_head({"--queue-size-max", "32MiB"});
  std::string lines;
  for (int i = 0; i < 5000; ++i)
    lines += R"({"id":)" + std::to_string(i) + R"(,"pad":")" + std::string(10'000, 'x') + "\"}\n";
  auto full = cluster.sluice({"queue", "put", "in", "-", "--wait", "0s"}, lines);
  CHECK(full.exit_code == 8);
  CHECK_MESSAGE(full.err.find("the queues are full") != std::string::npos, full.err);
  CHECK(full.err.find("nothing from there on was stored") != std::string::npos);
  auto stored = cluster.depth("in");
  CHECK(stored > 1000);
  CHECK(stored < 4000);
  CHECK(cluster.sluice({"queue", "put", "other", "-", "--wait", "0s"}, lines).exit_code == 8);

  cluster.must({"submit", program("probe_flow")});
  REQUIRE(eventually([&] { return cluster.depth("out") == stored; }, 60s));
  CHECK(cluster.depth("in") == 0);
  cluster.put_jobs("in", 1, 100);
  CHECK(eventually([&] { return cluster.depth("out") == stored + 100; }));
}

TEST_CASE("a put whose answers are lost is resumed, and stores each line once") {
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  std::string lines;
  for (int i = 0; i < 5000; ++i)
    lines += R"({"id":)" + std::to_string(i) + "}\n";
  const auto file = (cluster.home() / "jobs.jsonl").string();
  write_file(file, lines);
  for (int round = 1; round <= 3; ++round) { // the stopped head may or may not have the block
    kill(cluster.head_pid(), SIGSTOP);
    const auto lost = cluster.sluice({"queue", "put", "in", file, "--timeout", "500ms", "--wait", "0s"});
    kill(cluster.head_pid(), SIGCONT);
    CHECK(lost.exit_code == 5);
    CHECK(lost.err.find("may be stored or not") != std::string::npos);
    const std::string flag = " --resume ";
    const auto at = lost.err.find(flag);
    REQUIRE_MESSAGE(at != std::string::npos, lost.err);
    const auto begin = at + flag.size();
    const auto point = lost.err.substr(begin, lost.err.find('\n', begin) - begin);
    cluster.must({"queue", "put", "in", file, "--resume", point});
    CHECK(cluster.depth("in") == 5000u * static_cast<unsigned>(round));
  }
}
