// Goal: what is asked wrongly, sent half or changed behind our back is refused with a clear
// text and its exit code, through the front door, and nothing is lost by it.
#include "tests/support/cli_cluster.hpp"
#include "transport/artifact/sha256.hpp"
#include "sdk/client/control_client.hpp"

#include <boost/json/serialize.hpp>
#include <doctest/doctest.h>

#include <csignal>
#include <sys/stat.h>

using namespace sluice::test;
namespace fs = std::filesystem;
namespace api = sluice::client::api;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Puts a damaged copy in the place of an artifact. In place it cannot be written while it runs.
void damage(const fs::path& store) {
  bool found = false;
  for (auto& entry : fs::directory_iterator{store / "artifacts"})
    if (entry.is_regular_file()) {
      auto bytes = read_file(entry.path());
      bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x40);
      auto other = entry.path().string() + ".new";
      write_file(other, bytes);
      chmod(other.c_str(), 0500);
      fs::rename(other, entry.path());
      found = true;
    }
  REQUIRE(found);
}

std::size_t files_in(const fs::path& folder) {
  std::size_t count = 0;
  for (auto& entry : fs::directory_iterator{folder})
    count += entry.is_regular_file() ? 1 : 0;
  return count;
}

/// A client that holds itself to nothing the CLI does.
std::unique_ptr<sluice::client::control_client> raw_client(const cli_cluster& cluster) {
  auto made = sluice::client::connect({.address = "unix:" + (cluster.head_dir() / "control.sock").string(),
                                       .token = {},
                                       .ca_pin = {},
                                       .timeout = 30s});
  REQUIRE(made);
  return std::move(*made);
}

api::SubmitHeader header_of(const std::string& bytes) {
  sluice::artifact::sha256 hash;
  hash.add(bytes);
  api::SubmitHeader header;
  header.set_request_id("test-upload");
  header.set_file_name("probe_flow");
  header.set_size_bytes(bytes.size());
  header.set_sha256(hash.finish().value);
  return header;
}

/// Uploads `bytes`, then ends as a client that is done.
sluice::result<api::SubmitReply> upload(sluice::client::control_client& to, const api::SubmitHeader& header,
                                        const std::string& bytes) {
  std::size_t sent = 0;
  return to.submit(header, [&]() -> sluice::result<std::string_view> {
    auto piece = std::string_view{bytes}.substr(sent, 64u << 10);
    sent += piece.size();
    return piece;
  });
}

} // namespace

TEST_CASE("over TCP a wrong token, no token and a wrong CA are refused with 4, the right ones let in") {
  cli_cluster cluster;
  cluster.start_head();
  auto address = cli_cluster::record_of(cluster.head_dir(), "control_address");
  auto pin = std::string{cluster.json({"join-token", "create"}).at("ca_fingerprint").as_string()};
  auto token_file = (cluster.home() / "token").string();
  auto status = [&](const std::string& token, const std::string& ca) {
    write_file(token_file, token + "\n");
    chmod(token_file.c_str(), 0600);
    return cluster.sluice(
      {"status", "--control", address, "--token-file", token_file, "--ca-pin", ca, "--timeout", "5s"});
  };
  auto good = cluster.must({"token", "show"});
  good.erase(good.find_last_not_of("\n") + 1);

  auto wrong = status(std::string(64, 'a'), pin);
  CHECK(wrong.exit_code == 4);
  CHECK_MESSAGE(contains(wrong.err, "token"), wrong.err);

  auto stranger = status(good, std::string(64, 'b'));
  CHECK(stranger.exit_code == 4);
  CHECK_MESSAGE(contains(stranger.err, "fingerprint"), stranger.err);

  auto none = cluster.sluice({"status", "--control", address, "--ca-pin", pin});
  CHECK(none.exit_code == 4);
  CHECK_MESSAGE(contains(none.err, "--token-file"), none.err);

  auto right = status(good, pin);
  CHECK_MESSAGE(right.exit_code == 0, right.err);
}

