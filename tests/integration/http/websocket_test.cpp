#include "tests/integration/http/http_fixture.hpp"
#include "tests/support/websocket_frame.hpp"

#include <sluice/processor/websocket_session.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>

#include <atomic>
#include <thread>

namespace sluice::http::testing {
namespace {

namespace beast = boost::beast;
using sluice::testing::client_frame;

/// What a session heard, as text; and the way to the client.
struct heard {
  handover<std::string> events = {};
  handover<websocket_ptr> opened = {};
};

/// Hands on what happens; echoes messages that start with "echo".
class test_session : public websocket_session {
public:
  explicit test_session(heard& to, bool takes = true) : to_(to), takes_(takes) {}

  void on_open(websocket_ptr way) override {
    way_ = way;
    to_.opened.put(std::move(way));
  }
  void on_message(std::string message, bool is_text) override {
    if (message == "throw")
      throw std::runtime_error{"user code"};
    auto cost = websocket_message_cost(message.size());
    if (message.starts_with("echo"))
      is_text ? way_->send_text(std::move(message)) : way_->send_binary(std::move(message));
    else
      to_.events.put((is_text ? "text " : "binary ") + message);
    if (takes_)
      way_->taken(cost);
  }
  void on_close(std::uint16_t code, std::string_view reason) override {
    to_.events.put("close " + std::to_string(code) + " " + std::string{reason});
    way_.reset();
  }

private:
  heard& to_;
  bool takes_;
  websocket_ptr way_;
};

struct websocket_fixture : http_fixture {
  heard session = {};
  bool takes = true;
  std::shared_ptr<const std::vector<std::string>> origins = {};

