// What the demo runs: reads Debian package records from one queue, works out a few
// figures about each and writes them to another.
#include <sluice/sluice.hpp>

#include <algorithm>
#include <optional>
#include <string>

struct package {
  std::uint64_t id;
  std::string name;
  std::string version;
  std::string section;
  std::optional<std::string> depends;
  std::uint64_t installed_kib;
  std::uint64_t download_bytes;
  std::string maintainer;
};

struct figures {
  std::uint64_t id;
  std::string name;
  std::string section;
  std::string team;
  std::uint64_t depends_count;
  std::uint64_t installed_kib;
  double unpack_ratio; ///< installed size over download size
};

// "Debian Rust Maintainers <list@...>" -> "Debian Rust Maintainers"
std::string team_of(const std::string& maintainer) {
  auto end = maintainer.find(" <");
  return maintainer.substr(0, end);
}

figures measure(const package& in) {
  figures out{in.id, in.name, in.section, team_of(in.maintainer), 0, in.installed_kib, 0.0};
  if (in.depends && !in.depends->empty())
    out.depends_count =
      1 + static_cast<std::uint64_t>(std::count(in.depends->begin(), in.depends->end(), ','));
  if (in.download_bytes > 0)
    out.unpack_ratio =
      static_cast<double>(in.installed_kib) * 1024.0 / static_cast<double>(in.download_bytes);
  return out;
}

int main(int argc, char** argv) {
  sluice::flow flow{"packages"};
  flow.consumer<measure>("measure", {.source = sluice::queue("packages"),
                                     .sink = sluice::queue("measured"),
                                     .num_replicas = 4,
                                     .max_replicas = 8,
                                     .num_cpus = 0.25});
  return sluice::run(flow, argc, argv);
}
