// Goal: nodes reach each other's replicas over TLS, each as who its certificate says, and nobody else does.
#include "tests/integration/link/link_fixture.hpp"
#include "tests/support/fake_exchange.hpp"
#include "runtime/daemon/node_links.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::link::testing;
using sluice::test::fake_answer;
using sluice::test::fake_exchange;

namespace {

using answer_ptr = std::shared_ptr<fake_answer>;

const pki::key_pair& authority() {
  static const auto made = pki::make_authority("c1", std::chrono::system_clock::now()).value();
  return made;
}

/// A replica that answers with what it was sent.
struct echo final : ingress::target_port {
  void submit(exchange_ptr call) override { call->respond({200, {}, call->in.path + " " + call->in.body}); }
};

struct node {
  explicit node(const link::io_thread& io, std::string name, const std::string& role = "node") {
    daemon::node_links::settings what;
    what.link.self = make_hello(link::peer_role::node, name);
    what.link.tls = link::tls_credentials::make(pki::issue(authority(), {"c1", role, name},
                                                           pki::valid_from(std::chrono::system_clock::now()))
                                                  .value())
                      .value();
    what.here = [replica = std::make_shared<echo>()](const ingress::route_target&) { return replica; };
    auto made = daemon::node_links::start(io, std::move(what));
    REQUIRE(made);
    links = std::move(*made);
  }

  std::unique_ptr<daemon::node_links> links;
};

struct two_nodes {
  link::io_thread io;
  node a{io, "node-a"};
  node b{io, "node-b"};

  ingress::route_target at_b(std::uint64_t replica = 1) const {
    return {replica_id{replica}, flow_version{1}, node_id{"node-b"}, b.links->address(), flow_name{"f"}};
  }

  void tell_b(const std::vector<ingress::route_target>& targets) {
    ingress::route_table table;
    table.routes.emplace_back().targets = targets;
    b.links->set_routes(table);
  }

  /// Sends and waits for the end.
  static answer_ptr ask(daemon::node_links& from, const ingress::route_target& to,
                        std::string body = "body") {
    auto client =
      fake_exchange::make(method::post, "/x", std::chrono::steady_clock::now() + 30s, std::move(body));
    auto seen = client->seen;
    from.reach(to)->submit(std::move(client));
    seen->wait_ended();
    return seen;
  }
};

} // namespace

TEST_CASE_FIXTURE(two_nodes, "a request reaches a replica on another node and its answer comes back") {
  tell_b({at_b()});
  CHECK(ask(*a.links, at_b())->body() == "/x body");
  std::string big(3u << 20, 'b');
  CHECK(ask(*a.links, at_b(), big)->body() == "/x " + big);
}

TEST_CASE_FIXTURE(two_nodes, "a replica that the other node does not have, or no longer, refuses") {
  CHECK(ask(*a.links, at_b())->refused() == errc::unavailable);
  tell_b({at_b()});
  CHECK(ask(*a.links, at_b())->status() == 200);
  auto elsewhere = at_b();
  elsewhere.node = node_id{"node-a"};
  tell_b({elsewhere});
  CHECK(ask(*a.links, at_b())->refused() == errc::unavailable);
}

TEST_CASE_FIXTURE(two_nodes, "another node than the one that was meant is not talked to") {
  tell_b({at_b()});
  auto wrong = at_b();
  wrong.node = node_id{"node-c"};
  auto seen = ask(*a.links, wrong);
  CHECK(seen->refused() == errc::unavailable);
  CHECK(seen->refusal()->message.find("'node-b', not 'node-c'") != std::string::npos);
}

TEST_CASE_FIXTURE(two_nodes, "a certificate of another role opens nothing") {
  tell_b({at_b()});
  node fake{io, "node-d", "host"};
  CHECK(ask(*fake.links, at_b())->refused() == errc::unavailable);
}

TEST_CASE_FIXTURE(two_nodes, "a node that is gone refuses, and a bad address does") {
  tell_b({at_b()});
  auto where = at_b();
  CHECK(ask(*a.links, where)->status() == 200);
  b.links.reset();
  // What goes out before the end is known here is lost with the link; from then on all is refused.
  auto seen = ask(*a.links, where);
  if (!seen->refused())
    seen = ask(*a.links, where);
  CHECK(seen->refused() == errc::unavailable);
  where.address = "nowhere";
  CHECK(ask(*a.links, where)->refused() == errc::unavailable);
}
