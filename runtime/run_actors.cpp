#include "runtime/run_actors.hpp"

#include <caf/atom.hpp>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace sluice::runtime {

namespace {

constexpr unsigned scheduler_threads_max = 4;

sigset_t signal_set() {
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

void ignore_write_signals() {
  for (int number : {SIGPIPE, SIGXFSZ})
    ::signal(number, SIG_IGN);
}

void block_ending_signals() {
  const auto set = signal_set();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

ending_signals::ending_signals() {
  const auto set = signal_set();
  signals_ = process::unique_fd{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
  wakes_ = process::unique_fd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!signals_ || !wakes_)
    throw std::system_error{errno, std::generic_category(), "signals"};
}

std::optional<int> ending_signals::wait(std::chrono::milliseconds wait_max) {
  const bool is_endless = wait_max == std::chrono::milliseconds::max();
  const auto limit = is_endless ? -1 : static_cast<int>(std::min<std::int64_t>(wait_max.count(), INT_MAX));
  pollfd fds[] = {{signals_.get(), POLLIN, 0}, {wakes_.get(), POLLIN, 0}};
  while (::poll(fds, 2, limit) < 0 && errno == EINTR && is_endless) {
  }
  eventfd_t wakes = 0;
  ::eventfd_read(wakes_.get(), &wakes);
  signalfd_siginfo got{};
  if (::read(signals_.get(), &got, sizeof got) == sizeof got)
    return static_cast<int>(got.ssi_signo);
  return std::nullopt;
}

void ending_signals::wake() noexcept { ::eventfd_write(wakes_.get(), 1); }

} // namespace sluice::runtime
