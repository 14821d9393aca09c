// Goal: a route lets in what its rate allows and tells the rest when to come again; other routes are not concerned.

#include "tests/unit/actors/ingress/router_fixture.hpp"

using namespace sluice;
using namespace sluice::ingress;

namespace {

struct rate_fixture : router_fixture {
  void limit(double per_s, std::uint32_t burst, pattern kind = pattern::endpoint) {
    auto limited = entry(method::post, "/limited", {1});
    limited.kind = kind;
    limited.http.rate_limit = per_s;
    limited.http.rate_burst = burst;
    table.routes = {limited, entry(method::get, "/free", {2})};
    routes->set_routes(table);
  }
  head_decision decide(method by = method::post, std::string path = "/limited") {
    auto head = fake_exchange::make(by, std::move(path))->in;
    return routes->decide(head);
  }
};

} // namespace

TEST_CASE_FIXTURE(rate_fixture, "a route has its burst at once and then its rate") {
  limit(2, 3);
  for (int i = 0; i < 3; ++i)
    CHECK_FALSE(decide().answer);
  auto refused = decide();
  REQUIRE(refused.answer);
  CHECK(refused.answer->status == 429);
  CHECK(refused.answer->headers.find("Retry-After") == "1");
  CHECK(refused.answer->body == R"({"error":"shop/p takes no more requests now; try again later"})");
  CHECK(*refused.processor == "shop/p"); // for the access log
  CHECK_FALSE(decide(method::get, "/free").answer);
  now += 500ms;
  CHECK_FALSE(decide().answer);
  CHECK(decide().answer);
  CHECK(statistics().answered_total[4] == 2);
}

TEST_CASE_FIXTURE(rate_fixture,
                  "a rate below one a second says how long to wait; a collector's answer has its form") {
  limit(0.1, 0, pattern::collector);
  CHECK_FALSE(decide().answer);
  auto refused = decide();
  REQUIRE(refused.answer);
  CHECK(refused.answer->headers.find("Retry-After") == "10");
  CHECK(refused.answer->body.starts_with(R"({"success":false)"));
}

TEST_CASE_FIXTURE(rate_fixture, "a new table changes the rate and gives no second burst") {
  limit(1, 5);
  for (int i = 0; i < 5; ++i)
    CHECK_FALSE(decide().answer);
  limit(10, 5);
  CHECK(decide().answer);
  now += 100ms;
  CHECK_FALSE(decide().answer);
  limit(0, 0);
  for (int i = 0; i < 100; ++i)
    CHECK_FALSE(decide().answer);
}

TEST_CASE_FIXTURE(rate_fixture, "a request that comes without a decision is limited, too") {
  limit(1, 1);
  auto first = ask(method::post, "/limited");
  at(1).answer(200, "done");
  CHECK(first->status() == 200);
  CHECK(ask(method::post, "/limited")->status() == 429);
}
