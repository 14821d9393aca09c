// Goal: the client reads addresses strictly, carries every failure across gRPC, and
// says what to do when nobody answers.
#include "sdk/client/control_client.hpp"
#include "sdk/client/reach.hpp"
#include "sdk/client/status.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::client;

TEST_CASE("every code and its text survive a gRPC status") {
  for (auto i = static_cast<int>(errc::invalid_argument); i <= static_cast<int>(errc::internal); ++i) {
    failure why{static_cast<errc>(i), "the text"};
    auto status = to_status(why);
    CHECK_FALSE(status.ok());
    CHECK(from_status(status, to_string(why.code)) == why);
  }
}

TEST_CASE("a failure without a code is still a failure") {
  CHECK(to_status({errc::ok, "x"}).error_code() == grpc::StatusCode::INTERNAL);
}

TEST_CASE("without the exact code the nearest one is taken") {
  CHECK(from_status({grpc::StatusCode::UNAVAILABLE, "x"}, "").code == errc::unavailable);
  CHECK(from_status({grpc::StatusCode::UNAUTHENTICATED, "x"}, "").code == errc::unauthenticated);
  CHECK(from_status({grpc::StatusCode::RESOURCE_EXHAUSTED, "x"}, "no_such_code").code == errc::overloaded);
  CHECK(from_status({grpc::StatusCode::UNKNOWN, "x"}, "").code == errc::internal);
  CHECK(from_status({grpc::StatusCode::UNKNOWN, "x"}, "ok").code == errc::internal);
}

TEST_CASE("a call that a head ends as it stops is no wish of the user") {
  CHECK(from_status({grpc::StatusCode::CANCELLED, "CANCELLED"}, "").code == errc::unavailable);
  CHECK(from_status({grpc::StatusCode::CANCELLED, "x"}, "cancelled").code == errc::cancelled);
}

TEST_CASE("addresses are read in all their forms") {
  CHECK(parse_address("unix:/a/b.sock")->socket_path == "/a/b.sock");
  CHECK(parse_address("localhost:7411")->host == "localhost");
  CHECK(parse_address("10.0.0.1:1")->port == "1");
  CHECK(parse_address("[::1]:65535")->host == "::1");
}

TEST_CASE("a wrong address is refused and both forms are named") {
  for (auto text :
       {"", "host", "host:", ":7411", "host:0", "host:65536", "host:12a", "::1:7411", "unix:", "host:-1"}) {
    auto parts = parse_address(text);
    REQUIRE_FALSE(parts);
    CHECK(parts.error().code == errc::invalid_argument);
    CHECK(parts.error().message.find("HOST:PORT or unix:PATH") != std::string::npos);
  }
  CHECK_FALSE(parse_address("unix:/" + std::string(107, 'a')));
  CHECK(parse_address("unix:/" + std::string(106, 'a')));
}

TEST_CASE("a fingerprint may be written in several ways") {
  std::string pin(64, 'a');
  CHECK(*normalise_pin(pin) == pin);
  CHECK(*normalise_pin("sha256:" + std::string(64, 'A')) == pin);
  std::string colons;
  for (int i = 0; i < 32; ++i)
    colons += i == 0 ? "aa" : ":aa";
  CHECK(*normalise_pin(colons) == pin);
  CHECK_FALSE(normalise_pin(""));
  CHECK_FALSE(normalise_pin(std::string(63, 'a')));
  CHECK_FALSE(normalise_pin(std::string(65, 'a')));
  CHECK_FALSE(normalise_pin(std::string(63, 'a') + "g"));
}

TEST_CASE("without a head the failure says how to start one") {
  auto none = connect({.address = "unix:/nonexistent/control.sock", .token = {}, .ca_pin = {}});
  REQUIRE_FALSE(none);
  CHECK(none.error().code == errc::unavailable);
  CHECK(none.error().message.find("sluice start --head") != std::string::npos);
}

TEST_CASE("TCP needs a fingerprint and a token before anything is sent") {
  auto no_pin = connect({.address = "127.0.0.1:1", .token = "t", .ca_pin = {}});
  CHECK(no_pin.error().code == errc::invalid_argument);
  auto no_token = connect({.address = "127.0.0.1:1", .token = {}, .ca_pin = std::string(64, 'a')});
  CHECK(no_token.error().code == errc::unauthenticated);
}

TEST_CASE("a port where nobody listens is unavailable") {
  auto none = connect({.address = "127.0.0.1:1", .token = "t", .ca_pin = std::string(64, 'a')});
  REQUIRE_FALSE(none);
  CHECK(none.error().code == errc::unavailable);
  CHECK(none.error().message.find("127.0.0.1:1") != std::string::npos);
}

TEST_CASE("only a head's certificate name is a head's") {
  CHECK(is_head_uri("sluice://c1/head/node-1"));
  for (auto wrong :
       {"", "sluice://c1/node/node-1", "sluice://c1/head/", "sluice:///head/x", "https://c1/head/x",
        "sluice://c1/head", "sluice://c1/head/x/y", "sluice://head/head-x", "sluice://c1/node/head"})
    CHECK_FALSE(is_head_uri(wrong));
}
