// Goal: a crash explains itself on stderr and then takes its usual course.
#include "tests/support/subprocess.hpp"
#include "transport/process/crash_handler.hpp"
#include "transport/process/exit_report.hpp"
#include "transport/process/flight_recorder.hpp"
#include "transport/process/unique_fd.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace sluice;
using namespace sluice::process;

namespace {

struct crash {
  int status = 0;
  std::string said;
  std::vector<std::string> lines;
};

/// Runs `body` in a child with the handler installed and collects what it says.
crash crash_in_child(const std::function<void()>& body) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  unique_fd reader{ends[0]};
  auto child = ::fork();
  if (child == 0) {
    rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::dup2(ends[1], 2);
    for (int number : {SIGSEGV, SIGABRT, SIGFPE}) // the test framework's own
      ::signal(number, SIG_DFL);
    std::set_terminate([] { std::abort(); });
    install_crash_handler();
    body();
    ::_exit(0);
  }
  ::close(ends[1]);
  crash out;
  char buffer[4096];
  for (ssize_t n; (n = ::read(reader.get(), buffer, sizeof buffer)) > 0;)
    out.said.append(buffer, static_cast<std::size_t>(n));
  ::waitpid(child, &out.status, 0);
  std::istringstream in{out.said};
  for (std::string line; std::getline(in, line);)
    out.lines.push_back(line);
  return out;
}

[[gnu::noinline]] void write_where_nothing_is(volatile int* where) { *where = 1; }

[[maybe_unused, gnu::noinline]] int overflow_the_stack(int depth) {
  volatile char much[4096] = {};
  much[0] = static_cast<char>(depth);
  if (depth < 0)
    return 0;
  return overflow_the_stack(depth + 1) + much[0];
}

} // namespace

TEST_CASE("a segmentation fault names itself, its address and where it was") {
  auto got = crash_in_child([] { write_where_nothing_is(reinterpret_cast<int*>(0x10)); });
  CHECK(WIFSIGNALED(got.status));
  CHECK(WTERMSIG(got.status) == SIGSEGV);
  CHECK(got.said.find("sluice: crashed with SIGSEGV at address 0x10 in thread ") != std::string::npos);
  auto trace = find_backtrace(got.lines);
  CHECK(trace.find("write_where_nothing_is") != std::string::npos);
  CHECK(got.said.find(crash_line_last) != std::string::npos);
}

TEST_CASE("an abort names itself") {
  auto got = crash_in_child([] { std::abort(); });
  CHECK(WTERMSIG(got.status) == SIGABRT);
  CHECK(got.said.find("sluice: crashed with SIGABRT in thread ") != std::string::npos);
}

TEST_CASE("a crash in another thread marks the record that was inside that thread") {
  auto recorder = flight_recorder::create();
  REQUIRE(recorder);
  auto got = crash_in_child([&] {
    auto* innocent = (*recorder)->claim(replica_id{1});
    innocent->enter(8, 1);
    std::thread{[&] {
      auto* slot = (*recorder)->claim(replica_id{1});
      set_slot_of_thread(slot);
      slot->enter(9, 1);
      write_where_nothing_is(nullptr);
    }}.join();
  });
  CHECK(WTERMSIG(got.status) == SIGSEGV);
  auto guilty = blame((*recorder)->inside(), std::chrono::nanoseconds{5}, std::chrono::nanoseconds{0});
  REQUIRE(guilty.size() == 1);
  CHECK(guilty[0].seq == 9);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("a stack overflow still explains itself") {
  auto got = crash_in_child([] { overflow_the_stack(0); });
  CHECK(WTERMSIG(got.status) == SIGSEGV);
  CHECK(got.said.find("sluice: crashed with SIGSEGV") != std::string::npos);
  auto in_thread = crash_in_child([] {
    std::thread{[] {
      crash_stack stack;
      overflow_the_stack(0);
    }}.join();
  });
  CHECK(WTERMSIG(in_thread.status) == SIGSEGV);
  CHECK(in_thread.said.find("sluice: crashed with SIGSEGV") != std::string::npos);
}
#endif
