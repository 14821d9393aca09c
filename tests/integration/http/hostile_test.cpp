#include "tests/integration/http/http_fixture.hpp"
#include "tests/support/subprocess.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <vector>

namespace sluice::http::testing {

// Goal (S3): what is smuggled behind a request that is refused is never served.
TEST_CASE_FIXTURE(http_fixture, "nothing is served behind a request that is refused") {
  struct row {
    std::string bytes;
    unsigned status;
  };
  std::string smuggled = get("/smuggled");
  auto with = [&](std::string_view fields, std::string_view body) {
    return "POST /outer HTTP/1.1\r\nHost: test\r\n" + std::string{fields} + "\r\n" + std::string{body}
           + smuggled;
  };
  const row rows[] = {
    {with("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400},
    {with("Content-Length: 5\r\nTransfer-Encoding: gzip\r\n", "0\r\n\r\n"), 400},
    {with("Transfer-Encoding: xchunked\r\n", ""), 501},
    {with("Transfer-Encoding: chunked, identity\r\n", ""), 501},
    {with("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 501},
    {with("Transfer-Encoding: gzip\r\n", ""), 501},
    {with("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n"), 400},
    {with("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
    {with("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400},
    {with("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400},
    {with("Content-Length: 0\r\nContent-Length: 0\r\n", ""), 400},
    {with("Content-Length: 0\r\nContent-Length: 44\r\n", ""), 400},
    {with("Content-Length: 0, 0\r\n", ""), 400},
    {with("Content-Length: +0\r\n", ""), 400},
    {with("Host: other\r\n", ""), 400},
    {with("Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n"), 400},
    {with("Transfer-Encoding: chunked\r\n", "0\n\n"), 400},
    {with("Transfer-Encoding: chunked\r\n", "1\r\nab\r\n0\r\n\r\n"), 400},
    {with("Transfer-Encoding: chunked\r\n", "0;" + std::string(20000, 'x') + "\r\n\r\n"), 400},
    {with("X: a\n\n", ""), 400},
    {"POST /outer HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 400},
    {"GET /outer HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + smuggled, 400},
    {"HEAD /outer HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + smuggled, 400},
    {"DELETE /outer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 400},
    {"GET /outer HTTP/1.1\r\n\r\n" + smuggled, 400},
    {"GET /outer HTTP/2.0\r\nHost: a\r\n\r\n" + smuggled, 505},
    {"GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n" + smuggled, 414},
    {get("/outer", "X: " + std::string(17000, 'a') + "\r\n") + smuggled, 431},
    {std::string(3, '\0') + smuggled, 400},
    {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n" + smuggled, 400},
  };
  for (const auto& [bytes, status] : rows) {
    CAPTURE(bytes.substr(0, 120));
    auto at_once = connect();
    auto answer = at_once.ask(bytes, bytes.starts_with("HEAD"));
    CHECK(answer.status == status);
    CHECK(answer.field("Connection") == "close");
    CHECK(at_once.closed_by_server());
    CHECK(at_once.unread().empty());
    // Byte by byte; what is sent after the refusal may not be taken any more.
    if (bytes.size() > 2000)
      continue;
    auto dribbled = connect();
    for (char c : bytes)
      if (!dribbled.send({&c, 1}))
        break;
    CHECK(dribbled.read(bytes.starts_with("HEAD")).status == status);
    CHECK(dribbled.closed_by_server());
  }
  CHECK(handler.handled().empty());
}

TEST_CASE_FIXTURE(http_fixture, "a refusal is JSON that says why") {
  auto answer = connect().ask("GET / HTTP/1.1\r\n\r\n");
  CHECK(answer.field("Content-Type") == "application/json");
  CHECK(answer.body == R"({"error":"the Host is missing"})");
}

TEST_CASE_FIXTURE(http_fixture, "a body on GET is taken where the route allows it") {
  handler.on_decide = [](request&) { return ingress::head_decision{.body_on_any_method = true}; };
  CHECK(connect().ask("GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").body == "GET /a? abc");
}

// Goal (S6): the bound is on what has come, whatever was announced.
TEST_CASE_FIXTURE(http_fixture, "a chunked body without end is refused at its bound") {
  handler.on_decide = [](request&) { return ingress::head_decision{.body_bytes_max = 100'000}; };
  auto client = connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::string chunk = "1000\r\n" + std::string(0x1000, 'x') + "\r\n";
  for (int i = 0; i < 30; ++i)
    if (!client.send(chunk))
      break;
  CHECK(client.read().status == 413);
  CHECK(client.closed_by_server());
  CHECK(handler.handled().empty());
}

TEST_CASE_FIXTURE(http_fixture, "a length above the bound is refused before the body comes") {
  handler.on_decide = [](request&) { return ingress::head_decision{.body_bytes_max = 1000}; };
  auto client = connect();
  CHECK(client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n").status == 413);
  auto huge = connect();
  CHECK(huge.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n").status == 413);
}

TEST_CASE_FIXTURE(http_fixture, "a client that is refused while it sends a long body reads why") {
  handler.on_decide = [](request&) { return ingress::head_decision{.body_bytes_max = 1000}; };
  auto client = connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
  client.send(std::string(2'000'000, 'x')); // all of it, before it reads
  CHECK(client.read().status == 413);
}

// Goal (S4): slowloris. A byte now and then does not put the deadline off.
TEST_CASE_FIXTURE(http_fixture, "a head that does not come in time is 408, however it trickles") {
  options.limits.head_deadline = 200ms;
  auto client = connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n");
  while (client.unread().empty() && client.send("X: a\r\n"))
    client.receive(20);
  CHECK(client.read().status == 408);
  CHECK(client.closed_by_server());
}

TEST_CASE_FIXTURE(http_fixture, "the head of a later request has the same deadline") {
  options.limits.head_deadline = 200ms;
  auto client = connect();
  CHECK(client.ask(get("/")).status == 200);
  client.send("GET / HT");
  CHECK(client.read().status == 408);
}

TEST_CASE_FIXTURE(http_fixture, "a connection that says nothing is closed without an answer") {
  options.limits.head_deadline = 100ms;
  auto client = connect();
  CHECK(client.closed_by_server());
  CHECK(client.unread().empty());
}

TEST_CASE_FIXTURE(http_fixture, "a body below the least rate is 408") {
  options.limits.body_deadline = 100ms;
  options.limits.body_rate_min = 1'000'000;
  auto client = connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
  while (client.unread().empty() && client.send("x"))
    client.receive(20);
  CHECK(client.read().status == 408);
  CHECK(client.closed_by_server());
  CHECK(handler.handled().empty());
}

TEST_CASE_FIXTURE(http_fixture, "an idle connection is closed") {
  options.limits.idle_timeout = 100ms;
  auto client = connect();
  CHECK(client.ask(get("/")).status == 200);
  CHECK(client.closed_by_server());
  CHECK(client.unread().empty());
}

TEST_CASE_FIXTURE(http_fixture, "a client that does not read its answer is cut") {
  options.limits.write_deadline = 100ms;
  options.limits.body_rate_min = 1u << 30;
  handover<exchange_ptr> calls;
  hold(calls);
  auto client = connect(4096);
  client.send(get("/"));
  auto call = calls.take();
  REQUIRE(call);
  handover<bool> gone;
  call->begin({200, {}, std::string(32 << 20, 'x')});
  call->when_cancelled([&] { gone.put(true); });
  CHECK(gone.take());
  CHECK(running->connection_count() == 0);
}

TEST_CASE_FIXTURE(http_fixture,
                  "connections above the bound are turned away, and welcome when there is room") {
  options.limits.connections_max = 2;
  auto one = connect();
  CHECK(one.ask(get("/")).status == 200);
  auto two = connect();
  CHECK(two.ask(get("/")).status == 200);
  auto three = connect();
  CHECK(three.read().status == 503);
  CHECK(three.closed_by_server());
  one.close();
  CHECK(sluice::test::eventually([&] { return running->connection_count() == 1; }));
  CHECK(connect().ask(get("/")).status == 200);
}

namespace {

double cpu_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

/// Lowers the soft bound of this process for as long as it lives.
class fewer_descriptors {
public:
  explicit fewer_descriptors(rlim_t count) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit now{count, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  ~fewer_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
  rlimit before_;
};

} // namespace

// Goal (R7): as many as the budget allows are served, the rest waits, nothing spins, and it recovers.
TEST_CASE_FIXTURE(http_fixture, "short of descriptors the server waits without spinning, and recovers") {
  int lowest = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(lowest);
  handover<std::string> trouble;
  options.on_trouble = [&](std::string_view what) { trouble.put(std::string{what}); };
  options.threads = 1;
  options.descriptors_max = static_cast<std::size_t>(lowest) + 100;
  start();
  std::vector<http_client> clients;
  for (int i = 0; i < 120; ++i) {
    clients.push_back(connect());
    clients.back().send("GET /partial"); // not idle: it keeps its place
  }
  CHECK(trouble.take() == "descriptors run short");
  auto served = running->connection_count();
  auto before = cpu_seconds();
  auto began = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - began < 500ms)
    clients.front().receive(100);
  CHECK(cpu_seconds() - before < 0.2);
  CHECK(running->connection_count() <= served + 64);
  clients.erase(clients.begin(), clients.begin() + 60);
  CHECK(sluice::test::eventually([&] { return connect().ask(get("/"), false).status == 200; }));
}

TEST_CASE_FIXTURE(http_fixture, "out of descriptors one is turned away and the others wait") {
  handover<std::string> trouble;
  options.on_trouble = [&](std::string_view what) { trouble.put(std::string{what}); };
  options.threads = 1;
  options.descriptors_max = 1u << 20; // the budget is not what stops it
  start();
  auto working = connect();
  REQUIRE(working.ask(get("/")).status == 200);
  working.send("GET / HTTP/1.1\r\n"); // idle connections are closed to make room; this one is not
  int free_now = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(free_now);
  {
    fewer_descriptors none{static_cast<rlim_t>(free_now) + 1};
    http_client last{port()}; // takes the last one; the server has none for it
    REQUIRE(last.connected());
    CHECK(trouble.take() == "Too many open files");
    CHECK(last.read().status == 503);
    CHECK(working.ask("Host: a\r\n\r\n").status == 200);
  }
  CHECK(connect().ask(get("/")).status == 200);
}

} // namespace sluice::http::testing
