#include "tests/integration/link/link_fixture.hpp"
#include "transport/pki/token.hpp"

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <atomic>
#include <netinet/in.h>
#include <poll.h>
#include <random>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::link::testing {
namespace {

using pki::wall_time;

wall_time today() { return std::chrono::system_clock::now(); }

const pki::key_pair& authority() {
  static const auto made = pki::make_authority("c1", today()).value();
  return made;
}

std::shared_ptr<tls_credentials> credentials(const pki::subject& who,
                                             pki::validity when = pki::valid_from(today()),
                                             const pki::key_pair& by = authority()) {
  return tls_credentials::make(pki::issue(by, who, when).value()).value();
}

listener_options tls_listener() {
  auto options = plain_listener();
  options.link.tls = credentials({"c1", "head", "head"});
  return options;
}

link_options tls_client(std::shared_ptr<tls_credentials> tls, std::string name = "node-1") {
  auto options = plain_client(std::move(name));
  options.tls = std::move(tls);
  return options;
}

link_options good_client() { return tls_client(credentials({"c1", "node", "node-1"})); }

/// Listens and passes everything on, changing some bytes from the client's side.
class meddler {
public:
  meddler(std::uint16_t to, std::size_t change_at) {
    listening_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    REQUIRE(::bind(listening_, reinterpret_cast<sockaddr*>(&at), size) == 0);
    REQUIRE(::listen(listening_, 1) == 0);
    ::getsockname(listening_, reinterpret_cast<sockaddr*>(&at), &size);
    port = ntohs(at.sin_port);
    thread_ = std::thread{[this, to, change_at] { run(to, change_at); }};
  }
  ~meddler() {
    thread_.join();
    ::close(listening_);
  }
  std::uint16_t port = 0;

private:
  void run(std::uint16_t to, std::size_t change_at) {
    int client = ::accept(listening_, nullptr, nullptr);
    int server = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(to);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    static_cast<void>(::connect(server, reinterpret_cast<sockaddr*>(&at), sizeof(at)));
    std::size_t passed = 0;
    char buffer[4096];
    for (bool open = true; open;) {
      pollfd wait[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
      if (::poll(wait, 2, 30000) <= 0)
        break;
      for (int i = 0; i < 2 && open; ++i) {
        if (!(wait[i].revents & (POLLIN | POLLHUP | POLLERR)))
          continue;
        auto count = ::recv(wait[i].fd, buffer, sizeof(buffer), 0);
        if (count <= 0) {
          open = false;
          break;
        }
        auto size = static_cast<std::size_t>(count);
        if (i == 0) {
          if (change_at >= passed && change_at < passed + size)
            buffer[change_at - passed] ^= 0x10;
          passed += size;
        }
        static_cast<void>(::send(i == 0 ? server : client, buffer, size, MSG_NOSIGNAL));
      }
    }
    ::close(client);
    ::close(server);
  }

  int listening_;
  std::thread thread_;
};

TEST_CASE("one thread's links send what came on each other, in cipher") {
  io_thread here;
  io_thread yonder{false};
  server middle{here, tls_listener()};
  auto first = connect(yonder, middle.port(), good_client()).value();
  auto second =
    connect(yonder, middle.port(), tls_client(credentials({"c1", "node", "node-2"}), "node-2")).value();
  check_forwarding(middle, first, second);
}

TEST_CASE("frames cross TLS in order, short and long, both ways") {
  io_thread io;
  server head{io, tls_listener()};
  end_point node{connect(io, head.port(), good_client()).value()};
  end_point there{head.links.take().value()};
  const std::vector<std::size_t> sizes{0, 1, 16384, 5000, 300000, 7, 3u << 20, 3};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    REQUIRE(node.send(i, std::string(sizes[i], static_cast<char>('a' + i))));
    REQUIRE(there.send(i, std::string(sizes[i], static_cast<char>('A' + i))));
  }
  for (auto* at : {&there, &node})
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      auto got = at->frames->take();
      REQUIRE(got);
      CHECK(got->id == i);
      CHECK(got->body == std::string(sizes[i], static_cast<char>((at == &there ? 'a' : 'A') + i)));
    }
  node.link->close({errc::shutting_down, "going home"});
  CHECK(there.closed->take() == failure{errc::shutting_down, "going home"});
}

