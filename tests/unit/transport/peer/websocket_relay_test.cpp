// Goal: a WebSocket behind a link, or two, is as one in the same process: messages in order both ways, held back alike,
// closed with the same code; and whatever breaks in between, both ends learn it.
#include "tests/support/fake_exchange.hpp"
#include "tests/support/fake_websocket.hpp"
#include "transport/link/memory_link.hpp"
#include "transport/peer/request_relay.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace sluice;
using namespace sluice::testing;
using sluice::test::fake_exchange;
using texts = std::vector<std::string>;

namespace {

/// Accepts every request with the next session.
struct accepting final : ingress::target_port {
  std::shared_ptr<fake_session> session = std::make_shared<fake_session>();
  bool accepted = false;
  void submit(exchange_ptr call) override { accepted = call->upgrade(session); }
};

/// One link, or one after the other, with a client at one end and a replica at the other.
struct hop {
  std::shared_ptr<peer::request_caller> caller = std::make_shared<peer::request_caller>();
  std::shared_ptr<peer::request_server> server;
  link::connection_ptr near;
  link::connection_ptr far;

  explicit hop(ingress::target_ptr to, std::shared_ptr<ingress::rooms_port> rooms = {})
    : server(std::make_shared<peer::request_server>([to = std::move(to)](replica_id) { return to; },
                                                    std::move(rooms))) {
    std::tie(near, far) = link::make_memory_link_pair({}, {});
    caller->opened(near);
    server->opened(far);
    start(near, caller);
    start(far, server);
  }

  /// A link and its channels hold each other until it is closed.
  ~hop() { near->close({errc::cancelled, "the test has ended"}); }

  static void start(const link::connection_ptr& link, const std::shared_ptr<peer::side_channel>& channel) {
    link->start({[channel](std::vector<link::frame> frames) {
                   for (auto& each : frames)
                     channel->take(each);
                 },
                 [channel](const failure& why) { channel->closed(why); }});
  }

  ingress::target_ptr target() { return caller->target_for(replica_id{5}); }
};

struct relay {
  std::shared_ptr<accepting> replica = std::make_shared<accepting>();
  std::vector<std::unique_ptr<hop>> hops;
  std::shared_ptr<fake_exchange> call;
  std::shared_ptr<fake_websocket> client = std::make_shared<fake_websocket>();

  explicit relay(int count = 1) {
    ingress::target_ptr to = replica;
    for (int i = 0; i < count; ++i) {
      hops.push_back(std::make_unique<hop>(to));
      to = hops.back()->target();
    }
  }
  ~relay() { replica->session->drop(); }
  hop& first() { return *hops.back(); }

  void ask() {
    call =
      fake_exchange::make(method::get, "/chat", std::chrono::steady_clock::now() + std::chrono::hours{1});
    call->asks_for_upgrade = true;
    first().target()->submit(call);
  }
  void open() {
    ask();
    REQUIRE(call->session);
    call->session->on_open(client);
    REQUIRE(replica->session->take() == texts{"open"});
  }
  websocket& way() { return *replica->session->way(); }
};

} // namespace

TEST_CASE("messages go both ways, over one link and over two") {
  for (int count : {1, 2}) {
    CAPTURE(count);
    relay r{count};
    r.open();
    CHECK(r.call->seen->is_upgraded());
    r.call->session->on_message("hello", true);
    r.call->session->on_message(std::string("\0\xff", 2), false);
    CHECK(r.replica->session->take() == texts{"text hello", std::string("binary \0\xff", 9)});
    CHECK(r.way().send_text("world"));
    CHECK(r.way().send_binary("b"));
    r.way().join("lobby");
    r.way().broadcast({"lobby", "all", true, true});
    r.way().broadcast({"lobby", "most", false, false});
    r.way().leave("lobby");
    CHECK(r.client->take()
          == texts{"text world", "binary b", "join lobby", "cast lobby all", "cast to others lobby most",
                   "leave lobby"});
    r.call->session->on_close(4002, "bye");
    CHECK(r.replica->session->take() == texts{"close 4002 bye"});
    CHECK_FALSE(r.way().send_text("late"));
    // What it has to tell others about the end still goes through.
    r.way().broadcast({"lobby", "gone", true, true});
    CHECK(r.client->take() == texts{"cast lobby gone"});
    CHECK(r.client.use_count() > 1);
    r.replica->session->drop();
    CHECK(r.client.use_count() == 1); // nothing is left of it
    CHECK(r.first().caller->leave_if_unused());
  }
}

TEST_CASE("the replica closes with a code, once, and sends nothing after it") {
  relay r{2};
  r.open();
  r.way().close(4001, "enough");
  r.way().close(4003, "again");
  CHECK_FALSE(r.way().send_text("late"));
  CHECK(r.client->take() == texts{"close 4001 enough"});
  r.call->session->on_close(4001, {});
  CHECK(r.replica->session->take() == texts{"close 4001 "});
}

TEST_CASE("a session that drops its way lets the client go") {
  relay r;
  r.open();
  r.replica->session->drop();
  CHECK(r.client.use_count() == 1); // the server closes the connection when nobody holds its way
}

