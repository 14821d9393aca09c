// Goal: only a kill of the kernel that is close to a death is its cause.
#include "transport/process/oom_watch.hpp"

#include <doctest/doctest.h>

using namespace sluice::process;
using namespace std::chrono_literals;

namespace {

struct oom_fixture {
  oom_watch watch(bool is_own) {
    return oom_watch{
      {[this]() -> std::optional<std::uint64_t> { return readable ? std::optional{kills} : std::nullopt; },
       is_own}};
  }

  std::uint64_t kills = 7; ///< of before
  bool readable = true;
  oom_watch::time_point now{1h};
};

} // namespace

TEST_CASE_FIXTURE(oom_fixture, "kills of long ago explain nothing") {
  auto it = watch(true);
  CHECK(it.judge(now) == oom_verdict::no); // before it began to look
  ++kills;
  it.look(now += 1s);
  CHECK(it.judge(now + oom_watch::span + 1ms) == oom_verdict::no);
}

TEST_CASE_FIXTURE(oom_fixture, "a kill in the own cgroup explains the next death and no other") {
  auto it = watch(true);
  ++kills;
  it.look(now);
  CHECK(it.judge(now + 3s) == oom_verdict::yes);
  CHECK(it.judge(now + 3s) == oom_verdict::no);
  kills += 2; // seen at the death itself
  CHECK(it.judge(now + 4s) == oom_verdict::yes);
  CHECK(it.judge(now + 5s) == oom_verdict::yes);
  CHECK(it.judge(now + 5s) == oom_verdict::no);
}

TEST_CASE_FIXTURE(oom_fixture, "a kill somewhere on the machine makes it possible") {
  auto it = watch(false);
  CHECK(it.judge(now) == oom_verdict::no);
  ++kills;
  CHECK(it.judge(now) == oom_verdict::maybe);
  CHECK(it.judge(now + 2s) == oom_verdict::maybe); // nobody knows which of the two it was
  CHECK(it.judge(now + oom_watch::span + 1s) == oom_verdict::no);
}

TEST_CASE_FIXTURE(oom_fixture, "a counter that goes away or begins anew says nothing") {
  auto it = watch(true);
  readable = false;
  CHECK(it.judge(now) == oom_verdict::no);
  readable = true;
  kills = 0;
  CHECK(it.judge(now) == oom_verdict::no);
  kills = 1;
  CHECK(it.judge(now) == oom_verdict::yes);
}

TEST_CASE("the own cgroup is found in both versions") {
  CHECK(own_oom_counters("0::/user.slice/a.scope\n")
        == std::vector<std::string>{"/sys/fs/cgroup/user.slice/a.scope/memory.events"});
  CHECK(own_oom_counters("0::/\n") == std::vector<std::string>{"/sys/fs/cgroup/memory.events"});
  CHECK(own_oom_counters("5:devices:/x\n4:cpu,memory:/a:b\n0::/c\n")
        == std::vector<std::string>{"/sys/fs/cgroup/memory/a:b/memory.oom_control",
                                    "/sys/fs/cgroup/c/memory.events"});
  CHECK(own_oom_counters("4:memoryx:/a").empty());
  for (auto* odd : {"", "\n\n", "x", "1:2", "::", "0:"})
    CHECK(own_oom_counters(odd).empty());
}

TEST_CASE("this machine has a counter") {
  auto found = find_oom_counter();
  CHECK(found.read());
}