TEST_CASE("an upload that stops midway or does not have the hash it announced leaves nothing behind") {
  cli_cluster cluster;
  cluster.start_head();
  auto client = raw_client(cluster);
  auto bytes = read_file(program("probe_flow"));

  auto half = upload(*client, header_of(bytes), bytes.substr(0, bytes.size() / 2));
  REQUIRE_FALSE(half);
  CHECK(half.error().code == sluice::errc::corrupt);
  CHECK_MESSAGE(contains(half.error().message, "ended after"), half.error().message);

  auto changed = bytes;
  changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 1);
  auto forged = upload(*client, header_of(bytes), changed);
  REQUIRE_FALSE(forged);
  CHECK(forged.error().code == sluice::errc::corrupt);
  CHECK_MESSAGE(contains(forged.error().message, "SHA-256"), forged.error().message);

  auto vanished =
    client->submit(header_of(bytes), [&, first = true]() mutable -> sluice::result<std::string_view> {
      if (std::exchange(first, false))
        return std::string_view{bytes}.substr(0, 1000);
      return sluice::fail(sluice::errc::cancelled, "gone");
    });
  CHECK_FALSE(vanished);

  CHECK(cluster.json({"status"}).as_object().count("flows") == 1);
  CHECK(cluster.json({"status"}).at("flows").as_array().empty());
  CHECK(files_in(cluster.head_dir() / "artifacts") == 0);
  CHECK(eventually([&] { return files_in(cluster.head_dir() / "artifacts" / "unfinished") == 0; }));
  cluster.must({"submit", program("probe_flow")}); // and it is none the worse for it
}

TEST_CASE("an artifact that changed on a worker's disk is refused by its hash and fetched again") {
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  auto worker = cluster.start_worker();
  cluster.must({"submit", program("probe_flow")});
  cluster.wait_running("probe");
  damage(worker);
  auto pids = cluster.host_pids("probe");
  REQUIRE(pids.size() == 1);
  kill(pids[0], SIGKILL);
  cluster.put_jobs("in", 1, 100);
  CHECK(eventually([&] { return cluster.depth("out") == 100; }, 60s));
  CHECK(contains(read_file(worker / "node.log"), "SHA-256"));
  CHECK(files_in(worker / "artifacts" / "damaged") == 1);
}

TEST_CASE("an artifact that changed on the head's disk reaches no worker; submitting it again mends that") {
  cli_cluster cluster;
  cluster.start_head({"--no-worker"});
  cluster.must({"submit", program("probe_flow"), "--detach"}); // nobody to run it yet
  damage(cluster.head_dir());
  auto worker = cluster.start_worker();
  CHECK(eventually(
    [&] {
      return contains(cluster.must({"get", "flow/probe"}), "does not match its hash");
    },
    60s));
  CHECK(contains(read_file(worker / "node.log"), "flow 'probe' version 1 cannot run here"));
  CHECK(files_in(worker / "artifacts") == 0);
  CHECK(cluster.host_pids("probe").empty());

  cluster.must({"submit", program("probe_flow"), "--detach"});
  cluster.put_jobs("in", 1, 100);
  CHECK(eventually([&] { return cluster.depth("out") == 100; }, 60s));
}

TEST_CASE("an artifact that changed on the head's own disk is told as damaged for as long as it is") {
  cli_cluster cluster;
  cluster.start_head();
  cluster.must({"submit", program("probe_flow")});
  cluster.wait_running("probe");
  damage(cluster.head_dir());
  auto pids = cluster.host_pids("probe");
  REQUIRE(pids.size() == 1);
  kill(pids[0], SIGKILL);
  CHECK(eventually(
    [&] {
      const auto shown = cluster.must({"get", "flow/probe"});
      return contains(shown, "cannot fetch it: the head's artifact") && contains(shown, "is damaged")
             && contains(shown, "submit the flow again");
    },
    60s));
  cluster.must({"submit", program("probe_flow"), "--detach"});
  cluster.put_jobs("in", 1, 100);
  CHECK(eventually([&] { return cluster.depth("out") == 100; }, 60s));
}

