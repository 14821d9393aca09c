// Goal: the control API, through real gRPC on a unix socket and on TLS, against fake
// actors: what is asked arrives, what is refused says why, and nothing half is kept.
#include "tests/support/fake_control.hpp"
#include "tests/support/subprocess.hpp"
#include "transport/grpc/control_service.hpp"
#include "transport/grpc/log_reader.hpp"
#include "transport/pki/certificate.hpp"
#include "sdk/client/control_client.hpp"
#include "proto/sluice/control/v1/control.grpc.pb.h"

#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <doctest/doctest.h>
#include <grpcpp/create_channel.h>

#include <sys/stat.h>

using namespace sluice;
using namespace sluice::test;
namespace api = sluice::control::v1;

namespace {

constexpr const char* good_token = "the-right-token";

struct control_fixture {
  control_fixture() {
    admission.spec.name = flow_name{"orders"};
    cluster = spawn_fake_cluster(sys, head);
    queues = spawn_fake_queues(sys, head);
    options.socket_path = (dir.path() / "s" / "control.sock").string();
    backend.cluster = cluster;
    backend.queues = queues;
    backend.artifacts = &admission;
    backend.is_token_valid = [](std::string_view token) { return token == good_token; };
    backend.create_join_token = [](std::chrono::seconds ttl) -> result<control::join_token> {
      return control::join_token{"slj1.x", "pin", "127.0.0.1:7410",
                                 std::chrono::system_clock::time_point{ttl}};
    };
    backend.show_token = []() -> result<std::string> { return std::string{good_token}; };
    backend.ca_fingerprint = "the-pin";
    backend.stop = [this](const std::string& why) { stopped_because = why; };
  }

  ~control_fixture() {
    server.reset();
    for (auto& agent : agents)
      caf::anon_send_exit(agent, caf::exit_reason::kill);
    caf::anon_send_exit(cluster, caf::exit_reason::kill);
    caf::anon_send_exit(queues, caf::exit_reason::kill);
    std::lock_guard guard{head->mutex};
    head->agents.clear();
  }

  client::control_client& serve() {
    auto started = control::start_control_server(sys, backend, options);
    REQUIRE_MESSAGE(started, started.error().message);
    server = std::move(*started);
    auto connected = client::connect({.address = "unix:" + options.socket_path, .token = {}, .ca_pin = {}});
    REQUIRE_MESSAGE(connected, connected.error().message);
    client = std::move(*connected);
    return *client;
  }

  void add_tls() {
    auto now = std::chrono::system_clock::now();
    authority = *pki::make_authority("c1", now);
    auto identity = *pki::issue(authority, {"c1", tls_role, "node-1"}, pki::valid_from(now));
    options.tcp_address = "127.0.0.1:0";
    options.certificate_chain = identity.certificate_pem + identity.ca_pem;
    options.private_key = identity.key_pem;
  }

  client::target tcp_target() const {
    return {.address = "127.0.0.1:" + std::to_string(server->tcp_port()),
            .token = good_token,
            .ca_pin = *pki::fingerprint(authority.certificate_pem)};
  }

  api::SubmitHeader header(std::uint64_t size) const {
    api::SubmitHeader to;
    to.set_request_id("r1");
    to.set_file_name("orders");
    to.set_size_bytes(size);
    to.set_sha256(std::string(64, 'a'));
    to.add_args("--fast");
    return to;
  }

  /// Sends `chunks` and ends.
  result<api::SubmitReply> upload(const api::SubmitHeader& with, std::vector<std::string> chunks) {
    std::size_t next = 0;
    return client->submit(with, [&]() -> result<std::string_view> {
      return next < chunks.size() ? std::string_view{chunks[next++]} : std::string_view{};
    });
  }

  void add_node(const char* id, std::vector<fake_log> logs) {
    cluster::node_view node;
    node.info.id = node_id{id};
    auto agent = spawn_fake_agent(sys, head, std::make_shared<std::vector<fake_log>>(std::move(logs)));
    agents.push_back(agent);
    std::lock_guard guard{head->mutex};
    head->view.nodes.push_back(node);
    head->agents[node.info.id] = agent;
  }