  websocket_fixture() {
    handler.on_decide = [this](request& head) {
      return ingress::head_decision{.websocket = head.path != "/plain", .cors_origins = origins};
    };
    handler.on_handle = [this](exchange_ptr call) {
      if (call->in.path == "/full")
        return call->refuse({errc::overloaded, "full"});
      if (call->in.path == "/plain" && !call->upgrade(std::make_shared<test_session>(session)))
        return call->respond({200, {}, "no websocket"});
      call->upgrade(std::make_shared<test_session>(session, takes));
    };
  }
  ~websocket_fixture() { running.reset(); } // before what its sessions write to
};

std::string opening(std::string_view fields = {}) {
  return get("/ws", "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                      + std::string{fields});
}

/// Beast's client: another implementation than ours.
struct beast_client {
  boost::asio::io_context io = {};
  beast::websocket::stream<boost::asio::ip::tcp::socket> stream{io};

  explicit beast_client(std::uint16_t port) {
    stream.next_layer().connect({boost::asio::ip::address_v4::loopback(), port});
    stream.handshake("test", "/ws");
  }
  std::string read() {
    beast::flat_buffer buffer;
    stream.read(buffer);
    return beast::buffers_to_string(buffer.data());
  }
};

} // namespace

TEST_CASE_FIXTURE(websocket_fixture, "messages go both ways, short and long, text and binary") {
  beast_client client{port()};
  for (std::size_t size : {0u, 1u, 125u, 126u, 65535u, 65536u, 1'000'000u}) {
    CAPTURE(size);
    auto message = "echo" + std::string(size, 'x');
    for (bool is_text : {true, false}) {
      client.stream.text(is_text);
      client.stream.write(boost::asio::buffer(message));
      CHECK(client.read() == message);
      CHECK(client.stream.got_text() == is_text);
    }
  }
  client.stream.auto_fragment(true);
  client.stream.write_buffer_bytes(16);
  client.stream.write(boost::asio::buffer(std::string("echo in many parts, each of them short")));
  CHECK(client.read() == "echo in many parts, each of them short");
  client.stream.close({beast::websocket::close_code::normal, "bye"});
  CHECK(session.events.take() == "close 1000 bye");
}

TEST_CASE_FIXTURE(websocket_fixture, "a session sends from any thread, and closes with a code") {
  beast_client client{port()};
  auto way = session.opened.take();
  REQUIRE(way);
  std::thread sending{[&] {
    for (int i = 0; i < 1000; ++i)
      CHECK(way->send_text(std::to_string(i)));
    way->close(4000, "enough");
    CHECK(!way->send_text("too late"));
  }};
  for (int i = 0; i < 1000; ++i)
    CHECK(client.read() == std::to_string(i));
  beast::flat_buffer buffer;
  beast::error_code ec;
  client.stream.read(buffer, ec);
  CHECK(ec == beast::websocket::error::closed);
  CHECK(client.stream.reason().code == 4000);
  CHECK(client.stream.reason().reason == "enough");
  sending.join();
  CHECK(session.events.take() == "close 4000 "); // Beast echoes the code
}

TEST_CASE_FIXTURE(websocket_fixture, "a request that asks for no WebSocket, or wrongly, is told so") {
  auto client = connect();
  auto plain = client.ask(get("/ws"));
  CHECK(plain.status == 426);
  CHECK(plain.field("Upgrade") == "websocket");
  CHECK(plain.field("Sec-WebSocket-Version") == "13");
  CHECK(client
          .ask(get("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
          .status
        == 426);
  CHECK(client
          .ask(get("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: short\r\n"))
          .status
        == 400);
  CHECK(client
          .ask(get("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
          .status
        == 400);
  CHECK(connect()
          .ask("GET /ws HTTP/1.0\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
          .status
        == 426);
  // A route that is no WebSocket's takes no notice.
  CHECK(client
          .ask(get("/plain", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
          .body
        == "no websocket");
  CHECK(client
          .ask(get("/full", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
          .status
        == 503);
  CHECK(session.opened.empty());
}

TEST_CASE_FIXTURE(websocket_fixture, "a page of another site may not open one, unless the route says so") {
  origins = std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"http://friend"});
  CHECK(connect().ask(opening("Origin: http://evil\r\n")).status == 403);
  CHECK(connect().ask(opening("Origin: null\r\n")).status == 403);
  auto same = connect();
  same.send(opening("Origin: http://test\r\n"));
  REQUIRE(same.receive());
  CHECK(same.unread().starts_with("HTTP/1.1 101 "));
  auto listed = connect();
  listed.send(opening("Origin: http://friend\r\n"));
  REQUIRE(listed.receive());
  CHECK(listed.unread().starts_with("HTTP/1.1 101 "));
}

TEST_CASE_FIXTURE(websocket_fixture, "frames that come with the request are not lost") {
  auto client = connect();
  client.send(opening() + client_frame(1, "first") + client_frame(2, "second"));
  CHECK(session.events.take() == "text first");
  CHECK(session.events.take() == "binary second");
}

TEST_CASE_FIXTURE(websocket_fixture, "a breach of the protocol ends it with its code") {
  auto client = connect();
  client.send(opening() + client_frame(1, "fine") + client_frame(3, "not a frame")
              + client_frame(1, "behind"));
  CHECK(session.events.take() == "text fine");
  CHECK(session.events.take().starts_with("close 1002"));
  CHECK(client.closed_by_server());
  CHECK(client.unread().find("\x03\xea") != std::string::npos);
  CHECK(session.events.empty());
  auto large = connect();
  large.send(opening() + std::string{"\x82\xff\0\0\0\0\0\x10\0\x01", 10} + std::string(4, '\0'));
  CHECK(session.events.take().starts_with("close 1009"));
}

TEST_CASE_FIXTURE(websocket_fixture, "pings are answered, and a client that answers none is cut") {
  options.limits.websocket_ping_interval = 100ms;
  auto client = connect();
  client.send(opening() + client_frame(9, "are you there"));
  while (client.unread().find("\x8a\x0d"
                              "are you there")
         == std::string::npos)
    REQUIRE(client.receive());
  // Ours come; the client says nothing.
  CHECK(client.closed_by_server());
  CHECK(client.unread().ends_with(std::string{"\x89\0", 2}));
  CHECK(session.events.take() == "close 1006 ");
}

TEST_CASE_FIXTURE(websocket_fixture, "a client that answers pings stays") {
  options.limits.websocket_ping_interval = 500ms; // a busy machine answers late, too
  auto client = connect();
  client.send(opening());
  for (int pings = 0; pings < 3;) {
    REQUIRE(client.receive());
    for (std::size_t at; (at = client.unread().find(std::string{"\x89\0", 2})) != std::string::npos;
         ++pings) {
      client.unread().erase(0, at + 2);
      client.send(client_frame(10, ""));
    }
  }
  CHECK(session.events.empty());
}

TEST_CASE_FIXTURE(websocket_fixture,
                  "a client that is not read, and so cannot be heard, is not cut for its silence") {
  options.limits.websocket_ping_interval = 20ms;
  takes = false;
  auto client = connect();
  client.send(opening());
  for (int i = 0; i < 5; ++i)
    client.send(client_frame(1, std::string(60'000, 'm')));
  auto way = session.opened.take();
  for (int i = 0; i < 5; ++i)
    CHECK(session.events.take().size() == 60'005);
  client.unread().clear();
  // A ping may be on its way from before; after that there is silence for many intervals.
  client.send(client_frame(10, ""));
  while (client.receive(300)) {
  }
  CHECK(way->send_text("still there"));
  way->taken(5 * websocket_message_cost(60'000));
  CHECK(session.events.empty());
  client.send(client_frame(1, "yes"));
  CHECK(session.events.take() == "text yes");
}

TEST_CASE_FIXTURE(websocket_fixture, "a client that goes without a word is a lost one") {
  auto client = connect();
  client.send(opening() + client_frame(1, "hello"));
  CHECK(session.events.take() == "text hello");
  auto way = session.opened.take();
  client.close();
  CHECK(session.events.take() == "close 1006 ");
  CHECK(!way->send_text("anyone?"));
}

TEST_CASE_FIXTURE(websocket_fixture, "a fast client waits for a slow session") {
  takes = false;
  auto client = connect();
  client.send(opening());
  auto way = session.opened.take();
  REQUIRE(way);
  std::atomic<int> sent = 0;
  constexpr int count = 20000;
  std::string message(1000, 'm');
  std::thread sending{[&] {
    for (int i = 0; i < count; ++i) {
      client.send(client_frame(1, message));
      ++sent;
    }
  }};
  for (int i = 0; i < count; ++i) {
    REQUIRE(session.events.take().size() == 1005);
    // At most the window and a message are ahead of what was taken.
    way->taken(websocket_message_cost(1005));
  }
  sending.join();
}

TEST_CASE_FIXTURE(websocket_fixture, "a session waits for a slow client") {
  auto client = connect(4096);
  client.send(opening());
  auto way = session.opened.take();
  REQUIRE(way);
  // More than the sockets between hold, however they grow: what is left stays in the window.
  constexpr int frames = 600;
  for (int i = 0; i < frames; ++i)
    REQUIRE(way->send_binary(std::string(60'000, 'b')));
  handover<bool> room;
  way->when_writable([&] { room.put(true); });
  CHECK(room.empty());
  std::atomic<bool> stop = false;
  std::thread reading{[&] {
    while (!stop && client.receive(100)) {
    }
  }};
  CHECK(room.take());
  stop = true;
  reading.join();
}

TEST_CASE_FIXTURE(websocket_fixture, "a session that fails or is dropped ends its connection and no other") {
  auto client = connect();
  client.send(opening() + client_frame(1, "throw"));
  while (client.unread().find("\x03\xf3") == std::string::npos)
    REQUIRE(client.receive());
  client.send(client_frame(8, "\x03\xf3"));
  CHECK(client.closed_by_server());
  CHECK(session.events.take().starts_with("close 1011"));
  CHECK(connect().ask(get("/plain")).status == 200);
}

TEST_CASE_FIXTURE(websocket_fixture, "draining says going away") {
  beast_client client{port()};
  REQUIRE(session.opened.take());
  std::thread reading{[&] {
    beast::flat_buffer buffer;
    beast::error_code ec;
    client.stream.read(buffer, ec);
    CHECK(client.stream.reason().code == websocket_code::going_away);
  }};
  CHECK(running->drain(30s));
  reading.join();
  CHECK(session.events.take().starts_with("close 1001"));
}

TEST_CASE_FIXTURE(websocket_fixture, "one that is accepted while the server drains is told to go away, too") {
  handover<exchange_ptr> calls;
  handler.on_handle = [&](exchange_ptr call) { calls.put(std::move(call)); };
  auto client = connect();
  client.send(opening());
  auto call = calls.take();
  REQUIRE(call);
  CHECK(!running->drain(0ms));
  REQUIRE(call->upgrade(std::make_shared<test_session>(session)));
  call.reset();
  while (client.unread().find("\x03\xe9") == std::string::npos)
    REQUIRE(client.receive());
  client.send(client_frame(8, "\x03\xe9"));
  CHECK(client.closed_by_server());
  CHECK(session.events.take().starts_with("close 1001"));
}

} // namespace sluice::http::testing
