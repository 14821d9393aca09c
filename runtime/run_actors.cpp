#include "runtime/run_actors.hpp"

#include <caf/atom.hpp>

#include <algorithm>
#include <cerrno>
#include <pthread.h>
#include <signal.h>
#include <thread>

namespace sluice::runtime {

namespace {

constexpr unsigned scheduler_threads_max = 4;

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

} // namespace

actor_config::actor_config() {
  set("scheduler.policy", caf::atom("sharing"));
  set("scheduler.max-threads",
      static_cast<std::size_t>(std::clamp(std::thread::hardware_concurrency(), 2u, scheduler_threads_max)));
  set("scheduler.max-throughput", std::size_t{200});
}

void block_ending_signals() {
  const auto set = ending_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

std::optional<int> wait_for_ending_signal(std::chrono::milliseconds wait_max) {
  const auto set = ending_signals();
  for (;;) {
    int got = 0;
    if (wait_max == std::chrono::milliseconds::max()) {
      got = sigwaitinfo(&set, nullptr);
    } else {
      timespec limit{};
      limit.tv_sec = wait_max.count() / 1000;
      limit.tv_nsec = wait_max.count() % 1000 * 1'000'000;
      got = sigtimedwait(&set, nullptr, &limit);
    }
    if (got > 0)
      return got;
    if (errno != EINTR || wait_max != std::chrono::milliseconds::max())
      return std::nullopt;
  }
}

} // namespace sluice::runtime
