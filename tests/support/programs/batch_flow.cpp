// A batch for the end-to-end tests and the benchmark. Arguments, behind "--" by hand:
//   INPUT OUTPUT (each a file, or queue:NAME) [replicas=N] [threads=N] [rejected=N] [split=BYTES] [reduce]
#include "tests/support/programs/batch_work.hpp"

#include <sluice/sluice.hpp>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

using namespace batch_work;

int main(int argc, char** argv) {
  sluice::batch_options options;
  std::vector<std::string> paths;
  bool reduces = false;
  for (int i = 1; i < argc; ++i) {
    std::string_view arg = argv[i];
    const auto number = [&](std::string_view name) {
      return std::strtoul(argv[i] + name.size(), nullptr, 10);
    };
    if (arg == "--")
      paths.clear();
    else if (arg.starts_with("replicas="))
      options.num_replicas = static_cast<std::uint32_t>(number("replicas="));
    else if (arg.starts_with("threads="))
      options.num_concurrency = static_cast<std::uint32_t>(number("threads="));
    else if (arg.starts_with("rejected="))
      options.max_rejected = number("rejected=");
    else if (arg.starts_with("split="))
      options.split_bytes = number("split=");
    else if (arg == "reduce")
      reduces = true;
    else if (!arg.starts_with("--"))
      paths.emplace_back(arg);
  }
  paths.resize(2);
  options.num_cpus = 0.5;
  const auto end_of = [](const std::string& path) {
    const std::string_view queue = "queue:";
    return path.starts_with(queue) ? sluice::queue(path.substr(queue.size())) : sluice::file(path);
  };
  options.source = end_of(paths[0]);
  options.sink = end_of(paths[1]);
  sluice::flow flow{"batch-test"};
  if (reduces)
    flow.batch<count_one, add, &by_text::text>("work", options);
  else
    flow.batch<copies>("work", options);
  return sluice::run(flow, argc, argv);
}