TEST_CASE("certificates that do not fit are refused by whoever sees them first, in words") {
  io_thread io;
  server head{io, tls_listener()};
  auto stranger = pki::make_authority("c1", today()).value();
  auto day = std::chrono::hours{24};
  auto refused = [&](const link_options& options, const char* word_here, const char* word_there) {
    auto made = connect(io, head.port(), options);
    if (made) { // the server may find out only after the client is content
      end_point node{*made};
      auto closed = node.closed->take();
      REQUIRE(closed);
      made = tl::unexpected{*closed};
    }
    CHECK_MESSAGE(made.error().message.find(word_here) != std::string::npos, made.error().message);
    auto there = head.refusals.take();
    REQUIRE(there);
    CHECK_MESSAGE(there->message.find(word_there) != std::string::npos, there->message);
    CHECK(head.links.count() == 0);
  };
  SUBCASE("expired") {
    refused(tls_client(credentials({"c1", "node", "node-1"}, {today() - 2 * day, today() - day})), "expired",
            "expired");
  }
  SUBCASE("not yet valid") {
    refused(tls_client(credentials({"c1", "node", "node-1"}, {today() + day, today() + 2 * day})),
            "certificate", "not yet valid");
  }
  SUBCASE("another authority") {
    refused(tls_client(credentials({"c1", "node", "node-1"}, pki::valid_from(today()), stranger)),
            "certificate", "TLS");
  }
  SUBCASE("another node's") {
    refused(tls_client(credentials({"c1", "node", "node-2"})), "node-2", "node-2");
  }
  SUBCASE("a node's, used as the head's") {
    auto options = tls_client(credentials({"c1", "node", "node-1"}));
    options.self.role = peer_role::head;
    refused(options, "certificate is for", "certificate is for");
  }
  SUBCASE("another cluster's, same authority") {
    refused(tls_client(credentials({"c2", "node", "node-1"})), "c2", "c2");
  }
  CHECK(connect(io, head.port(), good_client()));
}

TEST_CASE("a client does not believe a node that plays the head") {
  io_thread io;
  auto options = tls_listener();
  options.link.tls = credentials({"c1", "node", "node-6"});
  server impostor{io, options};
  auto made = connect(io, impostor.port(), good_client());
  REQUIRE_FALSE(made);
  CHECK(made.error().code == errc::permission_denied);
}

TEST_CASE("a plain client at a TLS port and a TLS client at a plain port are both turned away") {
  io_thread io;
  server tls{io, tls_listener()};
  server plain{io, plain_listener()};
  CHECK_FALSE(connect(io, tls.port(), plain_client()));
  CHECK(tls.refusals.take());
  CHECK_FALSE(connect(io, plain.port(), good_client()));
  CHECK(plain.refusals.take());
}

TEST_CASE("without a certificate nobody gets past the handshake") {
  io_thread io;
  server head{io, tls_listener()};
  inbox<result<join_grant>> answer;
  join_target target{"127.0.0.1", head.port(), pki::fingerprint(authority().certificate_pem).value()};
  request_join(io, target, {"token", "node-1", "csr"},
               [&](result<join_grant> got) { answer.put(std::move(got)); });
  auto got = answer.take();
  REQUIRE(got);
  CHECK(got->error().code == errc::unauthenticated);
  CHECK(head.refusals.take()->message.find("no certificate") != std::string::npos);
}

struct joining_head {
  pki::join_token_store& tokens;
  std::atomic<int> asked{0};

  listener_options options() {
    auto made = tls_listener();
    made.on_join = [this](const join_request& request, const auto& reply) {
      ++asked;
      auto key = pki::request_key_fingerprint(request.request_pem);
      if (!key)
        return reply(fail(key));
      if (auto used = tokens.redeem(request.token, *key, today()); !used)
        return reply(fail(used));
      auto certificate = pki::sign_request(authority(), request.request_pem, {"c1", "node", request.name},
                                           pki::valid_from(today()));
      if (!certificate)
        return reply(fail(certificate));
      reply(join_grant{"c1", request.name, *certificate, authority().certificate_pem});
    };
    return made;
  }
};

