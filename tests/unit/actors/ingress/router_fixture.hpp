#pragma once

#include "tests/support/fake_exchange.hpp"
#include "tests/support/fake_target.hpp"
#include "actors/ingress/router.hpp"

#include <doctest/doctest.h>

#include <map>

namespace sluice::ingress {

using namespace std::chrono_literals;
using test::fake_answer;
using test::fake_exchange;
using test::fake_target;

using answer_ptr = std::shared_ptr<fake_answer>;

/// A router on node "here" with replicas that the test plays.
struct router_fixture {
  router_fixture() { routes.reset(new router{options()}); }
  /// Requests hold their route, which holds its targets: these let go of them first, while the router is there.
  ~router_fixture() {
    if (routes)
      routes->close();
    for (const auto& [number, target] : targets)
      while (!target->held.empty())
        target->drop();
  }

  router_options options() {
    router_options made;
    made.here = node_id{"here"};
    made.reach = [this](const route_target& where) -> target_ptr {
      ++reaches;
      auto found = targets.find(where.replica.value);
      return found == targets.end() ? nullptr : found->second;
    };
    made.now = [this] { return now; };
    made.openapi = [this](const route_table& all, const std::optional<flow_name>& flow) {
      ++pages_made;
      return response{200, {}, std::to_string(all.routes.size()) + (flow ? flow->value : "")};
    };
    return made;
  }

  /// A route with replicas by number; those above 100 are on another node.
  route_entry entry(method by, std::string path, const std::vector<std::uint64_t>& replicas) {
    route_entry made;
    made.flow = flow_name{"shop"};
    made.processor = processor_name{"p"};
    made.http.method = by;
    made.http.route = std::move(path);
    made.http.max_queued_requests = 2;
    for (auto number : replicas) {
      made.targets.push_back(
        {replica_id{number}, flow_version{1}, node_id{number > 100 ? "there" : "here"}, {}});
      if (!targets.contains(number))
        targets[number] = std::make_shared<fake_target>();
    }
    return made;
  }

  void set(method by, const std::vector<std::uint64_t>& replicas) {
    table.routes = {entry(by, "/p", replicas)};
    routes->set_routes(table);
  }

  std::shared_ptr<fake_exchange> send(method by = method::get, std::string path = "/p",
                                      std::string body = {}) {
    auto call = fake_exchange::make(by, std::move(path), now + 10s, std::move(body));
    routes->handle(call, nullptr);
    return call;
  }
  answer_ptr ask(method by = method::get, std::string path = "/p", std::string body = {}) {
    return send(by, std::move(path), std::move(body))->seen;
  }
  void advance(std::chrono::milliseconds by) {
    now += by;
    routes->tick();
  }
  fake_target& at(std::uint64_t number) { return *targets.at(number); }
  route_statistics statistics() const { return routes->statistics().at(0); }

  time_point now{1h};
  std::map<std::uint64_t, std::shared_ptr<fake_target>> targets;
  route_table table;
  int reaches = 0;
  int pages_made = 0;
  std::unique_ptr<router> routes;
};

} // namespace sluice::ingress
