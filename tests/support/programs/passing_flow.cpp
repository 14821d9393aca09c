// The flow of `tests/bench/flow.cpp`: as little user code as there can be.
#include <sluice/sluice.hpp>

#include <chrono>
#include <cstdlib>
#include <string>

struct item {
  std::uint64_t id;
  std::int64_t sent_ns;
  std::string pad;
};

struct seen {
  std::uint64_t id;
  std::int64_t latency_ns;
};

item pass(const item& in) { return in; }

seen observe(const item& in) {
  return {in.id, std::chrono::steady_clock::now().time_since_epoch().count() - in.sent_ns};
}

// An argument behind "--" at submit is the number of replicas of `pass`.
int main(int argc, char** argv) {
  std::uint32_t replicas = 1;
  if (argc > 1 && std::atoi(argv[argc - 1]) > 0)
    replicas = static_cast<std::uint32_t>(std::atoi(argv[--argc]));
  sluice::flow flow{"bench"};
  flow.consumer<pass>("pass", {.source = sluice::queue("in"),
                               .sink = sluice::queue("out"),
                               .num_replicas = replicas,
                               .max_replicas = 64,
                               .num_cpus = 0.1});
  flow.consumer<pass>("relay",
                      {.source = sluice::queue("ping"), .sink = sluice::queue("pong"), .num_cpus = 0.1});
  flow.consumer<observe>("observe",
                         {.source = sluice::queue("pong"), .sink = sluice::queue("seen"), .num_cpus = 0.1});
  return sluice::run(flow, argc, argv);
}
