#include "transport/pki/certificate.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace sluice::pki {
namespace {

using namespace std::chrono_literals;

const wall_time now{std::chrono::seconds{1'800'000'000}};

key_pair authority() {
  static const auto made = make_authority("c1", now).value();
  return made;
}

TEST_CASE("names of a certificate survive the trip through its URI") {
  subject who{"cluster-1", "node", "node-3fa2c1d0"};
  auto uri = to_uri(who);
  REQUIRE(uri);
  CHECK(*uri == "sluice://cluster-1/node/node-3fa2c1d0");
  CHECK(parse_uri(*uri).value() == who);
}

TEST_CASE("names that could be taken for others are refused") {
  for (const auto& bad : std::vector<std::string>{"", "a/b", "a b", "a,DNS:x", "ä", std::string(64, 'x')}) {
    CHECK_FALSE(to_uri({bad, "node", "n"}));
    CHECK_FALSE(to_uri({"c", bad, "n"}));
    CHECK_FALSE(to_uri({"c", "node", bad}));
  }
  for (auto bad : {"", "sluice://", "sluice://a/b", "sluice://a/b/", "sluice://a/b/c/d", "http://a/b/c"})
    CHECK_FALSE(parse_uri(bad));
}

TEST_CASE("an issued certificate says who it is for and how long") {
  subject who{"c1", "node", "node-1"};
  auto made = issue(authority(), who, valid_from(now));
  REQUIRE(made);
  auto facts = inspect(made->certificate_pem);
  REQUIRE(facts);
  CHECK(facts->who == who);
  CHECK(facts->not_before == now - clock_skew_max);
  CHECK(facts->not_after == now + certificate_lifetime);
  CHECK(facts->serial.size() == 32);
  CHECK(inspect(issue(authority(), who, valid_from(now))->certificate_pem)->serial != facts->serial);
  CHECK(made->ca_pem == authority().certificate_pem);
}

TEST_CASE("the signer decides who a request becomes") {
  auto key = make_key();
  REQUIRE(key);
  auto request = make_request(*key, "head");
  REQUIRE(request);
  auto certificate = sign_request(authority(), *request, {"c1", "node", "node-9"}, valid_from(now));
  REQUIRE(certificate);
  CHECK(inspect(*certificate)->who == subject{"c1", "node", "node-9"});
}

TEST_CASE("a request whose bytes were changed is refused") {
  auto request = make_request(*make_key(), "n").value();
  CHECK(request_key_fingerprint(request));
  int refused = 0, tried = 0;
  for (std::size_t at = 60; at + 60 < request.size(); at += 7, ++tried) {
    auto changed = request;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    refused += sign_request(authority(), changed, {"c1", "node", "n"}, valid_from(now)) ? 0 : 1;
  }
  CHECK(tried > 20);
  CHECK(refused == tried);
  CHECK_FALSE(sign_request(authority(), "", {"c1", "node", "n"}, valid_from(now)));
  CHECK_FALSE(sign_request(authority(), authority().certificate_pem, {"c1", "node", "n"}, valid_from(now)));
}

TEST_CASE("requests of one key share its fingerprint and others do not") {
  auto key = make_key().value();
  auto one = request_key_fingerprint(make_request(key, "a").value());
  CHECK(one == request_key_fingerprint(make_request(key, "b").value()));
  CHECK(one != request_key_fingerprint(make_request(make_key().value(), "a").value()));
  CHECK(one->size() == 64);
}

TEST_CASE("an authority has a fingerprint and nobody's name") {
  auto print = fingerprint(authority().certificate_pem);
  REQUIRE(print);
  CHECK(print->size() == 64);
  CHECK(*print != fingerprint(make_authority("c1", now)->certificate_pem));
  auto facts = inspect(authority().certificate_pem);
  REQUIRE(facts);
  CHECK(facts->who == subject{});
  CHECK(facts->not_after == now + authority_lifetime);
  CHECK_FALSE(make_authority("", now));
  CHECK_FALSE(fingerprint("no certificate"));
}

TEST_CASE("a certificate is renewed from two thirds of its life on") {
  certificate_facts facts;
  facts.not_before = now;
  facts.not_after = now + 30h;
  CHECK_FALSE(renewal_due(facts, now));
  CHECK_FALSE(renewal_due(facts, now + 20h - 1s));
  CHECK(renewal_due(facts, now + 20h));
  CHECK(renewal_due(facts, now + 40h));
}

} // namespace
} // namespace sluice::pki
