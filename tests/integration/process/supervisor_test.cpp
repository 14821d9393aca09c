// Goal: children are confined as promised, their end is known at once, and none survives us.
#include "tests/support/subprocess.hpp"
#include "transport/process/supervisor.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <future>
#include <sstream>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

using namespace sluice;
using namespace sluice::process;
using namespace std::chrono_literals;

namespace {

unique_fd open_program(const char* path) { return unique_fd{::open(path, O_RDONLY | O_CLOEXEC)}; }

/// What a shell script prints, run as a child.
struct shell_run {
  std::string output;
  exit_status how;
  result<pid_t> pid = fail(errc::internal, "not started");
};

shell_run run_shell(const std::string& script, std::function<void(spawn_options&)> change = {}) {
  shell_run out;
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  unique_fd reader{ends[0]};
  unique_fd writer{ends[1]};
  auto program = open_program("/bin/sh");
  std::promise<result<pid_t>> started;
  std::promise<exit_status> exited;
  supervisor children;
  supervisor::order what;
  what.options.program_fd = program.get();
  what.options.argv = {"sh", "-c", script};
  what.options.env = scrubbed_environment();
  what.options.output_fd = writer.get();
  if (change)
    change(what.options);
  what.owned.push_back(std::move(writer));
  what.on_started = [&](const result<pid_t>& pid) { started.set_value(pid); };
  what.on_exited = [&](const exit_status& how) { exited.set_value(how); };
  children.start(1, std::move(what));
  out.pid = started.get_future().get();
  if (!out.pid)
    return out;
  out.how = exited.get_future().get();
  char buffer[4096];
  for (ssize_t n; (n = ::read(reader.get(), buffer, sizeof buffer)) > 0;)
    out.output.append(buffer, static_cast<std::size_t>(n));
  return out;
}

bool exists(pid_t pid) { return test::process_alive(pid); }

} // namespace

TEST_CASE("a child runs with its arguments and its exit code is told") {
  auto got = run_shell("echo hello; echo oops >&2; exit 3");
  CHECK(got.output == "hello\noops\n");
  CHECK(got.how.exit_code == 3);
  CHECK(got.how.signal == 0);
  CHECK(run_shell("kill -SEGV $$").how.signal == SIGSEGV);
}

TEST_CASE("a child inherits nothing but what it was given") {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  unique_fd ours{ends[0]};
  unique_fd its{ends[1]};
  unique_fd leaky{::open("/dev/null", O_RDONLY)}; // without CLOEXEC, as a library might
  auto got = run_shell("ls /proc/$$/fd; echo hi >&4", [&](spawn_options& options) {
    options.fds = {{its.get(), 4}};
  });
  CHECK(got.output == "0\n1\n2\n4\n");
  char text[8] = {};
  CHECK(::read(ours.get(), text, sizeof text) == 3);
}

TEST_CASE("a child gains no privileges, writes no core, leads its own group, and is nicer") {
  auto got = run_shell("grep NoNewPrivs /proc/self/status; ulimit -c; nice; "
                       "[ $(ps -o pgid= -p $$) = $$ ] && echo leader; cat /proc/self/oom_score_adj; pwd",
                       [](spawn_options& options) {
                         options.nice = 5;
                         options.oom_score_adj = 500;
                         options.directory = "/usr";
                       });
  std::istringstream lines{got.output};
  std::vector<std::string> line;
  for (std::string each; std::getline(lines, each);)
    line.push_back(each);
  REQUIRE(line.size() == 6);
  CHECK(line[0] == "NoNewPrivs:\t1");
  CHECK(line[1] == "0");
  CHECK(line[2] == "5");
  CHECK(line[3] == "leader");
  CHECK(line[4] == "500");
  CHECK(line[5] == "/usr");
}

TEST_CASE("the environment is cut down, and no token of ours is in it") {
  ::setenv("SLUICE_TOKEN", "secret", 1);
  ::setenv("LC_ALL", "C.UTF-8", 1);
  auto got = run_shell("env");
  ::unsetenv("SLUICE_TOKEN");
  CHECK(got.output.find("secret") == std::string::npos);
  CHECK(got.output.find("LC_ALL=C.UTF-8") != std::string::npos);
  CHECK(got.output.find("PATH=") != std::string::npos);
}

