// Goal: a request goes over a link to a replica and its answer comes back whole; what is refused, lost,
// streamed or cancelled is the same on both sides.
#include "tests/support/fake_exchange.hpp"
#include "transport/link/memory_link.hpp"
#include "transport/peer/request_relay.hpp"

#include <sluice/core/limits.hpp>
#include <sluice/processor/stream_answer.hpp>

#include <doctest/doctest.h>

#include <map>

using namespace sluice;
using namespace std::chrono_literals;

namespace {

/// Keeps what it is given until the test answers.
struct keeper final : ingress::target_port {
  std::vector<exchange_ptr> calls;
  void submit(exchange_ptr call) override { calls.push_back(std::move(call)); }
};

/// Gives all frames to a side channel, as a peer does.
link::receiver receiver_for(const std::shared_ptr<peer::side_channel>& channel) {
  link::receiver out;
  out.on_frames = [channel](std::vector<link::frame> frames) {
    for (auto& each : frames)
      CHECK(channel->take(each));
  };
  out.on_closed = [channel](const failure& why) { channel->closed(why); };
  return out;
}

struct relay {
  std::shared_ptr<keeper> replica = std::make_shared<keeper>();
  std::shared_ptr<peer::request_caller> caller = std::make_shared<peer::request_caller>();
  std::shared_ptr<peer::request_server> server = std::make_shared<peer::request_server>(
    [this](replica_id id) -> ingress::target_ptr { return id == replica_id{5} ? replica : nullptr; });
  link::connection_ptr near;
  link::connection_ptr far;

  relay() { connect(); }
  /// A link and its channels hold each other until it is closed.
  ~relay() { near->close({errc::cancelled, "the test has ended"}); }

  void connect() {
    link::hello node;
    node.role = link::peer_role::node;
    link::hello host;
    host.role = link::peer_role::host;
    std::tie(near, far) = link::make_memory_link_pair(node, host);
    caller->opened(near);
    server->opened(far);
    near->start(receiver_for(caller));
    far->start(receiver_for(server));
  }

  std::shared_ptr<test::fake_answer> send(request in, std::uint64_t replica_id = 5) {
    auto call = std::make_shared<test::fake_exchange>(std::move(in), std::chrono::steady_clock::now() + 1h);
    auto log = call->seen;
    last = call;
    caller->target_for(sluice::replica_id{replica_id})->submit(std::move(call));
    return log;
  }

  std::weak_ptr<test::fake_exchange> last;
};

request sample() {
  request in;
  in.method = method::put;
  in.path = "/orders/a%20b";
  in.query = "x=1&y=%20";
  in.headers.add("Content-Type", "application/json");
  in.headers.add("X-Two", "1");
  in.headers.add("x-two", "2");
  in.body = std::string("{\"a\":\0}", 7);
  in.client = "10.0.0.7:1234";
  in.id = "r-1";
  in.params = {{"id", "a b"}};
  return in;
}

} // namespace

TEST_CASE("a request arrives as it was, and its answer too") {
  relay r;
  auto log = r.send(sample());
  REQUIRE(r.replica->calls.size() == 1);
  const auto& got = r.replica->calls[0]->in;
  CHECK(got.method == method::put);
  CHECK(got.path == "/orders/a%20b");
  CHECK(got.query == "x=1&y=%20");
  CHECK(got.headers == sample().headers);
  CHECK(got.body == sample().body);
  CHECK(got.client == "10.0.0.7:1234");
  CHECK(got.id == "r-1");
  CHECK(got.param("id") == "a b");
  CHECK(r.replica->calls[0]->deadline > std::chrono::steady_clock::now() + 59min);

  r.replica->calls[0]->respond({201, {{"X-A", "b"}}, std::string("\0z", 2)});
  auto answer = log->answer();
  REQUIRE(answer);
  CHECK(answer->status == 201);
  CHECK(answer->headers.find("x-a") == "b");
  CHECK(answer->body == std::string("\0z", 2));
  CHECK(log->ends() == 1);
}