  temp_dir dir;
  caf::actor_system_config config;
  caf::actor_system sys{config};
  std::shared_ptr<fake_head_state> head = std::make_shared<fake_head_state>();
  fake_admission admission;
  cluster::handle cluster;
  queue::admin_handle queues;
  std::vector<node::handle> agents;
  control::control_backend backend;
  control::control_server_options options;
  pki::key_pair authority;
  std::string tls_role = "head";
  std::unique_ptr<control::control_server> server;
  std::unique_ptr<client::control_client> client;
  std::string stopped_because;
};

} // namespace

TEST_CASE_FIXTURE(control_fixture, "the socket and its directory are private") {
  serve();
  struct stat entry {};
  REQUIRE(stat(options.socket_path.c_str(), &entry) == 0);
  CHECK((entry.st_mode & 0777) == 0600);
  REQUIRE(stat((dir.path() / "s").c_str(), &entry) == 0);
  CHECK((entry.st_mode & 0777) == 0700);
}

TEST_CASE_FIXTURE(control_fixture, "a socket left by a killed head is replaced, and removed at the end") {
  std::filesystem::create_directories(dir.path() / "s");
  write_file(options.socket_path, "");
  const auto version = serve().version();
  REQUIRE(version);
  CHECK(version->takes_submit_env());
  server.reset();
  CHECK_FALSE(std::filesystem::exists(options.socket_path));
}

TEST_CASE_FIXTURE(control_fixture, "a snapshot joins the cluster and the queues") {
  head->view.cluster_id = "c1";
  head->stats = {{.name = queue_name{"in"}, .depth_count = 3}};
  auto snapshot = serve().snapshot(10);
  REQUIRE(snapshot);
  CHECK(snapshot->cluster_id() == "c1");
  CHECK(snapshot->queues(0).depth_count() == 3);
  CHECK(snapshot->taken_at_unix_ms() > 0);
  CHECK_FALSE(snapshot->sluice_version().empty());
  CHECK(snapshot->problems().empty());
}

TEST_CASE_FIXTURE(control_fixture, "a snapshot says what the head cannot do") {
  head->view.trouble = "no space left";
  head->queue_trouble = "disk full: no space left";
  auto snapshot = serve().snapshot(10);
  REQUIRE(snapshot);
  REQUIRE(snapshot->problems_size() == 2);
  CHECK(snapshot->problems(0) == "the head cannot store its state: no space left");
  CHECK(snapshot->problems(1) == "the queues store nothing: disk full: no space left");
}

TEST_CASE_FIXTURE(control_fixture, "changes reach the cluster as they were asked") {
  auto& api_client = serve();
  api::ScaleRequest scale;
  scale.set_flow("orders");
  scale.set_processor("price");
  scale.set_replicas(4);
  CHECK(api_client.scale(scale));
  api::DrainRequest drain;
  drain.set_flow("orders");
  CHECK(api_client.drain(drain));
  drain.set_node("node-1");
  drain.set_resume(true);
  CHECK(api_client.drain(drain));
  api::RollbackRequest rollback;
  rollback.set_flow("orders");
  rollback.set_to_version(2);
  CHECK(api_client.rollback(rollback)->version() == 8);
  api::DeleteFlowRequest gone;
  gone.set_flow("orders");
  CHECK(api_client.delete_flow(gone));
  CHECK(head->asked
        == std::vector<std::string>{"scale orders/price 4", "drain flow/orders", "resume node/node-1",
                                    "rollback orders 2", "delete orders"});
}

TEST_CASE_FIXTURE(control_fixture, "a drain of nothing is refused") {
  auto done = serve().drain({});
  CHECK(done.error().code == errc::invalid_argument);
}