TEST_CASE("a client that does not read holds the sender back, over two links too") {
  relay r{2};
  r.open();
  r.client->holds = true;
  std::size_t sent = 0;
  while (r.way().waiting_bytes() <= stream_window_bytes) {
    REQUIRE(r.way().send_text(std::string(10'000, 'x')));
    sent += 10'000;
    REQUIRE(sent < 10 * stream_window_bytes);
  }
  int resumed = 0;
  r.way().when_writable([&] { ++resumed; });
  CHECK(resumed == 0);
  r.client->read();
  CHECK(resumed == 1);
  CHECK(r.client->take().size() == sent / 10'000);
}

TEST_CASE("all who wait for a client are told when there is room, or none ever will be") {
  for (bool has_room : {true, false}) {
    CAPTURE(has_room);
    relay r;
    r.open();
    r.client->holds = true;
    while (r.way().waiting_bytes() <= stream_window_bytes)
      REQUIRE(r.way().send_text(std::string(10'000, 'x')));
    int resumed = 0;
    for (int i = 0; i < 3; ++i)
      r.way().when_writable([&] { ++resumed; });
    CHECK(resumed == 0);
    has_room ? r.client->read() : r.first().far->close({errc::unavailable, "crashed"});
    CHECK(resumed == 3);
  }
}

TEST_CASE("what a session has taken reaches the client's end before it would stand still") {
  relay r{2};
  r.open();
  constexpr std::size_t size = 1000;
  std::size_t given = 0;
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(given - r.client->taken_bytes() < stream_window_bytes); // the server would have stopped reading
    r.call->session->on_message(std::string(size, 'm'), true);
    given += size;
    r.way().taken(size);
  }
}

TEST_CASE("a link that breaks tells the client to come again, and the session that its client is lost") {
  for (int broken : {0, 1}) {
    CAPTURE(broken);
    relay r{2};
    r.open();
    r.hops[static_cast<std::size_t>(broken)]->far->close({errc::unavailable, "crashed"});
    CHECK(r.client->take() == texts{"close 1012 the replica has ended"});
    CHECK(r.replica->session->take() == texts{"close 1006 "});
    CHECK_FALSE(r.way().send_text("anyone?"));
    int resumed = 0;
    r.way().when_writable([&] { ++resumed; });
    CHECK(resumed == 1);
    r.call->session->on_close(websocket_code::restart, {});
    CHECK(r.replica->session->take().empty()); // once
  }
}

TEST_CASE("a client that goes before it is open is no connection at all") {
  relay r;
  r.ask();
  REQUIRE(r.call->session);
  r.call->session.reset(); // the server drops it: nothing of it has begun
  CHECK(r.replica->session->take().empty());
  CHECK(r.replica->session.use_count() == 1);
  CHECK(r.first().caller->leave_if_unused());

  relay refused; // and one that the server does not upgrade
  refused.call =
    fake_exchange::make(method::get, "/", std::chrono::steady_clock::now() + std::chrono::hours{1});
  refused.first().target()->submit(refused.call);
  CHECK(refused.replica->accepted);
  CHECK(refused.replica->session->take().empty());
  CHECK(refused.replica->session.use_count() == 1);
  CHECK(refused.first().caller->leave_if_unused());
}

TEST_CASE("a link that breaks before it is open leaves nothing") {
  relay r;
  r.ask();
  r.first().near->close({errc::unavailable, "crashed"});
  CHECK(r.replica->session.use_count() == 1);
  r.call->session->on_open(r.client);
  CHECK(r.client->take() == texts{"close 1012 the replica has ended"});
}

namespace {

struct noting_rooms final : ingress::rooms_port {
  std::vector<ingress::room_message> got;
  void deliver(ingress::room_message what) override { got.push_back(std::move(what)); }
  void note_lost(const flow_name&, const processor_name&) override {}
};

} // namespace

TEST_CASE("a message of a room arrives at a node as it was, and never at a host") {
  auto rooms = std::make_shared<noting_rooms>();
  hop nodes{nullptr, rooms};
  nodes.caller->send_room_message(
    peer::encode({flow_name{"f"}, processor_name{"p"}, "lobby", std::string("a\0b", 3), false}));
  REQUIRE(rooms->got.size() == 1);
  CHECK(rooms->got[0].flow == flow_name{"f"});
  CHECK(rooms->got[0].processor == processor_name{"p"});
  CHECK(rooms->got[0].room == "lobby");
  CHECK(rooms->got[0].payload == std::string("a\0b", 3));
  CHECK_FALSE(rooms->got[0].is_text);
  CHECK_FALSE(peer::decode_room_message("\xff\xff\xff\xff junk"));
  link::frame in{link::frame_kind::notice, 67, peer::side_channel_id, 0, {}};
  CHECK_FALSE(peer::request_server{[](replica_id) { return nullptr; }}.take(in));
}

TEST_CASE("mutated frames break nothing but their own connection") {
  for (unsigned seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    relay r;
    r.open();
    for (int i = 0; i < 50; ++i) {
      link::frame in;
      in.kind = static_cast<link::frame_kind>(1 + random() % 4);
      in.method = static_cast<std::uint16_t>(50 + random() % 20);
      in.id = peer::side_channel_id | (random() % 3);
      in.body =
        peer::encode({flow_name{"f"}, processor_name{"p"}, "lobby", "text", true}).substr(random() % 8);
      for (auto flips = random() % 4; flips > 0 && !in.body.empty(); --flips)
        in.body[random() % in.body.size()] = static_cast<char>(random());
      std::vector<link::frame> frames;
      frames.push_back(std::move(in));
      auto& to = random() % 2 == 0 ? r.first().near : r.first().far;
      static_cast<void>(to->send(std::move(frames)));
    }
    // Another connection over the same link is none the worse, unless it was hit itself.
    relay other;
    other.open();
    CHECK(other.way().send_text("fine"));
    r.replica->session->drop();
  }
}