TEST_CASE("a file that is no JSON, and CSV with a wrong row, lose only what is wrong in them") {
  cli_cluster cluster;
  cluster.start_head();
  auto csv = cluster.home() / "jobs.csv";
  auto results = cluster.home() / "results.csv";
  write_file(csv, "id,act\n1,\n2,log\nthree,\n4,a,b\n5,\n");
  cluster.must({"submit", program("probe_flow"), "--", "--from", csv.string(), "--to", results.string()});
  auto rows = [&] {
    std::size_t count = 0;
    for (auto c : read_file(results))
      count += c == '\n' ? 1 : 0;
    return count;
  };
  CHECK(eventually([&] { return rows() == 4; }));
  CHECK(read_file(results) == "id,by\n1,v1\n2,v1\n5,v1\n");
  auto letters = cluster.must({"queue", "dead-letters"});
  CHECK_MESSAGE(contains(letters, "job.id: expected"), letters);
  CHECK_MESSAGE(contains(letters, "4,a,b"), letters);
  CHECK_MESSAGE(contains(letters, "row 5 of " + csv.string() + " has 3 fields, the header has 2"), letters);

  write_file(cluster.home() / "jobs.jsonl", "{\"id\":1}\nnot json\n{\"id\":3}\n");
  cluster.must({"submit", program("probe_flow"), "--", "--name", "lines", "--from",
                (cluster.home() / "jobs.jsonl").string()});
  CHECK(eventually([&] { return cluster.depth("out") == 2; }));
  auto more = cluster.must({"queue", "dead-letters"});
  CHECK_MESSAGE(contains(more, "not json"), more);
}

TEST_CASE(
  "what is asked wrongly is refused with 2, and the error names the option or the setting, value and rule") {
  cli_cluster cluster;
  const auto config = cluster.home() / "bad.toml";
  write_file(config, "listen = \"203.0.113.7\"\n"); // an address, but of no machine
  auto elsewhere = cluster.sluice({"start", "--head", "--block", "--state-dir",
                                   (cluster.home() / "other").string(), "--config", config.string()});
  CHECK(elsewhere.exit_code == 2);
  CHECK_MESSAGE(contains(elsewhere.err, "the setting listen is '203.0.113.7'"), elsewhere.err);
  write_file(config, "link_port = 70000\n");
  auto shown = cluster.sluice({"config", "show", "--config", config.string()});
  CHECK(shown.exit_code == 2);
  CHECK(shown.out.empty());
  CHECK_MESSAGE(contains(shown.err, "'70000'"), shown.err);

  cluster.start_head();
  struct wrong {
    std::vector<std::string> args;
    std::string said;
  };
  for (const auto& one :
       {wrong{{"queue", "peek", "in", "--after", "-5"}, "--after: '-5' is not a whole number"},
        wrong{{"queue", "dead-letters", "in", "--count", "-1"}, "--count: '-1'"},
        wrong{{"rollback", "flow/x", "--to", "-2"}, "--to: '-2'"},
        wrong{{"logs", "flow/x", "--tail", "-3"}, "--tail: '-3'"},
        wrong{{"drain", "flow/x", "--wait", "-5s"}, "--wait: '-5s' is not a time span"},
        wrong{{"queue", "put", "No Name", "-"}, "for example orders-2"},
        wrong{{"queue", "peek", "No Name"}, "for example orders-2"}}) {
    auto refused = cluster.sluice(one.args, "1\n");
    CHECK_MESSAGE(refused.exit_code == 2, one.said);
    CHECK_MESSAGE(contains(refused.err, one.said), refused.err);
  }
  auto put = cluster.sluice({"queue", "put", "lonely", "-"}, "1\n");
  CHECK(put.exit_code == 0);
  CHECK_MESSAGE(contains(put.err, "no flow reads queue/lonely yet"), put.err);
}