TEST_CASE("signals that we ignore or block are as usual in a child") {
  ::signal(SIGPIPE, SIG_IGN);
  auto got = run_shell("grep -E 'SigBlk|SigIgn' /proc/self/status");
  ::signal(SIGPIPE, SIG_DFL);
  CHECK(got.output == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_CASE("a child whose output nobody asked for and input is /dev/null") {
  auto got = run_shell("readlink /proc/self/fd/0; cat");
  CHECK(got.output == "/dev/null\n");
}

TEST_CASE("what cannot be run is refused with the reason") {
  auto text = open_program("/etc/passwd");
  auto got = run_shell("", [&](spawn_options& options) { options.program_fd = text.get(); });
  REQUIRE_FALSE(got.pid);
  CHECK(got.pid.error().code == errc::invalid_argument);
  test::temp_dir dir;
  test::write_file(dir.path() / "x", "no program");
  std::filesystem::permissions(dir.path() / "x", std::filesystem::perms::owner_all);
  auto noise = open_program((dir.path() / "x").c_str());
  got = run_shell("", [&](spawn_options& options) { options.program_fd = noise.get(); });
  REQUIRE_FALSE(got.pid);
  CHECK(got.pid.error().message == "not a program of this kind of machine (exec format error)");
  got = run_shell("", [&](spawn_options& options) { options.directory = "/nowhere"; });
  CHECK(got.pid.error().message.find("directory") != std::string::npos);
}

TEST_CASE("the end of a child is known within 100 ms") {
  auto program = open_program("/bin/sleep");
  std::promise<pid_t> started;
  std::promise<std::chrono::steady_clock::time_point> exited;
  supervisor children;
  supervisor::order what;
  what.options.program_fd = program.get();
  what.options.argv = {"sleep", "1000"};
  what.on_started = [&](const result<pid_t>& pid) { started.set_value(*pid); };
  what.on_exited = [&](const exit_status& how) {
    CHECK(how.signal == SIGKILL);
    exited.set_value(std::chrono::steady_clock::now());
  };
  children.start(1, std::move(what));
  auto pid = started.get_future().get();
  auto killed_at = std::chrono::steady_clock::now();
  ::kill(pid, SIGKILL);
  auto took = exited.get_future().get() - killed_at;
  MESSAGE("known after " << std::chrono::duration_cast<std::chrono::microseconds>(took).count() << " us");
  CHECK(took < 100ms);
}

TEST_CASE("what a child started itself goes with it") {
  auto got = run_shell("sleep 1000 & echo $!");
  auto grandchild = static_cast<pid_t>(std::stol(got.output));
  CHECK(test::eventually([&] { return !exists(grandchild); }));
}

TEST_CASE("signals reach a child that was started before, and its end is told to the last") {
  auto program = open_program("/bin/sleep");
  std::vector<std::string> order;
  {
    supervisor children;
    for (std::uint64_t key : {1u, 2u}) {
      supervisor::order what;
      what.options.program_fd = program.get();
      what.options.argv = {"sleep", "1000"};
      what.on_started = [&](const result<pid_t>&) { order.push_back("started"); };
      what.on_exited = [&](const exit_status& how) { order.push_back(signal_name(how.signal)); };
      children.start(key, std::move(what));
    }
    children.signal(1, SIGTERM);
    children.signal(99, SIGTERM); // nobody
  }
  REQUIRE(order.size() == 4);
  CHECK(order[0] == "started");
  CHECK(order[1] == "started");
  CHECK(((order[2] == "SIGTERM" && order[3] == "SIGKILL") || (order[2] == "SIGKILL" && order[3] == "SIGTERM")
         || (order[2] == "SIGKILL" && order[3] == "SIGKILL")));
}

TEST_CASE("no child survives the kill -9 of the process that started it") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  unique_fd reader{ends[0]};
  unique_fd writer{ends[1]};
  constexpr int count = 5;
  auto agent = ::fork();
  if (agent == 0) { // a small agent: it only starts children and waits to be killed
    auto program = open_program("/bin/sleep");
    supervisor children;
    for (std::uint64_t key = 1; key <= count; ++key) {
      supervisor::order what;
      what.options.program_fd = program.get();
      what.options.argv = {"sleep", "1000"};
      what.on_started = [&](const result<pid_t>& pid) {
        [[maybe_unused]] auto n = ::write(writer.get(), &*pid, sizeof *pid);
      };
      what.on_exited = [](const exit_status&) {};
      children.start(key, std::move(what));
    }
    for (;;)
      ::pause();
  }
  writer.reset();
  std::vector<pid_t> pids(count);
  for (auto& pid : pids)
    REQUIRE(::read(reader.get(), &pid, sizeof pid) == static_cast<ssize_t>(sizeof pid));
  for (auto pid : pids)
    CHECK(exists(pid));
  ::kill(agent, SIGKILL);
  ::waitpid(agent, nullptr, 0);
  for (auto pid : pids)
    CHECK(test::eventually([&] { return !exists(pid); }, 10s));
}
