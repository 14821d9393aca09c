#include "tests/integration/link/link_fixture.hpp"
#include "transport/link/frame_codec.hpp"

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <atomic>
#include <netinet/in.h>
#include <poll.h>
#include <random>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::link::testing {
namespace {

/// A client that speaks in bytes, not in frames.
class raw_client {
public:
  explicit raw_client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    good_ = fd_ >= 0 && ::connect(fd_, reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0;
  }
  ~raw_client() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;

  bool good() const { return good_; }
  void send(std::string_view bytes) {
    static_cast<void>(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }

  /// Reads until the other side closes; false when it does not in time.
  bool closed_by_peer(std::string* got = nullptr, int wait_ms = 30000) {
    char buffer[4096];
    for (;;) {
      pollfd wait{fd_, POLLIN, 0};
      if (::poll(&wait, 1, wait_ms) <= 0)
        return false;
      auto count = ::recv(fd_, buffer, sizeof(buffer), 0);
      if (count <= 0)
        return true;
      if (got)
        got->append(buffer, static_cast<std::size_t>(count));
    }
  }

private:
  int fd_;
  bool good_;
};

std::string frame_bytes(frame_kind kind, std::string body) {
  std::string bytes;
  append_frame(bytes, {kind, 0, 0, 0, std::move(body)});
  return bytes;
}

std::string hello_bytes(std::string name = "node-1", std::uint64_t incarnation_bits = 1) {
  return frame_bytes(hello_kind,
                     encode_hello(make_hello(peer_role::node, std::move(name), incarnation_bits)));
}

/// A good client still gets through, and its frames too.
void still_serves(const io_thread& io, server& head) {
  end_point node{connect(io, head.port(), plain_client("good-node")).value()};
  end_point there{head.links.take().value()};
  REQUIRE(node.send(42));
  CHECK(there.frames->take()->id == 42);
}

/// Waits until no more descriptors are open than before.
bool descriptors_released(std::size_t before) {
  for (int tries = 0; tries < 300; ++tries) {
    if (open_descriptors() <= before)
      return true;
    ::poll(nullptr, 0, 20);
  }
  return false;
}

TEST_CASE("thousands of connections of garbage leave the listener well and hold no descriptor") {
  io_thread io;
  auto options = plain_listener({100ms, 500ms, 6s});
  // A changed byte in a name still makes a hello.
  options.admit = [](const hello& peer) {
    return peer.name == "good-node" ? result<void>{} : fail(errc::permission_denied, "not expected");
  };
  server head{io, options};
  still_serves(io, head);
  auto before = open_descriptors();
  std::mt19937_64 random{99};
  auto good = hello_bytes();
  for (int i = 0; i < 3000; ++i) {
    raw_client client{head.port()};
    REQUIRE(client.good());
    std::string bytes;
    switch (random() % 4) {
    case 0: // noise
      bytes.resize(random() % 3000);
      for (auto& c : bytes)
        c = static_cast<char>(random());
      break;
    case 1: // a hello with one byte changed
      bytes = good;
      bytes[random() % bytes.size()] ^= static_cast<char>(random() % 255 + 1);
      break;
    case 2: // a hello cut off
      bytes = good.substr(0, random() % good.size());
      break;
    default: // another protocol
      bytes = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    }
    client.send(bytes);
    if (i % 16 == 0)
      CHECK(client.closed_by_peer());
  }
  CHECK(descriptors_released(before));
  still_serves(io, head);
}

TEST_CASE("noise after a good hello closes that link only") {
  io_thread io;
  server head{io, plain_listener()};
  std::mt19937_64 random{5};
  for (int i = 0; i < 200; ++i) {
    raw_client client{head.port()};
    std::string bytes = hello_bytes("node-" + std::to_string(i));
    bytes += frame_bytes(frame_kind::notice, "fine");
    for (int n = 0; n < 100; ++n)
      bytes.push_back(static_cast<char>(random() | 0x80)); // as a length, above the cap
    client.send(bytes);
    end_point there{head.links.take().value()};
    CHECK(there.frames->take()->body == "fine");
    CHECK(there.closed->take()->code == errc::corrupt);
    CHECK(client.closed_by_peer());
  }
  still_serves(io, head);
}

TEST_CASE("a frame above the cap closes the link and a large hello is not believed") {
  io_thread io;
  server head{io, plain_listener()};
  raw_client early{head.port()};
  auto promise = encode_header({hello_kind, 0, 0, 0, {}}, limits::hello_size_bytes_max + 1);
  early.send({promise.data(), promise.size()});
  CHECK(early.closed_by_peer());
  CHECK(head.refusals.take()->code == errc::corrupt);

  raw_client late{head.port()};
  promise = encode_header({frame_kind::request, 0, 0, 0, {}}, limits::frame_size_bytes_max + 1);
  late.send(hello_bytes() + std::string{promise.data(), promise.size()});
  end_point there{head.links.take().value()};
  CHECK(there.closed->take()->code == errc::corrupt);
  CHECK(late.closed_by_peer());
}

TEST_CASE("the link's own frames at the wrong time close the link") {
  io_thread io;
  server head{io, plain_listener()};
  for (auto kind : {ping_kind, pong_kind, join_kind, grant_kind, frame_kind::request, goodbye_kind}) {
    raw_client client{head.port()};
    client.send(frame_bytes(kind, "x"));
    CHECK(client.closed_by_peer());
    CHECK(head.refusals.take());
  }
  for (auto kind : {hello_kind, join_kind, grant_kind}) {
    raw_client client{head.port()};
    client.send(hello_bytes());
    end_point there{head.links.take().value()};
    client.send(frame_bytes(kind, "x"));
    CHECK(there.closed->take()->code == errc::corrupt);
    CHECK(client.closed_by_peer());
  }
  CHECK(head.links.count() == 0);
}

TEST_CASE("a stalled handshake is closed at its deadline with its reason") {
  io_thread io;
  server head{io, plain_listener({100ms, 500ms, 6s})};
  raw_client mute{head.port()}, half{head.port()};
  half.send(hello_bytes().substr(0, 30));
  std::string got;
  CHECK(mute.closed_by_peer());
  CHECK(half.closed_by_peer(&got));
  CHECK(head.refusals.take()->code == errc::timeout);
  CHECK(head.refusals.take()->code == errc::timeout);
  CHECK(got.find("hello") != std::string::npos);
}

TEST_CASE("a connector gives a mute server up at its deadline") {
  io_thread io;
  auto options = plain_client();
  options.timing.handshake_deadline = 100ms;
  int listening = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(listening, reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0);
  REQUIRE(::listen(listening, 5) == 0);
  socklen_t size = sizeof(at);
  ::getsockname(listening, reinterpret_cast<sockaddr*>(&at), &size);
  CHECK(connect(io, ntohs(at.sin_port), options).error().code == errc::timeout);
  ::close(listening);
}

TEST_CASE("a peer that vanished without a word is noticed by its silence") {
  io_thread io;
  server head{io, plain_listener({5s, 20ms, 200ms})};
  raw_client client{head.port()};
  client.send(hello_bytes());
  end_point there{head.links.take().value()};
  auto why = there.closed->take(); // it never answers a ping
  REQUIRE(why);
  CHECK(why->code == errc::unavailable);
  CHECK(client.closed_by_peer());
}

TEST_CASE("two quiet peers keep each other") {
  io_thread io, other_io;
  link_timing fast{5s, 10ms, 400ms};
  server head{io, plain_listener(fast)};
  auto options = plain_client();
  options.timing = fast;
  end_point node{connect(other_io, head.port(), options).value()};
  end_point there{head.links.take().value()};
  CHECK_FALSE(there.closed->take(2s));
  CHECK(node.closed->count() == 0);
  REQUIRE(node.send(1));
  CHECK(there.frames->take()->id == 1);
}

TEST_CASE("a peer that talks and does not read is bounded and then cut") {
  io_thread io;
  auto options = plain_listener({5s, 50ms, 1s});
  options.link.window_bytes = 1u << 20;
  server head{io, options};
  raw_client client{head.port()};
  client.send(hello_bytes());
  end_point there{head.links.take().value()};
  std::uint64_t sent = 0;
  while (there.send(sent, std::string(10000, 'x')))
    REQUIRE(++sent < 100000);
  auto talk = frame_bytes(frame_kind::notice, "x") + frame_bytes(ping_kind, "");
  std::optional<failure> why;
  for (int i = 0; i < 2000 && !why; ++i) {
    client.send(talk);
    if (there.closed->count() > 0)
      why = there.closed->take();
    ::poll(nullptr, 0, 10);
  }
  REQUIRE(why);
  CHECK(why->code == errc::unavailable); // by the kernel's user timeout or by our own count
}

TEST_CASE("a flood of silent connections delays nobody who speaks") {
  io_thread io;
  auto options = plain_listener();
  options.handshakes_max = 20;
  server head{io, options};
  auto before = open_descriptors();
  std::vector<std::unique_ptr<raw_client>> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(std::make_unique<raw_client>(head.port()));
    REQUIRE(silent.back()->good());
  }
  REQUIRE(head.refusals.wait_count(180));
  CHECK(open_descriptors() <= before + 200 + 20 + 1);
  CHECK(silent.front()->closed_by_peer());
  still_serves(io, head);
}

TEST_CASE("without descriptors the listener waits, does not spin, and recovers") {
  io_thread io;
  server head{io, plain_listener()};
  still_serves(io, head);
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  auto lower = limit;
  lower.rlim_cur = open_descriptors() + 3;
  ::setrlimit(RLIMIT_NOFILE, &lower);
  std::vector<std::unique_ptr<raw_client>> clients;
  for (int i = 0; i < 8; ++i)
    clients.push_back(std::make_unique<raw_client>(head.port()));
  auto refusal = head.refusals.take();
  REQUIRE(refusal);
  CHECK(refusal->code == errc::exhausted);
  auto seen = head.refusals.count();
  ::poll(nullptr, 0, 500);
  CHECK(head.refusals.count() <= seen + 20); // about two for each pause of 100 ms
  clients.clear();
  ::setrlimit(RLIMIT_NOFILE, &limit);
  still_serves(io, head);
}

} // namespace
} // namespace sluice::link::testing
