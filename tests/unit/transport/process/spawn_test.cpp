// Goal: a host's environment is what the flow was given and what a program needs to find its way, each once.
#include "transport/process/spawn.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

using namespace sluice;
using namespace sluice::process;

namespace {

std::vector<std::string> of_name(const std::vector<std::string>& all, const std::string& name) {
  std::vector<std::string> found;
  std::ranges::copy_if(all, std::back_inserter(found),
                       [&](const std::string& entry) { return entry.starts_with(name + "="); });
  return found;
}

} // namespace

TEST_CASE("of our environment a host gets what it needs, and nothing by chance") {
  ::setenv("SPAWN_TEST_SECRET", "ours", 1);
  ::setenv("LC_ALL", "C.UTF-8", 1);
  const auto env = scrubbed_environment();
  CHECK(of_name(env, "SPAWN_TEST_SECRET").empty());
  CHECK(of_name(env, "LC_ALL") == std::vector<std::string>{"LC_ALL=C.UTF-8"});
}

TEST_CASE("what a flow is given comes on top, in place of ours") {
  ::setenv("SPAWN_TEST_SECRET", "ours", 1);
  ::setenv("LC_ALL", "C.UTF-8", 1);
  ::setenv("TZ", "UTC", 1);
  const auto env = scrubbed_environment({{"LC_ALL", "C"}, {"SPAWN_TEST_SECRET", "a=b c"}, {"EMPTY", ""}});
  CHECK(of_name(env, "SPAWN_TEST_SECRET") == std::vector<std::string>{"SPAWN_TEST_SECRET=a=b c"});
  CHECK(of_name(env, "LC_ALL") == std::vector<std::string>{"LC_ALL=C"});
  CHECK(of_name(env, "EMPTY") == std::vector<std::string>{"EMPTY="});
  CHECK(of_name(env, "TZ") == std::vector<std::string>{"TZ=UTC"});
}