TEST_CASE_FIXTURE(control_fixture, "every code of the head arrives with its text") {
  auto& api_client = serve();
  for (auto code : {errc::not_found, errc::conflict, errc::stale, errc::exhausted, errc::overloaded,
                    errc::shutting_down, errc::corrupt, errc::internal}) {
    head->refuse = failure{code, "because"};
    auto done = api_client.scale({});
    REQUIRE_FALSE(done);
    CHECK(done.error() == failure{code, "because"});
  }
}

TEST_CASE_FIXTURE(control_fixture, "an actor that does not answer ends the call by its deadline") {
  serve();
  head->silent = true;
  auto impatient = client::connect({.address = "unix:" + options.socket_path,
                                    .token = {},
                                    .ca_pin = {},
                                    .timeout = std::chrono::milliseconds{200}});
  auto done = (*impatient)->snapshot(0);
  REQUIRE_FALSE(done);
  CHECK(done.error().code == errc::timeout);
}

TEST_CASE_FIXTURE(control_fixture, "a binary is stored and submitted") {
  serve();
  auto reply = upload(header(6), {"abc", "def"});
  REQUIRE_MESSAGE(reply, reply.error().message);
  CHECK(reply->flow() == "orders");
  CHECK(reply->version() == 7);
  CHECK(admission.kept == std::map<std::string, std::string>{{std::string(64, 'a'), "abcdef"}});
  CHECK(head->asked == std::vector<std::string>{"submit r1 orders " + std::string(64, 'a')});
  CHECK(head->args == std::vector<std::string>{"--fast"});
  CHECK(head->env.empty());
}

TEST_CASE_FIXTURE(control_fixture,
                  "the variables of a submit reach the program that is asked, and the cluster") {
  serve();
  auto with = header(3);
  (*with.mutable_env())["ADMIN_TOKEN"] = "s3cret";
  REQUIRE(upload(with, {"abc"}));
  const flow_variables expected{{"ADMIN_TOKEN", "s3cret"}};
  CHECK(admission.env == expected);
  CHECK(head->env == expected);
}

TEST_CASE_FIXTURE(control_fixture, "a truncated upload is refused and nothing is kept") {
  serve();
  auto reply = upload(header(7), {"abc", "def"});
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == errc::corrupt);
  CHECK(reply.error().message.find("6 of 7 bytes") != std::string::npos);
  CHECK(admission.kept.empty());
  CHECK(admission.uploads_open == 0);
  CHECK(head->asked.empty());
}

TEST_CASE_FIXTURE(control_fixture, "an upload longer than announced is refused and nothing is kept") {
  serve();
  auto reply = upload(header(5), {"abc", "def"});
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == errc::corrupt);
  CHECK(admission.kept.empty());
}

TEST_CASE_FIXTURE(control_fixture, "a client that cannot read its file leaves nothing behind") {
  serve();
  auto reply =
    client->submit(header(9), []() -> result<std::string_view> { return fail(errc::unavailable, "disk"); });
  REQUIRE_FALSE(reply);
  CHECK(reply.error().message == "disk");
  CHECK(eventually([&] { return admission.uploads_open == 0; }));
  CHECK(admission.kept.empty());
}

TEST_CASE_FIXTURE(control_fixture, "a binary that is no flow is refused with the reason") {
  serve();
  admission.no_flow = failure{errc::invalid_argument, "it does not answer --describe"};
  auto reply = upload(header(3), {"abc"});
  CHECK(reply.error() == *admission.no_flow);
  CHECK(head->asked.empty());
}