TEST_CASE("that user code is done with a request is told if it was asked for, and not after the answer") {
  relay r;
  auto quiet = r.send(sample());
  r.replica->calls[0]->handed_to_sink();
  CHECK(quiet->sink_notices() == 0);

  auto call = std::make_shared<test::fake_exchange>(sample(), std::chrono::steady_clock::now() + 1h);
  call->wants_sink_notice = true;
  auto log = call->seen;
  r.caller->target_for(replica_id{5})->submit(std::move(call));
  REQUIRE(r.replica->calls.size() == 2);
  r.replica->calls[1]->handed_to_sink();
  CHECK(log->sink_notices() == 1);
  CHECK(log->ends() == 0);
  r.replica->calls[1]->respond({200, {}, "stored"});
  r.replica->calls[1]->handed_to_sink();
  CHECK(log->sink_notices() == 1);
  CHECK(log->body() == "stored");
}

TEST_CASE("what a collector made for a queue comes to the end that has the client, once") {
  relay r;
  auto log = r.send(sample());
  queue_results made{queue_name{"orders"}, {}, "key-1", 0xfedc'ba98'7654'3210};
  record_block_builder records;
  records.add("one");
  records.add(std::string("\0z", 2));
  made.records = records.finish();
  r.replica->calls[0]->collect(made);
  const auto got = log->collected();
  REQUIRE(got);
  CHECK(got->queue == made.queue);
  CHECK(got->records.bytes() == made.records.bytes());
  CHECK(got->records.count() == 2);
  CHECK(got->key == "key-1");
  CHECK(got->fingerprint == made.fingerprint);
  r.replica->calls[0]->collect(made);
  r.replica->calls[0]->respond({500, {}, "late"});
  r.replica->calls.clear(); // says nothing of a lost request
  CHECK(log->ends() == 1);
  CHECK_FALSE(log->answer());
}

TEST_CASE("more results than a frame holds are an error that says so") {
  relay r;
  auto log = r.send(sample());
  queue_results made{queue_name{"orders"}, {}, {}, 0};
  record_block_builder records;
  records.add(std::string(limits::frame_size_bytes_max + 1, 'x'));
  made.records = records.finish();
  r.replica->calls[0]->collect(std::move(made));
  CHECK(log->status() == 500);
  CHECK(log->body().find(R"("success":false,"error":"the results have )") != std::string::npos);
  CHECK_FALSE(log->collected());
}

TEST_CASE("what comes after the end of an exchange is ignored") {
  relay r;
  auto log = r.send(sample());
  auto call = r.replica->calls[0];
  call->respond({200, {}, "one"});
  call->respond({200, {}, "two"});
  call->refuse({errc::overloaded, "full"});
  call->finish();
  r.replica->calls.clear();
  call.reset();
  CHECK(log->body() == "one");
  CHECK(log->ends() == 1);
}

TEST_CASE("a refusal says why, and that user code has not begun") {
  relay r;
  auto log = r.send(sample());
  r.replica->calls[0]->refuse({errc::overloaded, "the replica is full"});
  CHECK(log->refusal() == failure{errc::overloaded, "the replica is full"});

  auto other = r.send(sample(), 6);
  REQUIRE(other->refused());
  CHECK(other->refused() == errc::unavailable);
}

TEST_CASE("an exchange that is dropped over there is dropped here") {
  relay r;
  auto log = r.send(sample());
  r.replica->calls.clear();
  CHECK(log->is_cut());
  CHECK(r.last.expired());
}

TEST_CASE("a link that breaks drops what is under way and cancels it over there") {
  relay r;
  auto log = r.send(sample());
  auto there = r.replica->calls[0];
  int cancelled = 0;
  there->when_cancelled([&] { ++cancelled; });
  r.far->close({errc::unavailable, "crashed"});
  CHECK(log->is_cut());
  CHECK(cancelled == 1);
  there->when_cancelled([&] { ++cancelled; }); // told at once from now on
  CHECK(cancelled == 2);

  auto later = r.send(sample());
  REQUIRE(later->refused());
  CHECK(later->refused() == errc::unavailable);
  CHECK_FALSE(r.caller->is_open());
}

TEST_CASE("a client that goes cancels its request over there") {
  relay r;
  auto log = r.send(sample());
  int cancelled = 0;
  r.replica->calls[0]->when_cancelled([&] { ++cancelled; });
  r.last.lock()->cancel();
  CHECK(cancelled == 1);
  // Who only sends no more still gets what comes.
  r.replica->calls[0]->respond({200, {}, "late"});
  CHECK(log->body() == "late");
}

TEST_CASE("a client that goes ends a stream on both sides") {
  relay r;
  auto log = r.send(sample());
  auto there = r.replica->calls[0];
  there->begin({200, {}, "a"});
  r.last.lock()->cancel();
  CHECK(log->is_cut());
  CHECK_FALSE(there->write("b"));
}

TEST_CASE("a streamed answer arrives part by part, in order") {
  relay r;
  auto log = r.send(sample());
  auto there = r.replica->calls[0];
  there->begin({200, {{"Content-Type", "text/event-stream"}}, "a"});
  CHECK(there->is_streaming);
  CHECK(there->write("b"));
  CHECK(there->write("c"));
  there->finish();
  CHECK(log->answer()->headers.find("content-type") == "text/event-stream");
  CHECK(log->streamed() == "abc");
  CHECK(log->is_finished());
  CHECK_FALSE(there->write("d"));
}

TEST_CASE("what user code streams arrives, however short it is") {
  for (int values : {0, 1, 3}) {
    CAPTURE(values);
    relay r;
    auto log = r.send(sample());
    auto there = r.replica->calls[0];
    processor::stream_writer out{*there};
    for (int i = 0; i < values; ++i)
      CHECK(out.write(i));
    out.finish();
    CHECK(log->status() == 200);
    CHECK(log->streamed() == std::string{"0\n1\n2\n"}.substr(0, static_cast<std::size_t>(2 * values)));
    CHECK(log->is_finished());
  }
}

TEST_CASE("an answer that no frame can hold is an error that says so") {
  relay r;
  auto log = r.send(sample());
  r.replica->calls[0]->respond({200, {}, std::string(limits::frame_size_bytes_max + 1, 'x')});
  CHECK(log->status() == 500);
  CHECK(log->body().find("stream it") != std::string::npos);
}

TEST_CASE("a client that reads nothing holds the writer back") {
  relay r;
  auto log = r.send(sample());
  r.last.lock()->holds = true;
  auto there = r.replica->calls[0];
  there->begin({200, {}, {}});
  std::size_t written = 0;
  while (there->waiting_bytes() <= stream_window_bytes) {
    REQUIRE(there->write(std::string(10000, 'x')));
    written += 10000;
    REQUIRE(written < 10 * stream_window_bytes);
  }
  int resumed = 0;
  there->when_writable([&] { ++resumed; });
  CHECK(resumed == 0);
  r.last.lock()->take();
  CHECK(resumed == 1);
  CHECK(there->waiting_bytes() <= stream_window_bytes / 2);
  there->finish();
  CHECK(log->streamed().size() == written);
}

TEST_CASE("a stream whose client went tells its writer") {
  relay r;
  auto log = r.send(sample());
  auto there = r.replica->calls[0];
  there->begin({200, {}, {}});
  r.last.lock()->cancel();
  CHECK_FALSE(there->write("x"));
  CHECK(log->is_cut());
}

TEST_CASE("a stream that is dropped ends without a finish") {
  relay r;
  auto log = r.send(sample());
  r.replica->calls[0]->begin({200, {}, "a"});
  r.replica->calls.clear();
  CHECK_FALSE(log->is_finished());
  CHECK(log->is_cut());
}

TEST_CASE("bytes that are no request are answered as such") {
  relay r;
  bool answered = false;
  link::receiver raw;
  raw.on_frames = [&](std::vector<link::frame> frames) {
    for (const auto& each : frames)
      answered = answered || each.kind == link::frame_kind::reply;
  };
  raw.on_closed = [](const failure&) {};
  auto [mine, theirs] = link::make_memory_link_pair({}, {});
  auto server = std::make_shared<peer::request_server>([](replica_id) { return nullptr; });
  server->opened(theirs);
  theirs->start(receiver_for(server));
  mine->start(raw);
  std::vector<link::frame> junk(1);
  junk[0] = {link::frame_kind::request, 50, peer::side_channel_id | 1, 0, "\xff\xff\xff\xff junk"};
  REQUIRE(mine->send(std::move(junk)));
  CHECK(answered);
}
