// A flow with routes for the end-to-end tests: says which version and process answered.
#include <sluice/sluice.hpp>

#include <cstdlib>
#include <optional>
#include <string>
#include <unistd.h>

#ifndef PROBE_VERSION
#define PROBE_VERSION "v1"
#endif

struct question {
  std::string name;
  std::optional<std::uint32_t> us; // how long it takes
};

struct answer {
  std::string name;
  std::string by;
  std::int64_t pid;
};

answer say(const question& in) {
  if (in.us)
    usleep(*in.us);
  return {in.name, PROBE_VERSION, getpid()};
}

answer keep(const question& in) { return say(in); }

int main(int argc, char** argv) {
  // Arguments after "--" at submit come here: --replicas N
  std::uint32_t replicas = 1;
  for (int i = 1; i + 1 < argc; ++i)
    if (std::string{argv[i]} == "--replicas")
      replicas = static_cast<std::uint32_t>(std::atoi(argv[i + 1]));
  sluice::flow flow{"web"};
  flow.endpoint<say>(
    "read", {.route = "/items/{name}", .num_replicas = replicas, .num_cpus = 0.1, .num_concurrency = 4});
  flow.endpoint<say>("write", {.route = "/items/{name}",
                               .method = sluice::method::post,
                               .num_replicas = replicas,
                               .num_cpus = 0.1,
                               .num_concurrency = 4});
  flow.collector<keep>("keep", {.route = "/keep/{name}",
                                .sink = sluice::queue("kept"),
                                .num_replicas = replicas,
                                .num_cpus = 0.1,
                                .num_concurrency = 4});
  return sluice::run(flow, argc, argv);
}
