#include "runtime/run_actors.hpp"

#include <doctest/doctest.h>

#include <signal.h>
#include <thread>

using namespace sluice::runtime;
using namespace std::chrono_literals;

TEST_CASE("a wait for signals ends with a signal, when it is woken, or after its time") {
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, nullptr, &before);
  block_ending_signals();
  ending_signals signals;
  CHECK_FALSE(signals.wait(0ms));

  signals.wake(); // before the wait: it is not lost
  signals.wake();
  CHECK_FALSE(signals.wait(std::chrono::milliseconds::max()));
  CHECK_FALSE(signals.wait(1ms));

  std::thread other{[&] { signals.wake(); }};
  CHECK_FALSE(signals.wait(std::chrono::milliseconds::max()));
  other.join();

  pthread_kill(pthread_self(), SIGTERM);
  CHECK(signals.wait(std::chrono::milliseconds::max()) == SIGTERM);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}
