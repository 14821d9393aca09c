// Goal: every command has its manners: help, examples, usage errors with what was meant, exit codes,
// data on stdout and talk on stderr.
#include "tests/support/cli_fixture.hpp"
#include "runtime/cli/table.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace sluice;
using namespace sluice::test;
namespace api = sluice::control::v1;

namespace {

/// Every command as it is typed.
std::vector<std::vector<std::string>> all_paths() {
  std::vector<std::vector<std::string>> paths;
  for (const auto* row : cli::commands()) {
    if (row->children.empty())
      paths.push_back({std::string{row->name}});
    for (const auto* child : row->children)
      paths.push_back({std::string{row->name}, std::string{child->name}});
  }
  return paths;
}

api::SnapshotReply one_flow(const std::string& phase, std::uint64_t current, std::uint64_t target) {
  api::SnapshotReply snapshot;
  snapshot.set_cluster_id("c1");
  auto* flow = snapshot.add_flows();
  flow->set_name("orders");
  flow->set_phase(phase);
  flow->set_version_current(current);
  flow->set_version_target(target);
  auto* processor = flow->add_processors();
  processor->set_flow("orders");
  processor->set_name("price");
  return snapshot;
}

api::SnapshotReply two_nodes() {
  api::SnapshotReply snapshot;
  for (auto [id, phase] : {std::pair{"node-aa11", "alive"}, std::pair{"node-bb22", "dead"}}) {
    auto* node = snapshot.add_nodes();
    node->set_id(id);
    node->set_phase(phase);
    (*node->mutable_labels())["zone"] = id;
    if (id == std::string{"node-aa11"})
      node->set_http_address("http://10.0.0.1:8000");
  }
  return snapshot;
}

} // namespace

TEST_CASE_FIXTURE(cli_fixture,
                  "every command's help says what it does and ends with two examples of itself") {
  for (auto path : all_paths()) {
    auto typed = "sluice " + path[0] + (path.size() > 1 ? " " + path[1] : "");
    path.push_back("--help");
    CHECK(run(path) == cli::ok);
    CHECK(err.empty());
    CHECK_MESSAGE(out.starts_with("Usage: " + typed), out);
    auto examples = out.substr(out.find("\nExamples:\n"));
    CHECK_MESSAGE(std::count(examples.begin(), examples.end(), '\n') == 4, typed);
    auto first = examples.find(typed);
    CHECK_MESSAGE(first != std::string::npos, typed);
    CHECK_MESSAGE(examples.find("sluice " + path[0], first + 1) != std::string::npos, typed);
    CHECK(out.find("\n\n\n") == std::string::npos);
    std::istringstream lines{out};
    for (std::string line; std::getline(lines, line);)
      CHECK_MESSAGE(line.size() <= 102, line);
  }
}

TEST_CASE_FIXTURE(cli_fixture,
                  "every command refuses an option it does not know, with code 2 and nothing done") {
  for (auto path : all_paths()) {
    path.push_back("--no-such-thing-at-all");
    CHECK(run(path) == cli::bad_usage);
    CHECK(out.empty());
    CHECK_MESSAGE(err_has("--no-such-thing-at-all"), err);
    CHECK(err_has("--help` says more"));
  }
  CHECK(head.targets.empty());
}

TEST_CASE_FIXTURE(cli_fixture, "every command that needs a head ends with 5 and says how to start one") {
  connect_fails = failure{errc::unavailable, "no head is running; start one with: sluice start --head"};
  write_file(dir.path() / "bin", "x");
  for (std::vector<std::string> line : {std::vector<std::string>{"status"},
                                        {"list", "nodes"},
                                        {"get", "flow/a"},
                                        {"logs", "flow/a"},
                                        {"scale", "a/b", "1"},
                                        {"drain", "flow/a"},
                                        {"rollback", "flow/a"},
                                        {"delete", "flow/a"},
                                        {"queue", "list"},
                                        {"queue", "put", "q", "-"},
                                        {"queue", "peek", "q"},
                                        {"queue", "dead-letters"},
                                        {"queue", "requeue", "q"},
                                        {"queue", "purge", "q"},
                                        {"join-token", "create"},
                                        {"token", "show"},
                                        {"version", "--head"},
                                        {"submit", (dir.path() / "bin").string()}}) {
    CHECK_MESSAGE(run(line) == cli::unreachable, line[0]);
    CHECK(out.empty());
    CHECK(err_has("sluice start --head"));
  }
}

TEST_CASE_FIXTURE(cli_fixture, "without a command the overview is talk, when asked for it is data") {
  CHECK(run({}) == cli::bad_usage);
  CHECK(out.empty());
  CHECK(err_has("Commands:"));
  for (auto word : {"--help", "-h", "help"}) {
    CHECK(run({word}) == cli::ok);
    CHECK(out_has("queue dead-letters"));
  }
  CHECK(run({"queue"}) == cli::bad_usage);
  CHECK(run({"queue", "--help"}) == cli::ok);
}

