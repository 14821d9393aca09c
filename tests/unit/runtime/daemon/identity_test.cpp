// Goal: a node keeps being itself beyond the end of its certificate, and becomes nobody else by it.
#include "tests/support/subprocess.hpp"
#include "runtime/daemon/address.hpp"
#include "runtime/daemon/identity.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::daemon;
using namespace sluice::test;

namespace {

using days = std::chrono::duration<int, std::ratio<86400>>;

struct identity_fixture {
  temp_dir head_dir;
  temp_dir worker_dir;
  pki::wall_time start{std::chrono::hours{24 * 365 * 55}};
  head_identity head = *load_head_identity(head_dir.path(), start);
  worker_identity worker = make_worker("node-1", start);

  worker_identity make_worker(const std::string& name, pki::wall_time at) {
    auto made = pki::issue(head.authority, {head.cluster_id, "node", name}, pki::valid_from(at));
    std::filesystem::create_directories(worker_dir.path() / "identity");
    return {head.cluster_id, node_id{name}, *made};
  }

  pki::certificate_facts facts(const std::string& pem) { return *pki::inspect(pem); }
};

} // namespace

TEST_CASE_FIXTURE(identity_fixture, "a certificate is due for renewal at two thirds of its life") {
  CHECK_FALSE(pki::renewal_due(facts(worker.link.certificate_pem), start + days{19}));
  CHECK(pki::renewal_due(facts(worker.link.certificate_pem), start + days{20}));
}

TEST_CASE_FIXTURE(identity_fixture,
                  "a renewed certificate has the same key and name and a new end, also on disk") {
  auto request = pki::make_request(worker.link.key_pem, "somebody-else");
  REQUIRE(request);
  auto signed_one = sign_renewal(head, worker.id, *request, start + days{20});
  REQUIRE(signed_one);
  CHECK(facts(*signed_one).who.name == "node-1");
  CHECK(facts(*signed_one).not_after > start + days{49});

  auto next = adopt_renewal(worker_dir.path(), worker, *signed_one);
  REQUIRE(next);
  CHECK(next->link.key_pem == worker.link.key_pem);
  CHECK(next->link.certificate_pem == *signed_one);
  CHECK(read_file(worker_dir.path() / "identity" / "certificate.pem") == *signed_one);
}

TEST_CASE_FIXTURE(identity_fixture, "a certificate for another node is not adopted") {
  auto request = pki::make_request(worker.link.key_pem, "node");
  auto other = sign_renewal(head, node_id{"node-2"}, *request, start);
  REQUIRE(other);
  auto refused = adopt_renewal(worker_dir.path(), worker, *other);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("node-2") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(worker_dir.path() / "identity" / "certificate.pem"));
}

TEST_CASE_FIXTURE(identity_fixture, "the control certificate lasts as long as the CA") {
  CHECK(facts(head.control.certificate_pem).not_after == facts(head.authority.certificate_pem).not_after);
  REQUIRE(issue_certificates(head, start + days{40}));
  CHECK(facts(head.link.certificate_pem).not_after > start + days{69});
  CHECK(facts(head.node.certificate_pem).not_after > start + days{69});
  CHECK(facts(head.node.certificate_pem).who.role == "node");
}

TEST_CASE("an address for others is never one that means every address") {
  CHECK(address_for_others("127.0.0.1", 7410) == "127.0.0.1:7410");
  CHECK(address_for_others("10.1.2.3", 1) == "10.1.2.3:1");
  CHECK(address_for_others("::1", 7410) == "[::1]:7410");
  for (auto* every : {"0.0.0.0", "::"}) {
    auto shown = address_for_others(every, 7410);
    CHECK_MESSAGE(parse_address(shown), shown);
    CHECK(shown.find("0.0.0.0") == std::string::npos);
    CHECK(shown.find("[::]") == std::string::npos);
  }
}

TEST_CASE("who cannot listen is told whether the port or the address is to blame") {
  CHECK(listen_advice(errc::conflict, "10.0.0.1", "link-port")
        == "choose another with --link-port (0 = any free one)");
  const auto text = listen_advice(errc::unavailable, "10.0.0.1", "link-port");
  CHECK_MESSAGE(text.starts_with("the setting listen is '10.0.0.1'"), text);
  CHECK(text.find("link-port") == std::string::npos);
}

TEST_CASE("a machine knows its address towards another") {
  CHECK(local_address_towards({"127.0.0.1", 7410}) == "127.0.0.1");
  CHECK(local_address_towards({"::1", 7410}).value_or("::1") == "::1"); // none without IPv6
}