TEST_CASE_FIXTURE(control_fixture, "headers that make no sense are refused before a byte is taken") {
  serve();
  auto refused = [&](auto change) {
    auto with = header(3);
    change(with);
    auto reply = upload(with, {"abc"});
    REQUIRE_FALSE(reply);
    CHECK(reply.error().code == errc::invalid_argument);
    CHECK(admission.kept.empty());
  };
  refused([](auto& h) { h.set_sha256("abc"); });
  refused([](auto& h) { h.set_sha256(std::string(64, 'A')); });
  refused([](auto& h) { h.set_sha256("../" + std::string(61, 'a')); });
  refused([](auto& h) { h.set_size_bytes(0); });
  refused([](auto& h) { h.set_size_bytes(limits::artifact_size_bytes_max + 1); });
  refused([](auto& h) { h.set_request_id(""); });
  refused([](auto& h) { h.set_request_id(std::string(257, 'x')); });
  refused([](auto& h) { h.add_args(std::string(70'000, 'x')); });
  refused([](auto& h) { (*h.mutable_env())["A"] = std::string(70'000, 'x'); });
  refused([](auto& h) { (*h.mutable_env())["LD_PRELOAD"] = "/tmp/x.so"; });
}

TEST_CASE_FIXTURE(control_fixture, "records are stored in order and found again") {
  auto& api_client = serve();
  api::QueuePutRequest put;
  put.set_queue("in");
  put.add_payloads("{\"a\":1}");
  put.add_payloads(std::string("\x00\xff", 2));
  put.set_producer("p");
  put.set_producer_seq(4);
  CHECK(api_client.queue_put(put)->count() == 2);
  CHECK(head->asked == std::vector<std::string>{"append in 2 p 4"});
  api::QueuePeekRequest peek;
  peek.set_queue("in");
  peek.set_after_seq(1);
  auto records = api_client.queue_peek(peek);
  REQUIRE(records);
  REQUIRE(records->records_size() == 1);
  CHECK(records->records(0).seq() == 2);
  CHECK(records->records(0).payload() == std::string("\x00\xff", 2));
  peek.set_payload_bytes_max(1);
  CHECK(api_client.queue_peek(peek)->records(0).payload() == std::string("\x00", 1));
}

TEST_CASE_FIXTURE(control_fixture,
                  "a put is told from another of the same number by its records and its queue") {
  auto& api_client = serve();
  using put_of = std::pair<const char*, const char*>;
  for (auto [queue, payload] :
       {put_of{"in", "1"}, put_of{"in", "1"}, put_of{"in", "2"}, put_of{"other", "1"}}) {
    api::QueuePutRequest put;
    put.set_queue(queue);
    put.add_payloads(payload);
    put.set_producer("p");
    put.set_producer_seq(4);
    CHECK(api_client.queue_put(put).has_value());
  }
  REQUIRE(head->fingerprints.size() == 4);
  CHECK(head->fingerprints[0] != 0);
  CHECK(head->fingerprints[0] == head->fingerprints[1]);
  CHECK(head->fingerprints[0] != head->fingerprints[2]);
  CHECK(head->fingerprints[0] != head->fingerprints[3]);
}

TEST_CASE_FIXTURE(control_fixture, "a put with a wrong name, too many or too large records stores nothing") {
  auto& api_client = serve();
  api::QueuePutRequest put;
  put.set_queue("In!");
  put.add_payloads("1");
  CHECK(api_client.queue_put(put).error().code == errc::invalid_argument);
  put.set_queue("in");
  for (std::size_t i = 0; i < limits::block_count_max; ++i)
    put.add_payloads("1");
  CHECK(api_client.queue_put(put).error().code == errc::invalid_argument);
  put.clear_payloads();
  put.add_payloads(std::string(limits::record_size_bytes_max + 1, 'x'));
  CHECK(api_client.queue_put(put).error().code == errc::invalid_argument);
  CHECK(head->stored.empty());
}

TEST_CASE_FIXTURE(control_fixture, "the largest record fits through") {
  auto& api_client = serve();
  api::QueuePutRequest put;
  put.set_queue("in");
  put.add_payloads(std::string(limits::record_size_bytes_max, 'x'));
  CHECK(api_client.queue_put(put));
  CHECK(api_client.queue_peek({})->records(0).payload().size() == limits::record_size_bytes_max);
}

TEST_CASE_FIXTURE(control_fixture, "dead letters are listed, requeued and purged") {
  auto& api_client = serve();
  queue::dead_letter letter;
  letter.id = 9;
  letter.error = "boom \xff";
  letter.payload = "\xff";
  letter.consumer.processor = processor_name{"price"};
  head->letters.push_back(letter);
  auto letters = api_client.queue_dead_letters({});
  REQUIRE(letters);
  CHECK(letters->letters(0).error() == "boom \xef\xbf\xbd");
  CHECK(letters->letters(0).payload() == "\xff");
  CHECK(letters->letters(0).processor() == "price");
  api::QueueRequeueRequest requeue;
  requeue.set_queue("in");
  requeue.add_ids(9);
  CHECK(api_client.queue_requeue(requeue)->count() == 1);
  for (std::uint64_t id = 10; id < 10 + limits::block_count_max; ++id)
    requeue.add_ids(id);
  auto refused = api_client.queue_requeue(requeue);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == errc::invalid_argument);
  CHECK(refused.error().message.find("at most 4096") != std::string::npos);
  api::QueuePurgeRequest purge;
  purge.set_queue("in");
  CHECK(api_client.queue_purge(purge)->count() == 3);
  purge.set_dead_letters(true);
  CHECK(api_client.queue_purge(purge));
  CHECK(head->asked == std::vector<std::string>{"requeue in 1", "purge in records", "purge in dead letters"});
}

TEST_CASE_FIXTURE(control_fixture, "join tokens have a lifetime with a bound") {
  auto& api_client = serve();
  auto made = api_client.create_join_token(std::chrono::seconds{0});
  REQUIRE(made);
  CHECK(made->token() == "slj1.x");
  CHECK(made->expires_at_unix_ms() == 3'600'000);
  CHECK(api_client.create_join_token(std::chrono::hours{24}));
  CHECK(api_client.create_join_token(std::chrono::hours{25}).error().code == errc::invalid_argument);
}

TEST_CASE_FIXTURE(control_fixture, "a stop is passed on") {
  CHECK(serve().stop("by hand"));
  CHECK(stopped_because == "by hand");
}

TEST_CASE_FIXTURE(control_fixture, "logs of a flow come from all its nodes, those of ended hosts too") {
  add_node("node-1", {{{flow_name{"orders"}, host_id{1}, true}, "old\n"},
                      {{flow_name{"other"}, host_id{2}, false}, "no\n"}});
  add_node("node-2", {{{flow_name{"orders"}, host_id{3}, false}, "one\ntwo\nthree\n"}});
  auto& api_client = serve();
  std::map<std::string, std::string> texts;
  auto collect = [&](const api::ReadLogsReply& part) {
    texts[part.host()] += part.text();
    return true;
  };
  api::ReadLogsRequest request;
  request.set_flow("orders");
  CHECK(api_client.read_logs(request, collect));
  CHECK(texts
        == std::map<std::string, std::string>{{"0000000000000001", "old\n"},
                                              {"0000000000000003", "one\ntwo\nthree\n"}});
  texts.clear();
  request.set_host("3");
  request.set_tail_lines(2);
  CHECK(api_client.read_logs(request, collect));
  CHECK(texts == std::map<std::string, std::string>{{"0000000000000003", "two\nthree\n"}});
}

TEST_CASE_FIXTURE(control_fixture, "lines of several hosts of a flow come by time, also the last ones") {
  const flow_name orders{"orders"};
  const std::string day = "2026-01-02T03:04:0";
  add_node("node-1", {{{orders, host_id{9}, true}, day + "1.000Z a\n" + day + "3.000Z c\n"}});
  add_node("node-2",
           {{{orders, host_id{3}, false}, day + "2.000Z b\n" + day + "4.000Z d\n" + day + "5.000Z e\n"}});
  auto& api_client = serve();
  std::string words;
  auto collect = [&](const api::ReadLogsReply& part) {
    for (std::size_t i = 0; (i = part.text().find("Z ", i)) != std::string::npos; ++i)
      words += part.text()[i + 2];
    return true;
  };
  api::ReadLogsRequest request;
  request.set_flow("orders");
  CHECK(api_client.read_logs(request, collect));
  CHECK(words == "abcde");
  words.clear();
  request.set_tail_lines(2);
  CHECK(api_client.read_logs(request, collect));
  CHECK(words == "acde");
}

TEST_CASE_FIXTURE(control_fixture, "the access log of a node is its own") {
  const flow_name access{std::string{node::access_log_flow}};
  add_node("node-1",
           {{{access, host_id{1}, false}, "one\ntwo\n"}, {{flow_name{"f"}, host_id{2}, false}, "no\n"}});
  add_node("node-2", {{{access, host_id{1}, false}, "other\n"}});
  add_node("node-3", {});
  auto& api_client = serve();
  std::vector<api::ReadLogsReply> got;
  auto collect = [&](const api::ReadLogsReply& part) {
    got.push_back(part);
    return true;
  };
  api::ReadLogsRequest request;
  request.set_node("node-1");
  CHECK(api_client.read_logs(request, collect));
  REQUIRE(got.size() == 1);
  CHECK(got[0].text() == "one\ntwo\n");
  CHECK(got[0].node() == "node-1");
  CHECK(got[0].host() == "");
  request.set_node("node-3");
  CHECK(api_client.read_logs(request, collect).error().message.find("access-log") != std::string::npos);
  request.set_node("node-9");
  CHECK(api_client.read_logs(request, collect).error().message.find("there is no node 'node-9'")
        != std::string::npos);
}

TEST_CASE_FIXTURE(control_fixture, "logs of nothing known are not found") {
  add_node("node-1", {});
  auto& api_client = serve();
  auto ignore = [](const api::ReadLogsReply&) { return true; };
  api::ReadLogsRequest request;
  request.set_flow("nothing");
  CHECK(api_client.read_logs(request, ignore).error().code == errc::not_found);
  request.set_host("77");
  CHECK(api_client.read_logs(request, ignore).error().code == errc::not_found);
  request.set_host("no id");
  CHECK(api_client.read_logs(request, ignore).error().code == errc::invalid_argument);
  CHECK(api_client.read_logs({}, ignore).error().code == errc::invalid_argument);
}

TEST_CASE_FIXTURE(control_fixture, "a node that cannot be asked is named and the rest is read") {
  add_node("node-1", {{{flow_name{"orders"}, host_id{1}, false}, "here\n"}});
  cluster::node_view dead;
  dead.info.id = node_id{"node-2"};
  dead.phase = cluster::node_phase::dead;
  node::host_status host;
  host.flow = flow_name{"orders"};
  dead.hosts.push_back(host);
  head->view.nodes.push_back(dead);
  std::vector<std::string> seen;
  api::ReadLogsRequest request;
  request.set_flow("orders");
  CHECK(serve().read_logs(request, [&](const api::ReadLogsReply& part) {
    seen.push_back(part.unreachable().empty() ? part.text() : part.node() + " unreachable");
    return true;
  }));
  CHECK(seen == std::vector<std::string>{"node-2 unreachable", "here\n"});
}

TEST_CASE_FIXTURE(control_fixture, "a tail that cannot be read at first is the tail when it can") {
  bool is_away = false;
  SUBCASE("the node could not be asked") { is_away = true; }
  SUBCASE("a read failed") {}
  add_node("node-1", {{{flow_name{"orders"}, host_id{1}, false}, "one\ntwo\nthree\n", is_away ? 0 : 1}});
  node::host_status host;
  host.flow = flow_name{"orders"};
  head->view.nodes.front().hosts.push_back(host);
  auto away = is_away ? std::exchange(head->agents, {}) : head->agents;
  api::ReadLogsRequest request;
  request.set_flow("orders");
  request.set_tail_lines(1);
  request.set_follow(true);
  std::string seen;
  int pauses_left = 10; // more than there are between two looks at the nodes
  control::log_reader_ports ports;
  ports.write = [&](const api::ReadLogsReply& part) {
    seen += part.unreachable().empty() ? part.text() : "unreachable\n";
    return true;
  };
  ports.pause = [&](std::chrono::milliseconds time) {
    std::lock_guard guard{head->mutex};
    head->agents = away;
    return time.count() == 0 || --pauses_left > 0;
  };
  CHECK(control::read_logs(sys, cluster, request, ports));
  CHECK(seen == "unreachable\nthree\n");
}

TEST_CASE_FIXTURE(control_fixture, "following goes on until the server ends, and that is quick") {
  add_node("node-1", {{{flow_name{"orders"}, host_id{1}, false}, "first\n"}});
  serve();
  api::ReadLogsRequest request;
  request.set_flow("orders");
  request.set_follow(true);
  auto done = client->read_logs(request, [&](const api::ReadLogsReply&) {
    // The stream is open and idle from here on.
    std::thread{[this] { server.reset(); }}.join();
    return true;
  });
  CHECK_FALSE(client->version()); // nobody is there any more
}

TEST_CASE_FIXTURE(control_fixture, "over TLS the right token and fingerprint let in") {
  add_tls();
  serve();
  auto remote = client::connect(tcp_target());
  REQUIRE_MESSAGE(remote, remote.error().message);
  auto version = (*remote)->version();
  CHECK_MESSAGE(version, version.error().message);
  CHECK((*remote)->show_token().error().code == errc::permission_denied);
  auto shown = client->show_token();
  REQUIRE(shown);
  CHECK(shown->token() == good_token);
  CHECK(shown->ca_fingerprint() == "the-pin");
  CHECK(shown->control_address() == tcp_target().address);
}

TEST_CASE_FIXTURE(control_fixture, "over TLS a wrong token is refused") {
  add_tls();
  serve();
  for (auto token : {"wrong", "the-right-token2"}) {
    auto with = tcp_target();
    with.token = token;
    auto done = (*client::connect(with))->version();
    REQUIRE_FALSE(done);
    CHECK(done.error().code == errc::unauthenticated);
    CHECK(done.error().message.find("token") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(control_fixture, "over TLS another cluster's fingerprint is refused") {
  add_tls();
  serve();
  auto with = tcp_target();
  with.ca_pin = std::string(64, 'b');
  auto connected = client::connect(with);
  REQUIRE_FALSE(connected);
  CHECK(connected.error().code == errc::unauthenticated);
}

TEST_CASE_FIXTURE(control_fixture, "a node of the cluster cannot pass for its head") {
  tls_role = "node";
  add_tls();
  serve();
  auto with = tcp_target();
  with.timeout = std::chrono::milliseconds{1500};
  auto connected = client::connect(with);
  REQUIRE(connected);
  CHECK_FALSE((*connected)->version());
}

TEST_CASE_FIXTURE(control_fixture, "plain TCP gets nothing") {
  add_tls();
  serve();
  auto channel = grpc::CreateChannel(tcp_target().address, grpc::InsecureChannelCredentials());
  auto stub = api::Control::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds{500});
  context.AddMetadata("authorization", std::string{"Bearer "} + good_token);
  api::VersionReply reply;
  CHECK_FALSE(stub->Version(&context, {}, &reply).ok());
}

TEST_CASE_FIXTURE(control_fixture, "a port that is taken is named") {
  add_tls();
  serve();
  auto second = options;
  second.socket_path = (dir.path() / "t" / "control.sock").string();
  second.tcp_address = tcp_target().address;
  auto started = control::start_control_server(sys, backend, second);
  REQUIRE_FALSE(started);
  CHECK(started.error().code == errc::conflict);
  CHECK(started.error().message.find(second.tcp_address) != std::string::npos);
}

TEST_CASE_FIXTURE(control_fixture,
                  "TCP without certificate or token, and a socket path too long, do not start") {
  options.tcp_address = "127.0.0.1:0";
  CHECK(control::start_control_server(sys, backend, options).error().code == errc::invalid_argument);
  options.tcp_address.clear();
  options.socket_path = (dir.path() / std::string(120, 'x')).string();
  auto started = control::start_control_server(sys, backend, options);
  CHECK(started.error().code == errc::invalid_argument);
  CHECK(started.error().message.find("--state-dir") != std::string::npos);
}
