// What the router adds to a request: finding its route, choosing a replica, counting it in and out, and what
// a table of many routes and a queue in front of busy replicas cost. Prints JSON.

#include "actors/ingress/router.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace {

using namespace sluice;
using namespace sluice::ingress;
using clock = std::chrono::steady_clock;

class null_exchange final : public exchange {
public:
  using exchange::exchange;
  void respond(response) noexcept override {}
  void refuse(failure) noexcept override {}
  void begin(response) noexcept override {}
  bool write(std::string) noexcept override { return false; }
  std::size_t waiting_bytes() const noexcept override { return 0; }
  void when_writable(std::function<void()>) noexcept override {}
  void finish() noexcept override {}
  void when_cancelled(std::function<void()>) noexcept override {}
};

/// Keeps requests until it is told to answer.
class holder final : public target_port {
public:
  void submit(exchange_ptr call) override { held.push_back(std::move(call)); }
  std::vector<exchange_ptr> held;
};

route_table table_of(std::size_t routes, std::size_t replicas) {
  route_table table;
  for (std::size_t i = 0; i < routes; ++i) {
    route_entry one;
    one.flow = flow_name{"f"};
    one.processor = processor_name{"p" + std::to_string(i)};
    one.http.route = "/section" + std::to_string(i % 10) + "/item" + std::to_string(i) + "/{id}";
    one.num_concurrency = 64;
    for (std::size_t r = 0; r < replicas; ++r)
      one.targets.push_back({replica_id{i * replicas + r + 1}, flow_version{1}, node_id{"here"}, {}});
    table.routes.push_back(std::move(one));
  }
  return table;
}

std::shared_ptr<null_exchange> make_request(std::size_t route) {
  request in;
  in.path = "/section" + std::to_string(route % 10) + "/item" + std::to_string(route) + "/order-00012345";
  in.headers.reserve(8);
  in.headers.add("Host", "localhost:8000");
  in.headers.add("User-Agent", "bench");
  in.headers.add("Accept", "*/*");
  return std::make_shared<null_exchange>(std::move(in), clock::now() + std::chrono::seconds{30});
}

/// Nanoseconds of one round of `work` over requests made beforehand; the median of several.
template <class Work>
double measure(std::size_t route, const Work& work) {
  constexpr std::size_t count = 20'000;
  std::vector<double> rounds;
  for (int i = 0; i < 9; ++i) {
    std::vector<std::shared_ptr<null_exchange>> requests;
    for (std::size_t n = 0; n < count; ++n)
      requests.push_back(make_request(route));
    auto start = clock::now();
    for (auto& call : requests)
      work(std::move(call));
    rounds.push_back(std::chrono::duration<double, std::nano>(clock::now() - start).count() / count);
  }
  std::nth_element(rounds.begin(), rounds.begin() + 4, rounds.end());
  return rounds[4];
}

void report(const char* name, std::size_t routes, std::size_t replicas, bool last = false) {
  auto target = std::make_shared<holder>();
  router_options options;
  options.here = node_id{"here"};
  options.reach = [&](const route_target&) { return target; };
  options.now = [] { return clock::now(); };
  router front{options};
  front.set_routes(table_of(routes, replicas));
  const auto route = routes / 2;

  auto decided = measure(route, [&](auto call) { static_cast<void>(front.decide(call->in)); });
  auto through = measure(route, [&](auto call) {
    auto decision = front.decide(call->in);
    front.handle(std::move(call), std::move(decision.route));
    target->held.back()->respond({});
    target->held.clear();
  });
  std::printf("    {\"case\": \"%s\", \"routes\": %zu, \"replicas\": %zu, \"decide_ns\": %.0f, "
              "\"submit_respond_ns\": %.0f}%s\n",
              name, routes, replicas, decided, through - decided, last ? "" : ",");
}

/// One replica, always full: each answer lets the next one go on.
void report_queue() {
  auto target = std::make_shared<holder>();
  router_options options;
  options.reach = [&](const route_target&) { return target; };
  options.now = [] { return clock::now(); };
  router front{options};
  auto table = table_of(1, 1);
  table.routes[0].http.max_queued_requests = 1'000'000;
  front.set_routes(table);
  for (int i = 0; i < 300; ++i)
    front.handle(make_request(0), nullptr);
  auto through = measure(0, [&](auto call) {
    front.handle(std::move(call), nullptr);
    auto first = std::move(target->held.front());
    target->held.erase(target->held.begin());
    first->respond({});
  });
  std::printf("    {\"case\": \"through a queue\", \"routes\": 1, \"replicas\": 1, \"all_ns\": %.0f},\n",
              through);
}

} // namespace

int main() {
  std::thread{[] {}}.join(); // from here on counts and locks cost what they do in a server
  std::printf("{\n  \"bench\": \"router\",\n  \"cases\": [\n");
  report_queue();
  report("one route, one replica", 1, 1);
  report("one route, eight replicas", 1, 8);
  report("a thousand routes, four replicas", 1000, 4, true);
  std::printf("  ]\n}\n");
}
