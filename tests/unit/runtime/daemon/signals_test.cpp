// Goal: what asks a node to end does so in good order, whoever asks.

#include "runtime/daemon/signals.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <initializer_list>
#include <sys/wait.h>
#include <unistd.h>

using namespace sluice;

namespace {

enum class outcome { stops, goes_on, other };

/// What a node does that gets a signal.
outcome outcome_of(int number, bool is_ignored) {
  const auto child = ::fork();
  if (child == 0) {
    std::signal(number, is_ignored ? SIG_IGN : SIG_DFL);
    daemon::stop_signal stop;
    ::kill(::getpid(), number);
    sigset_t pending;
    ::sigpending(&pending);
    if (sigismember(&pending, number) != 1)
      ::_exit(static_cast<int>(outcome::goes_on));
    stop.wait();
    ::_exit(static_cast<int>(outcome::stops));
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? static_cast<outcome>(WEXITSTATUS(status)) : outcome::other;
}

} // namespace

TEST_CASE("a node stops in order when its terminal is closed, too, but not under nohup") {
  for (int number : {SIGTERM, SIGINT, SIGHUP}) {
    CAPTURE(number);
    CHECK(outcome_of(number, false) == outcome::stops);
  }
  CHECK(outcome_of(SIGHUP, true) == outcome::goes_on);
}
