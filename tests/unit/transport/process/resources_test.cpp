// Goal: memory and processor use are read for what they are.
#include "transport/process/resources.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <unistd.h>
#include <vector>

using namespace sluice::process;

TEST_CASE("memory that is touched and time that is burnt show up in the own sample") {
  proc_resources resources;
  auto before = resources.sample_process(::getpid());
  REQUIRE(before);
  CHECK(before->memory_bytes > 1u << 20);
  std::vector<char> eaten(64u << 20, 'x');
  volatile std::uint64_t spin = 0;
  auto after = resources.sample_process(::getpid());
  while (after && after->cpu_time == before->cpu_time) {
    for (int i = 0; i < 1'000'000; ++i)
      spin = spin + 1;
    after = resources.sample_process(::getpid());
  }
  REQUIRE(after);
  CHECK(after->memory_bytes >= before->memory_bytes + (60u << 20));
  CHECK(eaten[1] == 'x');
}

TEST_CASE("a process that is not there has no sample") {
  proc_resources resources;
  CHECK_FALSE(resources.sample_process(0x7ffffff0));
}

TEST_CASE("the machine has used some memory and time") {
  proc_resources resources;
  auto sample = resources.sample_machine();
  CHECK(sample.memory_used_bytes > 10u << 20);
  CHECK(sample.cpu_time > std::chrono::seconds{1});
}