TEST_CASE("a worker joins with a token, gets a certificate and links with it") {
  auto folder = std::string{"/tmp/sluice-join-XXXXXX"};
  REQUIRE(::mkdtemp(folder.data()));
  auto tokens = pki::join_token_store::open(folder + "/tokens").value();
  io_thread io;
  joining_head joins{*tokens};
  server head{io, joins.options()};
  auto pin = pki::fingerprint(authority().certificate_pem).value();
  auto token = pki::parse_join_token(pki::to_string(tokens->create(pin, today()).value())).value();
  auto key = pki::make_key().value();
  auto ask = [&](const join_target& target, join_request request) {
    inbox<result<join_grant>> answer;
    request_join(io, target, std::move(request), [&](result<join_grant> got) { answer.put(std::move(got)); });
    return answer.take().value();
  };
  join_target target{"127.0.0.1", head.port(), token.ca_fingerprint};
  auto csr = pki::make_request(key, "node-5").value();
  SUBCASE("and again when the answer was lost") {
    for (int i = 0; i < 2; ++i) {
      auto grant = ask(target, {token.secret, "node-5", csr});
      REQUIRE(grant);
      CHECK(grant->cluster_id == "c1");
      auto tls = tls_credentials::make({key, grant->certificate_pem, grant->ca_pem});
      REQUIRE(tls);
      end_point node{connect(io, head.port(), tls_client(*tls, "node-5")).value()};
      CHECK(head.links.take().value()->peer().name == "node-5");
    }
    auto other = pki::make_request(pki::make_key().value(), "node-5").value();
    CHECK(ask(target, {token.secret, "node-5", other}).error().code == errc::unauthenticated);
  }
  SUBCASE("but not with a wrong token") {
    auto refused = ask(target, {std::string(64, '0'), "node-5", csr});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::unauthenticated);
    CHECK(refused.error().message.find("token") != std::string::npos);
  }
  SUBCASE("and tells its token to nobody but the pinned authority's head") {
    auto wrong_pin = target;
    wrong_pin.ca_fingerprint = std::string(64, 'a');
    CHECK(ask(wrong_pin, {token.secret, "node-5", csr}).error().code == errc::unauthenticated);
    joining_head fake_joins{*tokens};
    auto options = fake_joins.options();
    options.link.tls = credentials({"c1", "node", "node-6"});
    server impostor{io, options};
    target.port = impostor.port();
    auto refused = ask(target, {token.secret, "node-5", csr});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::unauthenticated);
    CHECK(refused.error().message.find("not a head's") != std::string::npos);
    CHECK(fake_joins.asked == 0);
    CHECK(joins.asked == 0);
  }
  std::filesystem::remove_all(folder);
}

TEST_CASE("a renewed certificate serves new links and keeps the old ones") {
  io_thread io;
  auto options = tls_listener();
  auto tls = options.link.tls;
  server head{io, options};
  end_point old_link{connect(io, head.port(), good_client()).value()};
  end_point old_there{head.links.take().value()};
  REQUIRE(tls->update(pki::issue(authority(), {"c1", "head", "head"}, pki::valid_from(today())).value()));
  end_point new_link{
    connect(io, head.port(), tls_client(credentials({"c1", "node", "node-2"}), "node-2")).value()};
  REQUIRE(old_link.send(1));
  CHECK(old_there.frames->take()->id == 1);
  auto stranger = pki::make_authority("c1", today()).value();
  auto mixed = pki::issue(stranger, {"c1", "head", "head"}, pki::valid_from(today())).value();
  mixed.ca_pem = authority().certificate_pem;
  CHECK(tls->update(mixed).error().code == errc::invalid_argument);
  CHECK(tls->update({"", "", ""}).error().code == errc::invalid_argument);
  CHECK(connect(io, head.port(), tls_client(credentials({"c1", "node", "node-3"}), "node-3")));
}

TEST_CASE("a byte changed on the way closes the link and never arrives") {
  io_thread io;
  link_timing fast{2s, 20ms, 500ms}; // a changed length makes the other side wait for more
  auto listens = tls_listener();
  listens.link.timing = fast;
  server head{io, listens};
  auto connects = good_client();
  connects.timing = fast;
  std::mt19937_64 random{17};
  int broken_late = 0;
  for (int run = 0; run < 12; ++run) {
    std::size_t change_at = run < 6 ? random() % 1500 : 3000 + random() % 20000;
    meddler between{head.port(), change_at};
    auto made = connect(io, between.port, connects);
    if (!made)
      continue; // in the handshake
    end_point node{*made};
    for (std::uint64_t i = 0; i < 50; ++i)
      static_cast<void>(node.send(i, std::string(1000, 'x')));
    auto closed = node.closed->take();
    REQUIRE(closed);
    ++broken_late;
    while (head.links.count() > 0) {
      end_point there{head.links.take().value()};
      CHECK(there.closed->take());
      while (there.frames->count() > 0)
        CHECK(there.frames->take()->body == std::string(1000, 'x'));
    }
  }
  CHECK(broken_late >= 3);
}

TEST_CASE("stalled and broken TLS handshakes are closed by the deadline and hold no descriptor") {
  io_thread io;
  auto options = tls_listener();
  options.link.timing.handshake_deadline = 300ms;
  server head{io, options};
  {
    end_point warm{connect(io, head.port(), good_client()).value()};
    head.links.take();
  }
  std::mt19937_64 random{23};
  auto before = open_descriptors();
  std::vector<int> clients;
  for (int i = 0; i < 300; ++i) {
    int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(head.port());
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0);
    std::string bytes = i % 2 ? std::string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11} : "";
    for (auto n = random() % 400; n > 0 && i % 3; --n)
      bytes.push_back(static_cast<char>(random()));
    static_cast<void>(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    clients.push_back(fd);
  }
  CHECK(head.refusals.wait_count(300));
  for (int fd : clients)
    ::close(fd);
  for (int tries = 0; tries < 300 && open_descriptors() > before; ++tries)
    ::poll(nullptr, 0, 20);
  CHECK(open_descriptors() <= before);
  CHECK(connect(io, head.port(), good_client()));
}

} // namespace
} // namespace sluice::link::testing