TEST_CASE_FIXTURE(cli_fixture, "what was mistyped is named with what was meant") {
  CHECK(run({"strat"}) == cli::bad_usage);
  CHECK(err_has("did you mean 'start'?"));
  CHECK(run({"queue", "pek"}) == cli::bad_usage);
  CHECK(err_has("did you mean 'peek'?"));
  CHECK(run({"start", "--haed"}) == cli::bad_usage);
  CHECK(err_has("'--haed'; did you mean '--head'?"));
  CHECK(run({"list", "nods"}) == cli::bad_usage);
  CHECK(err_has("did you mean 'nodes'?"));
  CHECK(run({"drain", "flwo/a"}) == cli::bad_usage);
  CHECK(err_has("did you mean 'flow'?"));
  CHECK(run({"scale", "a/b", "1", "2"}) == cli::bad_usage);
  CHECK(err_has("'2' is one argument too many"));
  CHECK(run({"list", "nodes", "-o", "yaml"}) == cli::bad_usage);
  CHECK(head.targets.empty());
}

TEST_CASE_FIXTURE(cli_fixture, "every code of the head has its exit code") {
  struct row {
    errc code;
    int exit;
  };
  for (auto [code, exit] :
       {row{errc::invalid_argument, 2}, row{errc::not_found, 3}, row{errc::unauthenticated, 4},
        row{errc::permission_denied, 4}, row{errc::unavailable, 5}, row{errc::timeout, 5},
        row{errc::conflict, 6}, row{errc::exhausted, 8}, row{errc::overloaded, 8}, row{errc::internal, 1},
        row{errc::corrupt, 1}}) {
    head.refuse = failure{code, "because of this"};
    CHECK(run({"status"}) == exit);
    CHECK(out.empty());
    CHECK(err == "error: because of this\n");
  }
}

TEST_CASE_FIXTURE(cli_fixture, "the head is found below SLUICE_HOME unless something else is said") {
  run({"status"});
  CHECK(head.targets.back().address == "unix:" + (dir.path() / ".sluice/head/control.sock").string());
  variables["SLUICE_HOME"] = "/srv";
  run({"status"});
  CHECK(head.targets.back().address == "unix:/srv/head/control.sock");
  variables["SLUICE_CONTROL"] = "10.0.0.1:7411";
  variables["SLUICE_TOKEN"] = "secret";
  variables["SLUICE_CA_PIN"] = "pin";
  run({"status", "--timeout", "3s"});
  CHECK(head.targets.back().address == "10.0.0.1:7411");
  CHECK(head.targets.back().token == "secret");
  CHECK(head.targets.back().ca_pin == "pin");
  CHECK(head.targets.back().timeout == std::chrono::seconds{3});
  run({"status", "--control", "unix:/x"});
  CHECK(head.targets.back().address == "unix:/x");
  CHECK(head.targets.back().token.empty());
}

TEST_CASE_FIXTURE(cli_fixture, "a token file that cannot be read is fatal, whatever else there is") {
  variables["SLUICE_TOKEN"] = "secret";
  CHECK(run({"status", "--control", "h:1", "--token-file", "/nonexistent"}) == cli::not_found);
  CHECK(err_has("/nonexistent"));
  CHECK(head.targets.empty());
}

TEST_CASE_FIXTURE(cli_fixture, "lists come as a table, as JSON and as names") {
  head.snapshot = two_nodes();
  CHECK(run({"list", "nodes"}) == cli::ok);
  CHECK(out_has("NODE"));
  CHECK(out_has("node-bb22  dead"));
  CHECK(run({"list", "node", "-o", "name"}) == cli::ok);
  CHECK(out == "node/node-aa11\nnode/node-bb22\n");
  CHECK(run({"list", "nodes", "-o", "json"}) == cli::ok);
  CHECK(out.starts_with("["));
  CHECK(out_has("\"id\": \"node-aa11\""));
  for (auto kind : {"flows", "processors", "replicas", "hosts", "queues", "events"}) {
    CHECK(run({"list", kind}) == cli::ok);
    CHECK(out.empty());
    CHECK(err == "no " + std::string{kind} + "\n");
    CHECK(run({"list", kind, "-o", "json"}) == cli::ok);
    CHECK(out == "[]\n");
  }
}

