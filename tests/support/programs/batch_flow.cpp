// A batch for the end-to-end tests and the benchmark. Arguments, behind "--" by hand:
//   INPUT OUTPUT [replicas=N] [threads=N] [rejected=N] [split=BYTES] [reduce]
#include <sluice/sluice.hpp>

#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

struct item {
  std::uint64_t id = 0;
  std::string text;
};

struct copy {
  std::uint64_t id = 0;
  std::uint64_t number = 0;
  std::string text;
};

struct by_text {
  std::string text;
  std::uint64_t count = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

// None, one or two of each.
std::vector<copy> copies(const item& in) {
  if (in.text == "throw")
    throw std::runtime_error{"this record always throws"};
  if (in.text == "crash")
    std::abort();
  std::vector<copy> out;
  for (std::uint64_t i = 0; i < in.id % 3; ++i)
    out.push_back({in.id, i, in.text});
  return out;
}

by_text count_one(const item& in) { return {in.text, 1, in.id, in.id}; }
by_text add(by_text left, by_text right) {
  return {left.text, left.count + right.count, left.first, right.last};
}

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
  options.source = sluice::file(paths[0]);
  options.sink = sluice::file(paths[1]);
  sluice::flow flow{"batch-test"};
  if (reduces)
    flow.batch<count_one, add, &by_text::text>("work", options);
  else
    flow.batch<copies>("work", options);
  return sluice::run(flow, argc, argv);
}
