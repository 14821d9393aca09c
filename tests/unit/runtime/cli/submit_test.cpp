// Goal: submit checks before it sends, sends the very file, and ends when the flow runs or with the
// real reason why it does not.
#include "tests/support/cli_fixture.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::test;
namespace api = sluice::control::v1;

namespace {

struct submit_fixture : cli_fixture {
  submit_fixture() {
    binary = (dir.path() / "orders").string();
    write_file(binary, "abc");
    described->name = flow_name{"orders"};
    auto& processor = described->processors.emplace_back();
    processor.source = {"queue", {{"name", "in"}}};
    head.submit_reply.set_flow("orders");
    head.submit_reply.set_version(2);
  }

  static api::SnapshotReply shows(const std::string& phase, std::uint64_t current, std::uint64_t target,
                                  const std::string& detail = {}) {
    api::SnapshotReply snapshot;
    auto* flow = snapshot.add_flows();
    flow->set_name("orders");
    flow->set_phase(phase);
    flow->set_version_current(current);
    flow->set_version_target(target);
    flow->set_detail(detail);
    return snapshot;
  }

  std::string binary;
};

} // namespace

TEST_CASE_FIXTURE(submit_fixture,
                  "the file, its hash and the arguments are sent; it waits until the version runs") {
  head.snapshots = {shows("updating", 1, 2), shows("starting", 1, 2)};
  head.snapshot = shows("running", 2, 2);
  CHECK(run({"submit", binary, "--", "--region", "eu"}) == cli::ok);
  CHECK(head.uploaded == "abc");
  CHECK(head.header.sha256() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(head.header.size_bytes() == 3);
  CHECK(head.header.file_name() == "orders");
  CHECK(head.header.request_id() == "an-id");
  CHECK(std::vector<std::string>{head.header.args().begin(), head.header.args().end()}
        == std::vector<std::string>{"--region", "eu"});
  CHECK(out.empty());
  CHECK(err_has("submitted: flow/orders version 2 (rolling update), 1 processor"));
  CHECK(err_has("running: flow/orders version 2"));
  CHECK(err_has("sluice queue put in "));
}

TEST_CASE_FIXTURE(submit_fixture, "a consumer that feeds itself is pointed out") {
  head.snapshot = shows("running", 2, 2);
  CHECK(run({"submit", binary}) == cli::ok);
  CHECK_FALSE(err_has("comes back to it"));
  auto& processor = described->processors[0];
  processor.name = processor_name{"crawl"};
  processor.sink = processor.source;
  CHECK(run({"submit", binary}) == cli::ok);
  CHECK(err_has("note: what crawl returns goes into the queue that it reads, and comes back to it\n"));
}

TEST_CASE_FIXTURE(submit_fixture, "a relative path is refused: each host has its own folder") {
  head.snapshot = shows("running", 2, 2);
  auto& processor = described->processors[0];
  processor.name = processor_name{"clean"};
  processor.source = {"file", {{"path", "/data/in.jsonl"}}};
  processor.sink = {"file", {{"path", "/data/out.jsonl"}}};
  CHECK(run({"submit", binary}) == cli::ok);
  processor.batch = batch_spec{.rejected = "out/rejected.jsonl"};
  CHECK(run({"submit", binary}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("\"clean\": rejected: the path out/rejected.jsonl is relative; on a cluster"), err);
  processor.source.options["path"] = "in.jsonl";
  CHECK(run({"submit", binary}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("source: the path in.jsonl is relative"), err);
}

TEST_CASE_FIXTURE(submit_fixture, "a detached submit does not wait") {
  head.submit_reply.set_is_new(true);
  CHECK(run({"submit", binary, "--detach", "-o", "json"}) == cli::ok);
  CHECK(out_has("\"version\": 2"));
  CHECK(out_has("\"is_new\": true"));
  CHECK(err.empty());
  CHECK(clock.count() == 0);
  CHECK(run({"submit", binary, "--detach", "-o", "name"}) == cli::ok);
  CHECK(err_has("(new)"));
  CHECK(out == "flow/orders\n");
}

TEST_CASE_FIXTURE(submit_fixture, "what is no flow is refused before anything is sent") {
  described = fail(errc::invalid_argument, "orders does not describe a flow");
  CHECK(run({"submit", binary}) == cli::bad_usage);
  CHECK(err_has("orders does not describe a flow"));
  CHECK(run({"submit", (dir.path() / "none").string()}) == cli::not_found);
  CHECK(err_has("none"));
  CHECK(run({"submit", dir.path().string()}) == cli::bad_usage);
  CHECK(head.targets.empty());
}

TEST_CASE_FIXTURE(submit_fixture, "a refused upload has the head's reason and code") {
  head.refuse = failure{errc::corrupt, "the upload ended after 2 of 3 bytes"};
  CHECK(run({"submit", binary}) == cli::failed);
  CHECK(err_has("2 of 3 bytes"));
}

TEST_CASE_FIXTURE(submit_fixture,
                  "where the head was lost meanwhile, it says how to find out what came of it") {
  head.refuse = failure{errc::unavailable, "the connection broke"};
  CHECK(run({"submit", binary}) == cli::unreachable);
  CHECK_MESSAGE(err_has("the connection broke; submit again if `sluice get flow/orders` does not show it"),
                err);
}

TEST_CASE_FIXTURE(submit_fixture, "a version that fails shows why, with the last words of its host") {
  head.snapshot = shows("failed", 0, 2, "price: the host crashes");
  auto* host = head.snapshot.add_nodes()->add_hosts();
  host->set_id("00000000000000ab");
  host->set_flow("orders");
  host->set_version(2);
  host->mutable_last_crash()->set_reason("killed by SIGSEGV");
  host->mutable_last_crash()->add_log_tail("about to divide by zero");
  CHECK(run({"submit", binary}) == cli::failed);
  for (auto text : {"price: the host crashes", "killed by SIGSEGV", "| about to divide by zero",
                    "sluice logs flow/orders"})
    CHECK_MESSAGE(err_has(text), text);
}

TEST_CASE_FIXTURE(submit_fixture, "an update that was given up is a failure although the old version runs") {
  head.snapshots = {shows("updating", 1, 2)};
  head.snapshot = shows("degraded", 1, 1, "update to version 2 failed: exited with code 3; version 1 stays");
  CHECK(run({"submit", binary}) == cli::failed);
  CHECK(err_has("exited with code 3"));
}

TEST_CASE_FIXTURE(submit_fixture, "a flow that was deleted before anybody saw it run is gone at once") {
  CHECK(run({"submit", binary}) == cli::not_found);
  CHECK(err_has("flow/orders was deleted meanwhile"));
  CHECK(clock.count() == 0);
}

TEST_CASE_FIXTURE(submit_fixture, "another submit meanwhile is a conflict, a delete means it is gone") {
  head.snapshot = shows("updating", 1, 3);
  CHECK(run({"submit", binary}) == cli::conflict);
  head.snapshots = {shows("starting", 0, 2)};
  head.snapshot = {};
  CHECK(run({"submit", binary}) == cli::not_found);
}

TEST_CASE_FIXTURE(submit_fixture, "no room in the cluster is told from slowness") {
  head.snapshot = shows("starting", 0, 2, "price: 1 replica cannot be placed: no node has 1 CPU free");
  CHECK(run({"submit", binary, "--start-timeout", "2s"}) == cli::no_capacity);
  CHECK(err_has("no node has 1 CPU free"));
  head.snapshot = shows("starting", 0, 2, "fetching");
  CHECK(run({"submit", binary, "--start-timeout", "2s"}) == cli::unreachable);
  CHECK(err_has("it goes on by itself"));
}

TEST_CASE_FIXTURE(submit_fixture, "a head that restarts while it is watched is asked again") {
  head.snapshot = shows("running", 2, 2);
  on_pause = [this] { head.refuse.reset(); };
  head.snapshots = {shows("starting", 0, 2)};
  CHECK(run({"submit", binary}) == cli::ok);
}

TEST_CASE_FIXTURE(submit_fixture,
                  "a batch that failed on its records has run: it is said so, and is no defect") {
  auto& processor = described->processors.front();
  processor.kind = pattern::batch;
  processor.batch.emplace();
  head.snapshot =
    shows("failed", 2, 2, "price: 4 records are rejected, max_rejected is 3: at byte 17: no number");
  head.snapshot.mutable_flows(0)->add_processors()->mutable_batch()->set_phase("failed");
  CHECK(run({"submit", binary, "--wait"}) == cli::failed);
  CHECK_MESSAGE(
    err_has(
      "error: flow/orders version 2 failed: price: 4 records are rejected, max_rejected is 3: at byte 17"),
    err);
  CHECK_FALSE(err_has("does not run"));
  CHECK(run({"submit", binary, "--wait", "-o", "json"}) == cli::failed);
  CHECK_MESSAGE(err_has("invalid_argument"), err);
  CHECK_FALSE(err_has("internal"));
}

TEST_CASE_FIXTURE(submit_fixture, "a run that was given up for the one before says why") {
  auto& processor = described->processors.front();
  processor.kind = pattern::batch;
  processor.batch.emplace();
  head.snapshot =
    shows("running", 1, 1, "update to version 2 failed: setup failed: no such table; version 1 stays");
  CHECK(run({"submit", binary, "--wait"}) == cli::failed);
  CHECK_MESSAGE(err_has("version 2 does not run: update to version 2 failed: setup failed: no such table"),
                err);
  head.snapshot = shows("running", 3, 3);
  CHECK(run({"submit", binary, "--wait"}) == cli::conflict);
}

TEST_CASE_FIXTURE(submit_fixture,
                  "who waits for the end gets one JSON document, with the counts of the batches") {
  auto& processor = described->processors.front();
  processor.kind = pattern::batch;
  processor.batch.emplace();
  head.snapshots = {shows("running", 2, 2)};
  head.snapshot = shows("completed", 2, 2);
  auto* batch = head.snapshot.mutable_flows(0)->add_processors()->mutable_batch();
  batch->set_phase("done");
  batch->set_records_in(12);
  batch->set_rejected_count(3);
  CHECK(run({"submit", binary, "--wait", "-o", "json"}) == cli::ok);
  CHECK(out.starts_with("{"));
  CHECK(out.find("\n}\n{") == std::string::npos);
  CHECK(out_has("\"completed\""));
  CHECK(out_has("12"));
  CHECK(err.empty());
  auto* sink = head.snapshot.mutable_flows(0)->mutable_processors(0)->mutable_spec()->mutable_sink();
  sink->set_kind("file");
  (*sink->mutable_options())["path"] = "/data/sales.csv";
  head.snapshots = {shows("running", 2, 2)};
  CHECK(run({"submit", binary, "--wait"}) == cli::ok);
  CHECK(err_has("12 records in, 0 out, 3 rejected"));
  CHECK(err_has("rejected records: /data/sales.csv.rejected.jsonl\n"));
  head.snapshot.mutable_flows(0)->set_phase("failed");
  CHECK(run({"submit", binary, "--wait", "-o", "json"}) == cli::failed);
  CHECK(out_has("\"failed\""));
}

TEST_CASE_FIXTURE(submit_fixture, "Ctrl-C before the upload is whole submits nothing, and says so") {
  pauses_until_interrupt = 0;
  CHECK(run({"submit", binary}) == cli::interrupted);
  CHECK(err_has("interrupted; nothing was submitted"));
  CHECK(out.empty());
}

TEST_CASE_FIXTURE(submit_fixture, "who waits for the end hears what goes wrong meanwhile, each thing once") {
  auto& processor = described->processors.front();
  processor.kind = pattern::batch;
  processor.batch.emplace();
  auto stands_still = shows("running", 2, 2);
  auto* shown = stands_still.mutable_flows(0)->add_processors();
  shown->set_name("count");
  shown->set_last_error("no space left");
  for (int i = 0; i < 50; ++i)
    head.snapshots.push_back(stands_still);
  head.snapshot = shows("completed", 2, 2);
  CHECK(run({"submit", binary, "--wait"}) == cli::ok);
  const std::string line = "count: last error: no space left\n";
  REQUIRE(err_has(line));
  CHECK(err.find(line, err.find(line) + 1) == std::string::npos);
}