TEST_CASE_FIXTURE(cli_fixture, "where a node serves HTTP is shown, and stays where there is little room") {
  head.snapshot = two_nodes();
  CHECK(run({"list", "nodes"}) == cli::ok);
  CHECK(out_has("HTTP"));
  CHECK(out_has("http://10.0.0.1:8000"));
  CHECK(run({"list", "nodes", "-o", "json"}) == cli::ok);
  CHECK(out_has("\"http_address\": \"http://10.0.0.1:8000\""));
  CHECK(run({"get", "node/node-aa11"}) == cli::ok);
  CHECK(out_has("http_address: http://10.0.0.1:8000"));
  CHECK(run({"get", "node/node-bb22"}) == cli::ok);
  CHECK_FALSE(out_has("http_address"));
  for (auto& node : *head.snapshot.mutable_nodes()) {
    node.set_id("node-0123456789abcdef");
    node.set_address("192.168.100.20:40123");
    node.set_memory_total_bytes(123'456'789'012);
  }
  out_terminal = {.is_terminal = true, .width = 80};
  CHECK(run({"list", "nodes"}) == cli::ok);
  CHECK(out_has("http://10.0.0.1:8000"));
  for (const auto* less : {"LABELS", "HEARTBEAT", "ADDRESS"})
    CHECK_FALSE(out_has(less));
}

TEST_CASE_FIXTURE(cli_fixture, "no line of a list is wider than the terminal") {
  head.snapshot = two_nodes();
  *head.snapshot.mutable_flows() = one_flow("degraded", 1, 2).flows();
  const std::string name(63, 'n');
  head.snapshot.mutable_flows(0)->set_detail(std::string(300, 'd'));
  head.snapshot.mutable_flows(0)->mutable_processors(0)->set_name(name);
  head.snapshot.add_queues()->set_name(name);
  head.snapshot.add_events()->set_subject("processor/" + name);
  auto* replica = head.snapshot.add_replicas();
  replica->set_processor(name);
  replica->set_node("node-0123456789abcdef");
  auto* host = head.snapshot.mutable_nodes(0)->add_hosts();
  host->set_id("0123456789abcdef");
  host->set_detail(std::string(300, 'd'));
  for (const std::size_t width : {12U, 40U, 80U}) {
    out_terminal = {.is_terminal = true, .width = width};
    for (const auto* kind : {"nodes", "flows", "processors", "replicas", "hosts", "queues", "events"}) {
      CHECK(run({"list", kind}) == cli::ok);
      std::istringstream lines{out};
      for (std::string line; std::getline(lines, line);)
        CHECK_MESSAGE(cli::display_width(line) <= width, line);
    }
  }
}

TEST_CASE_FIXTURE(cli_fixture, "processors that requests reach are shown with method and route") {
  head.snapshot = two_nodes();
  *head.snapshot.mutable_flows() = one_flow("running", 1, 1).flows();
  CHECK(run({"status"}) == cli::ok);
  CHECK_FALSE(out_has("ROUTE"));
  auto* one = head.snapshot.mutable_flows(0)->mutable_processors(0);
  one->mutable_spec()->mutable_http()->set_method("GET");
  one->mutable_spec()->mutable_http()->set_route("/orders/{id}");
  CHECK(run({"status"}) == cli::ok);
  CHECK(out_has("ROUTE"));
  CHECK(out_has("GET /orders/{id}"));
  CHECK(run({"list", "processors"}) == cli::ok);
  CHECK(out_has("GET /orders/{id}"));
  CHECK(run({"get", "processor/" + one->flow() + "/" + one->name()}) == cli::ok);
  CHECK(out_has("route: /orders/{id}"));
}

TEST_CASE_FIXTURE(cli_fixture, "filters name a field of the API") {
  head.snapshot = two_nodes();
  CHECK(run({"list", "nodes", "-f", "phase=dead", "-o", "name"}) == cli::ok);
  CHECK(out == "node/node-bb22\n");
  CHECK(run({"list", "nodes", "-f", "phase=dead", "-f", "labels.zone=node-aa11", "-o", "name"}) == cli::ok);
  CHECK(out.empty());
  CHECK(run({"list", "nodes", "-f", "phas=dead"}) == cli::bad_usage);
  CHECK(err_has("did you mean 'phase'?"));
  CHECK(run({"list", "nodes", "-f", "phase"}) == cli::bad_usage);
}

TEST_CASE_FIXTURE(cli_fixture, "a filter takes a processor as the tables show it, too") {
  for (const auto* flow : {"orders", "other"}) {
    auto* replica = head.snapshot.add_replicas();
    replica->set_id(head.snapshot.replicas_size());
    replica->set_flow(flow);
    replica->set_processor("price");
  }
  CHECK(run({"list", "replicas", "-f", "processor=price", "-o", "name"}) == cli::ok);
  CHECK(out == "replica/1\nreplica/2\n");
  CHECK(run({"list", "replicas", "-f", "processor=other/price", "-o", "name"}) == cli::ok);
  CHECK(out == "replica/2\n");
  for (const auto* none : {"processor=none/price", "flow=orders/orders"}) {
    CHECK(run({"list", "replicas", "-f", none, "-o", "name"}) == cli::ok);
    CHECK(out.empty());
  }
}

TEST_CASE_FIXTURE(cli_fixture, "get shows one thing, and of nodes the beginning of the id is enough") {
  head.snapshot = two_nodes();
  *head.snapshot.mutable_flows() = one_flow("failed", 0, 1).flows();
  auto* host = head.snapshot.mutable_nodes(0)->add_hosts();
  host->set_id("00000000000000ab");
  host->set_flow("orders");
  host->mutable_last_crash()->set_reason("killed by SIGSEGV");
  host->mutable_last_crash()->add_log_tail("last words");
  CHECK(run({"get", "node/node-bb"}) == cli::ok);
  CHECK(out_has("phase: dead"));
  CHECK(run({"get", "node/node-"}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("node/node- is not one node: node-aa11, node-bb22 begin so"), err);
  CHECK(run({"get", "node/nide-"}) == cli::not_found);
  CHECK(run({"get", "flow/orders"}) == cli::ok);
  CHECK(out_has("killed by SIGSEGV"));
  CHECK(out_has("last words"));
  CHECK(run({"get", "flow/orders", "-o", "json"}) == cli::ok);
  CHECK(out.starts_with("{"));
  CHECK(run({"get", "processor/orders/price", "-o", "name"}) == cli::ok);
  CHECK(out == "processor/orders/price\n");
  CHECK(run({"get", "flow/ordres"}) == cli::not_found);
  CHECK(err_has("did you mean 'orders'?"));
  CHECK(run({"get", "orders"}) == cli::bad_usage);
  CHECK(run({"get", "flow/"}) == cli::bad_usage);
}

TEST_CASE_FIXTURE(cli_fixture, "status shows everything at once") {
  head.snapshot = two_nodes();
  *head.snapshot.mutable_flows() = one_flow("degraded", 2, 2).flows();
  auto* flow = head.snapshot.mutable_flows(0);
  flow->set_detail("price: 1 replica cannot be placed");
  auto* processor = flow->mutable_processors(0);
  processor->set_replicas_running(1);
  processor->set_replicas_desired(2);
  processor->set_backlog_count(12'400);
  processor->set_oldest_age_ms(3'200);
  processor->set_rate_per_s(950);
  processor->set_last_error("expected number");
  auto* event = head.snapshot.add_events();
  event->set_severity("warning");
  event->set_subject("node/node-bb22");
  event->set_text("is dead");
  CHECK(run({"status"}) == cli::ok);
  for (auto text : {"node-aa11", "dead", "orders  v2", "degraded", "1/2", "12,400", "3.2s", "950/s",
                    "cannot be placed", "last error of orders/price: expected number", "is dead"})
    CHECK_MESSAGE(out_has(text), text);
  CHECK(run({"status", "-o", "json"}) == cli::ok);
  CHECK(out_has("\"backlog_count\": 12400"));
}

TEST_CASE_FIXTURE(cli_fixture, "an empty cluster's status says what to do next") {
  CHECK(run({"status"}) == cli::ok);
  CHECK(out_has("sluice start --address auto"));
  CHECK(out_has("sluice submit"));
}

TEST_CASE_FIXTURE(cli_fixture, "a watched status is drawn until Ctrl-C and outlives a head that is away") {
  pauses_until_interrupt = 2;
  head.refuse_first = {failure{errc::unavailable, "it is away"}};
  CHECK(run({"status", "--watch"}) == cli::interrupted);
  CHECK(out_has("it is away"));
  CHECK(out_has("cluster"));
  CHECK(clock == std::chrono::seconds{6});
  head.refuse_first = {failure{errc::unauthenticated, "wrong token"}};
  CHECK(run({"status", "--watch=1s"}) == cli::not_allowed);
  CHECK(run({"status", "--watch=1ms"}) == cli::bad_usage);
}

TEST_CASE_FIXTURE(cli_fixture, "a crowd of nodes and processors still fits a screen") {
  for (int i = 0; i < 100; ++i) {
    auto* node = head.snapshot.add_nodes();
    node->set_id("node-" + std::to_string(i));
    node->set_phase(i == 99 ? "suspect" : "alive");
    auto* flow = head.snapshot.add_flows();
    flow->set_name("flow-" + std::to_string(i));
    flow->set_phase("running");
    flow->add_processors()->set_name("p");
  }
  CHECK(run({"status"}) == cli::ok);
  CHECK(std::count(out.begin(), out.end(), '\n') < 40);
  CHECK(out_has("node-99"));
  CHECK(out_has("and 92 more: sluice list nodes"));
  CHECK(out_has("and 86 more: sluice list processors"));
}

TEST_CASE_FIXTURE(cli_fixture, "every number names its option, its value and the rule it breaks") {
  struct wrong {
    std::vector<std::string> args;
    std::string option;
  };
  for (const std::string value : {"-5", "many", "1.5", "0x10", "99999999999999999999"}) {
    const wrong all[] = {{{"queue", "peek", "q", "--after", value}, "--after"},
                         {{"queue", "peek", "q", "--after=" + value}, "--after"},
                         {{"queue", "peek", "q", "--count", value}, "--count"},
                         {{"queue", "dead-letters", "q", "--after", value}, "--after"},
                         {{"queue", "dead-letters", "q", "--count", value}, "--count"},
                         {{"queue", "put", "q", "-", "--batch", value}, "--batch"},
                         {{"queue", "requeue", "q", "17", value}, "ID"},
                         {{"logs", "flow/f", "--tail", value}, "--tail"},
                         {{"rollback", "flow/f", "--to", value}, "--to"}};
    for (const auto& one : all) {
      CAPTURE(one.option + " " + value);
      CHECK(run(one.args) == cli::bad_usage);
      CHECK_MESSAGE(err_has(one.option + ": '" + value + "' is not a whole number"), err);
    }
  }
  CHECK(run({"rollback", "flow/f", "--to", "0"}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("--to: '0' is not a whole number, 1 or more"), err);
  CHECK(run({"queue", "put", "q", "-", "--batch", "0"}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("--batch: '0' is not a whole number from 1 to "), err);
  CHECK(run({"scale", "orders/price", "-1"}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("replicas: '-1' is not a whole number"), err);
  CHECK(run({"queue", "list", "-1"}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("'-1' is neither an option nor a number"), err);
  CHECK(head.asked.empty());
}

TEST_CASE_FIXTURE(cli_fixture, "every time span names its option and how to write one") {
  const std::vector<std::vector<std::string>> all{{"delete", "flow/f", "--wait"},
                                                  {"drain", "flow/f", "--wait"},
                                                  {"rollback", "flow/f", "--wait"},
                                                  {"join-token", "create", "--ttl"},
                                                  {"stop", "--wait"},
                                                  {"queue", "put", "q", "-", "--wait"},
                                                  {"submit", "x", "--start-timeout"},
                                                  {"status", "--timeout"},
                                                  {"status", "--watch"}};
  for (const auto& args : all)
    for (const std::string value : {"-5s", "5 days", "soon"}) {
      auto with = args;
      with.back() += "=" + value;
      CAPTURE(with.back());
      CHECK(run(with) == cli::bad_usage);
      CHECK_MESSAGE(err_has(args.back().substr(2)), err);
      CHECK_MESSAGE(err_has("'" + value + "' is not a time span"), err);
    }
}

TEST_CASE_FIXTURE(cli_fixture, "scale passes the number on and refuses what is none") {
  CHECK(run({"scale", "orders/price", "4"}) == cli::ok);
  CHECK(run({"scale", "orders/price", "0"}) == cli::ok);
  CHECK(head.asked == std::vector<std::string>{"scale orders/price 4", "scale orders/price 0"});
  for (auto count : {"-1", "many", "1.5", "100001"})
    CHECK(run({"scale", "orders/price", count}) == cli::bad_usage);
  for (auto what : {"orders", "/price", "orders/"})
    CHECK(run({"scale", what, "1"}) == cli::bad_usage);
  CHECK(head.asked.size() == 2);
}

TEST_CASE_FIXTURE(cli_fixture, "scale of a drained flow says when it counts") {
  for (auto phase : {"drained", "draining"}) {
    head.snapshot = one_flow(phase, 1, 1);
    CHECK(run({"scale", "orders/price", "4"}) == cli::ok);
    CHECK_MESSAGE(err_has("orders/price will have 4 replicas when its flow takes work again: it is "
                          + std::string{phase} + "; `sluice drain flow/orders --resume`"),
                  err);
  }
  head.snapshot = one_flow("running", 1, 1);
  CHECK(run({"scale", "orders/price", "1"}) == cli::ok);
  CHECK(err_has("will have 1 replica; watch it"));
}

TEST_CASE_FIXTURE(cli_fixture,
                  "of a node to drain the beginning of its id is enough, if no other begins so") {
  head.snapshot = two_nodes();
  CHECK(run({"drain", "node/node-a", "--detach"}) == cli::ok);
  CHECK(err_has("node/node-aa11 is draining"));
  CHECK(run({"drain", "node/node-aa11", "--resume"}) == cli::ok);
  CHECK(run({"drain", "node/node-", "--detach"}) == cli::bad_usage);
  CHECK(err_has("node/node- is not one node: node-aa11, node-bb22 begin so"));
  CHECK(head.asked == std::vector<std::string>{"drain node/node-aa11", "resume node/node-aa11"});
}

TEST_CASE_FIXTURE(cli_fixture, "drain waits until nothing is in flight") {
  head.snapshots = {one_flow("draining", 1, 1), one_flow("draining", 1, 1)};
  head.snapshot = one_flow("drained", 1, 1);
  CHECK(run({"drain", "flow/orders"}) == cli::ok);
  CHECK(err_has("flow/orders is drained"));
  CHECK(clock == std::chrono::milliseconds{400});
  CHECK(head.asked == std::vector<std::string>{"drain flow/orders"});
}

TEST_CASE_FIXTURE(cli_fixture, "a drain that takes too long says what is left and goes on") {
  head.snapshot = one_flow("draining", 1, 1);
  head.snapshot.add_replicas()->set_flow("orders");
  CHECK(run({"drain", "flow/orders", "--wait", "5s"}) == cli::unreachable);
  CHECK(err_has("1 replica is left"));
  CHECK(clock == std::chrono::seconds{5});
}

TEST_CASE_FIXTURE(cli_fixture, "a drain outlives a head that is away, and ends with 130 on Ctrl-C") {
  head.snapshot = one_flow("drained", 1, 1);
  head.refuse_first = {};
  on_pause = [this] { head.refuse.reset(); };
  head.snapshots = {one_flow("draining", 1, 1)};
  CHECK(run({"drain", "flow/orders"}) == cli::ok);
  head.snapshot = one_flow("draining", 1, 1);
  pauses_until_interrupt = 1;
  CHECK(run({"drain", "flow/orders"}) == cli::interrupted);
  CHECK(err_has("it goes on without you"));
}

TEST_CASE_FIXTURE(cli_fixture, "a drain may be left alone or taken back") {
  CHECK(run({"drain", "node/node-1", "--detach"}) == cli::ok);
  CHECK(run({"drain", "node/node-1", "--resume"}) == cli::ok);
  CHECK(head.asked == std::vector<std::string>{"drain node/node-1", "resume node/node-1"});
  CHECK(run({"drain", "queue/x"}) == cli::bad_usage);
}

TEST_CASE_FIXTURE(cli_fixture, "a node that dies while it is drained is said") {
  head.snapshot = two_nodes();
  CHECK(run({"drain", "node/node-bb22"}) == cli::unreachable);
  CHECK(err_has("dead"));
  CHECK(run({"drain", "node/node-zz"}) == cli::not_found);
}

TEST_CASE_FIXTURE(cli_fixture, "delete waits until the flow is gone") {
  head.snapshots = {one_flow("deleting", 1, 1)};
  CHECK(run({"delete", "flow/orders"}) == cli::ok);
  CHECK(head.asked == std::vector<std::string>{"delete orders"});
  head.snapshot = one_flow("deleting", 1, 1);
  CHECK(run({"delete", "flow/orders", "--wait", "1s"}) == cli::unreachable);
  CHECK(run({"delete", "flow/orders", "--detach"}) == cli::ok);
  CHECK(run({"delete", "node/x"}) == cli::bad_usage);
}

TEST_CASE_FIXTURE(cli_fixture,
                  "a delete is done although another submit has made a flow of that name meanwhile") {
  head.snapshot = one_flow("running", 2, 2);
  CHECK(run({"delete", "flow/orders"}) == cli::ok);
  CHECK(err_has("flow/orders is deleted"));
}

TEST_CASE_FIXTURE(cli_fixture, "rollback waits until the version runs") {
  head.snapshots = {one_flow("updating", 7, 8)};
  head.snapshot = one_flow("running", 8, 8);
  CHECK(run({"rollback", "flow/orders", "--to", "3"}) == cli::ok);
  CHECK(head.asked == std::vector<std::string>{"rollback orders 3"});
  CHECK(err_has("running: flow/orders version 8"));
  CHECK(run({"rollback", "flow/orders", "--detach", "-o", "json"}) == cli::ok);
  CHECK(out == "{\n  \"version\": 8\n}\n");
}

TEST_CASE_FIXTURE(cli_fixture, "logs are printed as they come, lines of a flow with their host") {
  api::ReadLogsReply part;
  part.set_host("0123456789abcdef");
  part.set_text("one\ntwo\n");
  head.logs = {part};
  CHECK(run({"logs", "flow/orders", "--follow", "--tail", "5"}) == cli::ok);
  CHECK(out == "01234567 | one\n01234567 | two\n");
  CHECK(run({"logs", "host/0123456789abcdef"}) == cli::ok);
  CHECK(out == "one\ntwo\n");
  CHECK(run({"logs", "node/node-1", "--tail", "2"}) == cli::ok);
  CHECK(out == "one\ntwo\n");
  CHECK(head.asked
        == std::vector<std::string>{"logs orders follow tail 5", "logs 0123456789abcdef tail 0",
                                    "logs node-1 tail 2"});
  CHECK(run({"logs", "flow/orders", "-o", "json"}) == cli::ok);
  CHECK(std::count(out.begin(), out.end(), '\n') == 2);
  CHECK(out.starts_with("{\"node\":"));
  CHECK(out_has("\"text\":\"one\""));
  CHECK(out_has("\"text\":\"two\""));
  CHECK(err.empty());
}

TEST_CASE_FIXTURE(cli_fixture, "logs that cannot all be read are a part only") {
  api::ReadLogsReply part;
  part.set_node("node-2");
  part.set_unreachable("the node is dead");
  head.logs = {part};
  CHECK(run({"logs", "flow/orders"}) == cli::partly_failed);
  CHECK(out.empty());
  CHECK(err_has("node/node-2 cannot be read: the node is dead"));
  CHECK(run({"logs", "flow/orders", "-o", "json"}) == cli::partly_failed);
  CHECK(std::count(out.begin(), out.end(), '\n') == 1);
  CHECK(out_has("\"unreachable\":\"the node is dead\""));
}

TEST_CASE_FIXTURE(cli_fixture, "scale takes a processor as other commands write it") {
  CHECK(run({"scale", "processor/orders/price", "2"}) == cli::ok);
  CHECK(err_has("orders/price will have 2 replicas"));
  CHECK(head.asked == std::vector<std::string>{"scale orders/price 2"});
  head.refuse = failure{errc::not_found, "there is no flow 'flow'; there is orders"};
  CHECK(run({"scale", "flow/orders", "2"}) == cli::not_found);
  CHECK_MESSAGE(err_has("write FLOW/PROCESSOR, for example: orders/PROCESSOR\n"), err);
}

TEST_CASE_FIXTURE(cli_fixture, "logs without a line say so on stderr") {
  CHECK(run({"logs", "flow/orders"}) == cli::ok);
  CHECK(out.empty());
  CHECK(err == "flow/orders has written nothing\n");
  CHECK(run({"logs", "flow/orders", "-o", "json"}) == cli::ok);
  CHECK(err.empty());
  head.logs.emplace_back().set_text("a line\n");
  CHECK(run({"logs", "flow/orders"}) == cli::ok);
  CHECK(err.empty());
}

TEST_CASE_FIXTURE(cli_fixture, "the access log of a node is found by the beginning of its id") {
  head.snapshot = two_nodes();
  CHECK(run({"logs", "node/node-b"}) == cli::ok);
  CHECK(run({"logs", "node/node-aa11"}) == cli::ok);
  CHECK(run({"logs", "node/node-c"}) == cli::ok); // the head says that there is none
  CHECK(head.asked
        == std::vector<std::string>{"logs node-bb22 tail 0", "logs node-aa11 tail 0", "logs node-c tail 0"});
  CHECK(run({"logs", "node/node-"}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("node-aa11, node-bb22 begin so"), err);
  for (auto n : {'1', '2', '3', '4', '5'})
    head.snapshot.add_nodes()->set_id(std::string{"node-"} + n);
  CHECK(run({"logs", "node/node-"}) == cli::bad_usage);
  CHECK_MESSAGE(err_has("node-3 and 2 more begin so"), err);
}

TEST_CASE_FIXTURE(cli_fixture, "a host may be named by its beginning or by its replica") {
  auto* host = head.snapshot.add_nodes()->add_hosts();
  host->set_id("00000000000000ab");
  auto* replica = head.snapshot.add_replicas();
  replica->set_id(5);
  replica->set_host("00000000000000cd");
  CHECK(run({"logs", "host/000"}) == cli::ok);
  CHECK(run({"logs", "replica/5"}) == cli::ok);
  CHECK(head.asked
        == std::vector<std::string>{"logs 00000000000000ab tail 0", "logs 00000000000000cd tail 0"});
  CHECK(run({"logs", "host/1"}) == cli::not_found);
  head.snapshot.mutable_nodes(0)->add_hosts()->set_id("00000000000000cd");
  CHECK(run({"logs", "host/000"}) == cli::bad_usage);
  CHECK(run({"logs", "replica/6"}) == cli::not_found);
}

TEST_CASE_FIXTURE(cli_fixture, "tokens are data, what to do with them is talk") {
  CHECK(run({"token", "show"}) == cli::ok);
  CHECK(out == "the-token\n");
  CHECK(err_has("SLUICE_CA_PIN=the-pin"));
  CHECK(run({"join-token", "create", "--ttl", "10m"}) == cli::ok);
  CHECK(out == "slj1.made\n");
  CHECK(err_has("--address 127.0.0.1:7410 --join-token-file"));
  CHECK(head.asked == std::vector<std::string>{"join token 600"});
  CHECK(run({"join-token", "create", "--ttl", "0s"}) == cli::bad_usage);
}

TEST_CASE_FIXTURE(cli_fixture, "the version is this program's, or the head's") {
  CHECK(run({"version"}) == cli::ok);
  CHECK(out.starts_with("sluice "));
  CHECK(run({"--version"}) == cli::ok);
  CHECK(head.targets.empty());
  CHECK(run({"version", "--head"}) == cli::ok);
  CHECK(out == "sluice 9.9.9\n");
}

TEST_CASE_FIXTURE(cli_fixture, "config show says where each value comes from") {
  write_file(dir.path() / "a.toml", "cpus = 2\n");
  config_search = {dir.path() / "a.toml"};
  variables["SLUICE_LISTEN"] = "10.0.0.1";
  CHECK(run({"config", "show", "--origin"}) == cli::ok);
  CHECK(out_has((dir.path() / "a.toml").string() + ":1"));
  CHECK(out_has("environment SLUICE_LISTEN"));
  CHECK(out_has("7410"));
  CHECK(run({"config", "show", "-o", "json"}) == cli::ok);
  CHECK(out_has("{\"name\": \"cpus\", \"value\": \"2\", \"origin\": \""));
  write_file(dir.path() / "a.toml", "cups = 2\n");
  CHECK(run({"config", "show"}) == cli::bad_usage);
  CHECK(err_has("did you mean 'cpus'?"));
  write_file(dir.path() / "a.toml",
             "link_port = 70000\n"); // what start would refuse is not shown as if it were good
  CHECK(run({"config", "show"}) == cli::bad_usage);
  CHECK(out.empty());
  CHECK_MESSAGE(err_has("'70000' is not a whole number"), err);
  CHECK(err_has("a.toml:1"));
}

TEST_CASE_FIXTURE(cli_fixture, "with -o json what goes wrong is JSON too, and stdout stays empty") {
  for (const auto& args : std::vector<std::vector<std::string>>{{"get", "flow/none", "-o", "json"},
                                                                {"get", "flow/none", "-ojson"},
                                                                {"get", "flow/none", "--output=json"}}) {
    CHECK(run(args) == cli::not_found);
    CHECK(out.empty());
    CHECK(err_has(R"({"error":{"code":"not_found","message":"there is no flow/none)"));
  }
  CHECK(run({"bogus", "-o", "json"}) == cli::bad_usage);
  CHECK(err.starts_with("{\"error\":{\"code\":\"invalid_argument\",\"message\":\"unknown command 'bogus'"));
  CHECK(run({"get", "flow/none", "-o", "json", "--bogus"}) == cli::bad_usage);
  CHECK(err == "{\"error\":{\"code\":\"invalid_argument\",\"message\":\"unknown option '--bogus'\"}}\n");
  CHECK(run({"get", "flow/none"}) == cli::not_found);
  CHECK(err_has("error: there is no flow/none"));
}

TEST_CASE_FIXTURE(cli_fixture,
                  "with -o json nothing but an error stands on stderr, and what to know about it is in it") {
  using lines = std::vector<std::vector<std::string>>;
  head.snapshot = one_flow("drained", 1, 1);
  head.snapshot.add_queues()->set_name("in");
  for (auto args : lines{{"queue", "put", "in", "-"},
                         {"queue", "peek", "in"},
                         {"queue", "dead-letters", "in"},
                         {"queue", "requeue", "in"},
                         {"queue", "purge", "in"},
                         {"list", "nodes"},
                         {"scale", "orders/price", "2"},
                         {"drain", "flow/orders"},
                         {"drain", "flow/orders", "--resume"},
                         {"delete", "flow/orders"},
                         {"rollback", "flow/orders", "--detach"},
                         {"join-token", "create"},
                         {"token", "show"},
                         {"config", "show"}}) {
    args.insert(args.end(), {"-o", "json"});
    CAPTURE(args[0] + " " + args[1]);
    CHECK(run(args, "1\n") == cli::ok);
    CHECK_MESSAGE(err.empty(), err);
  }
  head.snapshot = one_flow("failed", 0, 8);
  auto* host = head.snapshot.add_nodes()->add_hosts();
  head.snapshot.add_queues()->set_name("in");
  host->set_flow("orders");
  host->set_version(8);
  host->mutable_last_crash()->set_reason("killed by SIGSEGV");
  host->mutable_last_crash()->add_log_tail("last words \xff");
  const auto fails = [&](std::vector<std::string> args, const std::string& note,
                         const std::string& input = {}) {
    args.insert(args.end(), {"-o", "json"});
    CHECK(run(args, input) != cli::ok);
    CHECK_MESSAGE(err.starts_with("{\"error\":{\"code\":\""), err);
    CHECK_MESSAGE(err.ends_with("}}\n"), err);
    CHECK_MESSAGE(std::count(err.begin(), err.end(), '\n') == 1, err);
    CHECK_MESSAGE(err_has(note), err);
  };
  fails({"rollback", "flow/orders"},
        R"("note":"host/ on node/: killed by SIGSEGV\n  | last words\nsee `sluice get)");
  fails({"queue", "put", "in", "-"}, R"("note":"1 record is in queue/in, all from before line 2; nothing)",
        "1\nx\n");
  fails({"queue", "requeue", "in", "17"}, "1 of the ids named no dead letter of queue/in");
  fails({"queue", "put"}, "");
  pauses_until_interrupt = 0;
  head.snapshot = one_flow("draining", 1, 1);
  fails({"drain", "flow/orders"}, R"({"code":"cancelled","message":"interrupted; it goes on without you)");
  pauses_until_interrupt = 1;
  head.refuse_first = {failure{errc::unavailable, "it is away"}};
  CHECK(run({"status", "--watch", "-o", "json"}) == cli::interrupted);
  CHECK(err == "{\"error\":{\"code\":\"unavailable\",\"message\":\"it is away\"}}\n");
  CHECK(out.starts_with("{"));
  head.refuse = failure{errc::timeout, "slow"};
  fails({"queue", "requeue", "in"}, R"("note":"the letters may be back, in part or all)");
}

TEST_CASE_FIXTURE(cli_fixture, "commands that change something say in JSON what they asked for") {
  head.snapshot = one_flow("drained", 1, 1);
  for (const auto& args : std::vector<std::vector<std::string>>{{"scale", "orders/price", "2"},
                                                                {"drain", "flow/orders", "--detach"},
                                                                {"delete", "flow/orders", "--detach"}}) {
    auto with = args;
    with.insert(with.end(), {"-o", "json"});
    CHECK(run(with) == cli::ok);
    CHECK(out_has(R"("flow": "orders")"));
    CHECK(run(args) == cli::ok);
    CHECK(out.empty());
  }
}

TEST_CASE_FIXTURE(cli_fixture, "help about a command is its own help") {
  CHECK(run({"help", "submit"}) == cli::ok);
  CHECK(out_has("Usage: sluice submit BINARY"));
  CHECK(run({"help", "queue", "put"}) == cli::ok);
  CHECK(out_has("Usage: sluice queue put"));
  CHECK(run({"help", "sumbit"}) == cli::bad_usage);
  CHECK(err_has("did you mean 'submit'?"));
}
