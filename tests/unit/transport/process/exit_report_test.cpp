// Goal: an end is told in words that name its real cause.
#include "transport/process/exit_report.hpp"

#include <doctest/doctest.h>

#include <csignal>

using namespace sluice::process;

namespace {
const std::string stamp = "2026-01-02T03:04:05.678Z ";
}

TEST_CASE("an exit code is named") {
  CHECK(describe_exit({3, 0}, {}, {}) == "exited with code 3");
  CHECK(describe_exit({127, 0}, {}, {}) == "exited with code 127");
}

TEST_CASE("a missing shared library is named") {
  CHECK(describe_exit({127, 0}, {},
                      {stamp
                       + "orders: error while loading shared libraries: libx.so.1: cannot open shared object "
                         "file: No such file or directory"})
        == "exited with code 127: libx.so.1: cannot open shared object file: No such file or directory");
}

TEST_CASE("a host that ended because it heard nothing of its node is no program that returned") {
  const std::vector<std::string> tail{stamp + "sluice: the node is gone: the peer said nothing for 10000 ms",
                                      stamp + "bye"};
  CHECK(describe_exit({0, 0}, {}, tail)
        == "ended itself: its node was gone: the peer said nothing for 10000 ms");
  CHECK(describe_exit({0, 0}, {.we_terminated = true}, tail) == "exited with code 0");
  CHECK(describe_exit({1, 0}, {}, tail) == "exited with code 1");
  CHECK(describe_exit({0, 0}, {}, {stamp + "bye"}) == "exited with code 0");
}

TEST_CASE("a signal is named, and so is who sent it") {
  CHECK(describe_exit({0, SIGSEGV}, {}, {}) == "killed by SIGSEGV");
  CHECK(describe_exit({0, SIGKILL}, {}, {}) == "killed by SIGKILL (not by Sluice)");
  CHECK(describe_exit({0, SIGKILL}, {.we_killed = true}, {}) == "killed by SIGKILL");
  CHECK(describe_exit({0, SIGKILL}, {.by_kernel = oom_verdict::yes}, {})
        == "out of memory: killed by the kernel");
  CHECK(describe_exit({0, SIGKILL}, {.by_kernel = oom_verdict::maybe}, {})
        == "killed by SIGKILL (maybe by the kernel, out of memory)");
  CHECK(describe_exit({0, SIGKILL}, {.we_killed = true, .by_kernel = oom_verdict::yes}, {})
        == "killed by SIGKILL");
  CHECK(describe_exit({0, SIGKILL}, {.we_killed = true, .kill_reason = "hung: no report"}, {})
        == "hung: no report");
  CHECK(describe_exit({0, SIGSEGV}, {.we_killed = true, .kill_reason = "hung: no report"}, {})
        == "killed by SIGSEGV");
  CHECK(describe_exit({0, SIGTERM}, {}, {}) == "killed by SIGTERM (not by Sluice)");
  CHECK(describe_exit({0, SIGTERM}, {.we_terminated = true}, {}) == "killed by SIGTERM");
  CHECK(signal_name(63) == "signal 63");
}

TEST_CASE("an exception that nobody caught is named with its text") {
  std::vector<std::string> tail{stamp + "terminate called after throwing an instance of 'std::runtime_error'",
                                stamp + "  what():  no such table",
                                stamp + "sluice: crashed with SIGABRT in thread x"};
  CHECK(describe_exit({0, SIGABRT}, {}, tail)
        == "killed by SIGABRT after an uncaught std::runtime_error: no such table");
  tail.erase(tail.begin() + 1);
  CHECK(describe_exit({0, SIGABRT}, {}, tail) == "killed by SIGABRT after an uncaught std::runtime_error");
  CHECK(describe_exit({0, SIGSEGV}, {}, tail) == "killed by SIGSEGV");
}

TEST_CASE("the last backtrace of a log is found between its two lines") {
  CHECK(find_backtrace({stamp + "hello"}).empty());
  std::vector<std::string> tail{stamp + "sluice: crashed with SIGFPE in thread old",
                                stamp + "#1 old",
                                stamp + "sluice: end of backtrace",
                                stamp + "sluice: crashed with SIGSEGV at address (nil) in thread work",
                                stamp + "#1 work()",
                                stamp + "#0 main",
                                stamp + "sluice: end of backtrace",
                                stamp + "other"};
  CHECK(find_backtrace(tail)
        == "sluice: crashed with SIGSEGV at address (nil) in thread work\n#1 work()\n#0 main\n");
  tail.resize(5); // it died before the end
  CHECK(find_backtrace(tail) == "sluice: crashed with SIGSEGV at address (nil) in thread work\n#1 work()\n");
}

TEST_CASE("only a time stamp of ours is taken off a line") {
  CHECK(without_timestamp(stamp + "x") == "x");
  CHECK(without_timestamp(stamp) == "");
  CHECK(without_timestamp("short") == "short");
  CHECK(without_timestamp("a line that is long enough but has no stamp")
        == "a line that is long enough but has no stamp");
}
