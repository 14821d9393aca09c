// The flow of `tests/bench/http.cpp`: as little user code as there can be, one route per kind of work, and room for as many
// requests as it has connections.
#include <sluice/sluice.hpp>

#include <cstdint>
#include <string>

struct order {
  std::string id;
  double amount;
  std::uint32_t count;
};

std::string noop() { return "hello, world"; }
order echo(order in) { return in; }

int main(int argc, char** argv) {
  sluice::flow flow{"http_bench"};
  flow.endpoint<noop>("noop", {.route = "/noop", .max_queued_requests = 4000});
  flow.endpoint<echo>("echo",
                      {.route = "/echo", .method = sluice::method::post, .max_queued_requests = 4000});
  flow.collector<echo>(
    "collect", {.route = "/collect", .sink = sluice::queue("collected"), .max_queued_requests = 4000});
  return sluice::run(flow, argc, argv);
}
