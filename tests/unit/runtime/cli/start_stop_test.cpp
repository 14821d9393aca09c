// Goal: start gives a node what it needs, in the foreground or behind, and says what to type next;
// what cannot start is told with the reason; stop ends what start began and nothing else.
#include "tests/support/cli_fixture.hpp"
#include "runtime/cli/background.hpp"
#include "runtime/config/state_dir.hpp"

#include <sluice/core/limits.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace sluice;
using namespace sluice::test;

namespace {

struct start_fixture : cli_fixture {
  start_fixture() { variables["SLUICE_HOME"] = base().string(); }

  std::filesystem::path base() const { return dir.path() / "home"; }

  /// A head of this machine as `start` finds it, held by this process.
  config::state_claim fake_local_head() {
    auto claim = config::claim_state_dir(base() / "head");
    REQUIRE(claim);
    config::node_record record;
    record.role = "head";
    record.pid = getpid();
    record.link_address = "127.0.0.1:4444";
    record.control_socket = "/the/socket";
    REQUIRE(config::write_node_record(base() / "head", record));
    return std::move(*claim);
  }
};

/// A child that holds a state dir until SIGTERM, or ignores that.
class fake_node {
public:
  fake_node(const std::filesystem::path& state_dir, bool is_stubborn) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    pid_ = fork();
    if (pid_ == 0) {
      signal(SIGTERM, is_stubborn ? SIG_IGN : SIG_DFL);
      auto claim = config::claim_state_dir(state_dir);
      config::node_record record;
      record.role = state_dir.filename() == "head" ? "head" : "worker";
      record.pid = getpid();
      static_cast<void>(config::write_node_record(state_dir, record));
      static_cast<void>(!write(ready[1], "x", 1));
      for (;;)
        pause();
    }
    char byte = 0;
    REQUIRE(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    close(ready[1]);
  }
  ~fake_node() { wait(); }
  fake_node(const fake_node&) = delete;
  fake_node& operator=(const fake_node&) = delete;

  pid_t pid() const { return pid_; }

  bool is_dead() const {
    siginfo_t info{};
    return pid_ < 0 || (waitid(P_PID, pid_, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_);
  }

  /// The signal that ended it.
  int wait() {
    if (pid_ > 0) {
      int status = 0;
      waitpid(pid_, &status, 0);
      signal_ = WTERMSIG(status);
      pid_ = -1;
    }
    return signal_;
  }

private:
  pid_t pid_ = -1;
  int signal_ = 0;
};

} // namespace

TEST_CASE_FIXTURE(start_fixture,
                  "a head in the foreground serves with its record on disk and takes it away after") {
  while_serving = [this] {
    auto record = config::read_node_record(base() / "head");
    REQUIRE(record);
    CHECK(record->link_address == "127.0.0.1:7410");
    CHECK(config::holder_of(base() / "head") == getpid());
  };
  CHECK(run({"start", "--head", "--block", "--cpus", "2", "--labels", "a=b", "--no-worker"}) == cli::ok);
  CHECK(node_options.head);
  CHECK_FALSE(node_options.worker);
  CHECK(node_options.cpus == 2);
  CHECK(node_options.labels.at("a") == "b");
  CHECK(node_options.state_dir == (base() / "head").string());
  CHECK(out_has("head is up"));
  CHECK(out_has("sluice start --address auto"));
  CHECK(out_has("sluice submit"));
  CHECK_FALSE(config::read_node_record(base() / "head"));
  CHECK_FALSE(config::holder_of(base() / "head"));
}

TEST_CASE_FIXTURE(start_fixture, "a loss is accepted once, for a head, and by nobody's settings") {
  CHECK(run({"start", "--head", "--block", "--accept-loss"}) == cli::ok);
  CHECK(node_options.accept_loss);
  CHECK(run({"start", "--head", "--block"}) == cli::ok);
  CHECK_FALSE(node_options.accept_loss);
  CHECK(run({"start", "--address", "127.0.0.1:4444", "--block", "--accept-loss"}) == cli::bad_usage);
  CHECK(err_has("--accept-loss needs --head"));
}

TEST_CASE_FIXTURE(start_fixture, "what keeps a head from serving is told with its code") {
  node_runs = fail(errc::conflict, "the link port 127.0.0.1:7410 is taken");
  CHECK(run({"start", "--head", "--block"}) == cli::conflict);
  CHECK(err_has("7410 is taken"));
  CHECK_FALSE(std::filesystem::exists(base() / "head")); // nor is anything left
  CHECK(run({"start", "--head"}) == cli::conflict);      // from behind, the same
  CHECK(err_has("7410 is taken"));
  CHECK_FALSE(std::filesystem::exists(base() / "head"));
}

TEST_CASE_FIXTURE(start_fixture, "what a node warns of goes to stderr, beside the answer") {
  node_warns = "the link port was 5000 until now";
  CHECK(run({"start", "--head", "--block"}) == cli::ok);
  CHECK(err_has("warning: the link port was 5000 until now"));
  CHECK(out_has("head is up"));
}

TEST_CASE_FIXTURE(start_fixture, "a second head on the same state is refused with the pid of the first") {
  auto first = config::claim_state_dir(base() / "head");
  CHECK(run({"start", "--head"}) == cli::conflict);
  CHECK(err_has("pid " + std::to_string(getpid())));
  CHECK(out.empty());
}

TEST_CASE_FIXTURE(start_fixture, "a head in the background goes on after start returned, until stop") {
  while_serving = [] {
    for (;;)
      ::pause(); // until SIGTERM
  };
  CHECK(run({"start", "--head", "-o", "json"}) == cli::ok);
  CHECK(out_has("\"role\": \"head\""));
  auto pid = config::holder_of(base() / "head");
  REQUIRE(pid);
  CHECK(*pid != getpid());
  CHECK(config::read_node_record(base() / "head")->pid == *pid);
  CHECK(config::read_node_record(base() / "head")->log_file == (base() / "head/node.log").string());
  on_pause = [] { poll(nullptr, 0, 50); };
  CHECK(run({"stop"}) == cli::ok);
  CHECK(out_has("stopped head"));
  int status = 0;
  CHECK(waitpid(*pid, &status, 0) == *pid);
  CHECK_FALSE(config::holder_of(base() / "head"));
}

TEST_CASE_FIXTURE(start_fixture, "a worker finds the head of its machine and gets a join token from it") {
  auto local = fake_local_head();
  CHECK(run({"start", "--address", "auto", "--block"}) == cli::ok);
  CHECK(node_options.address == "127.0.0.1:4444");
  CHECK(node_options.address_auto); // it looks again after each loss of the link
  CHECK(node_options.join_token == "slj1.made");
  CHECK(node_options.state_dir == (base() / "worker-1").string());
  CHECK(head.targets.back().address == "unix:/the/socket");
  CHECK(out_has("worker is up"));
  CHECK(run({"start", "--address", "127.0.0.1:4444", "--block"}) == cli::ok); // the same head by its address
  CHECK(node_options.join_token == "slj1.made");
  CHECK_FALSE(node_options.address_auto);
  const auto asked = head.targets.size();
  has_joined = true; // a worker that joined before needs none
  CHECK(run({"start", "--address", "auto", "--block"}) == cli::ok);
  CHECK(node_options.join_token.empty());
  CHECK(head.targets.size() == asked);
}

TEST_CASE_FIXTURE(start_fixture,
                  "a worker for a head elsewhere brings its token from a file or the environment") {
  variables["SLUICE_JOIN_TOKEN"] = "from-environment";
  CHECK(run({"start", "--address", "10.0.0.5:7410", "--block"}) == cli::ok);
  CHECK(node_options.address == "10.0.0.5:7410");
  CHECK(node_options.join_token == "from-environment");
  write_file(dir.path() / "token", "from-file\n");
  CHECK(run({"start", "--address", "10.0.0.5:7410", "--block", "--join-token-file",
             (dir.path() / "token").string()})
        == cli::ok);
  CHECK(node_options.join_token == "from-file");
  CHECK(head.targets.empty());
}

TEST_CASE_FIXTURE(start_fixture, "a worker without a head on its machine says what to do") {
  CHECK(run({"start", "--address", "auto"}) == cli::unreachable);
  CHECK(err_has("sluice start --head"));
  CHECK_FALSE(std::filesystem::exists(base() / "worker-1"));
}

TEST_CASE_FIXTURE(start_fixture, "two workers on one machine have folders of their own") {
  auto first = config::claim_worker_dir(base());
  CHECK(run({"start", "--address", "h:1", "--block"}) == cli::ok);
  CHECK(node_options.state_dir == (base() / "worker-2").string());
  CHECK(run({"start", "--address", "h:1", "--block", "--state-dir", (dir.path() / "own").string()})
        == cli::ok);
  CHECK(node_options.state_dir == (dir.path() / "own").string());
}

TEST_CASE_FIXTURE(start_fixture, "wrong options and files start nothing") {
  for (std::vector<std::string> line : {std::vector<std::string>{"start"},
                                        {"start", "--head", "--address", "h:1"},
                                        {"start", "--head", "--link-port", "65536"},
                                        {"start", "--head", "--cpus", "none"},
                                        {"start", "--address", "h:1", "--no-worker"}}) {
    CHECK(run(line) == cli::bad_usage);
    CHECK(out.empty());
  }
  write_file(dir.path() / "bad.toml", "link_prot = 1\n");
  CHECK(run({"start", "--head", "--config", (dir.path() / "bad.toml").string()}) == cli::bad_usage);
  CHECK(err_has("bad.toml:1: unknown key 'link_prot'; did you mean 'link-port'?"));
  CHECK_FALSE(std::filesystem::exists(base()));
}

TEST_CASE_FIXTURE(start_fixture,
                  "stop ends workers and head, kills what does not end, and leaves others alone") {
  fake_node head_node{base() / "head", false};
  fake_node worker{base() / "worker-1", false};
  fake_node stubborn{base() / "worker-2", true};
  on_pause = [&] { // time passes only while the stubborn one is waited for: the others may take theirs to die
    poll(nullptr, 0, 50);
    if (!worker.is_dead() || stubborn.is_dead())
      clock -= 50ms;
  };
  fake_node other{dir.path() / "elsewhere", false};
  auto stubborn_pid = std::to_string(stubborn.pid());
  CHECK(run({"stop", "--wait", "1s"}) == cli::ok);
  CHECK(out_has("stopped worker"));
  CHECK(out_has("killed worker (pid " + stubborn_pid + ")"));
  CHECK(out.find("stopped worker") < out.find("stopped head"));
  CHECK(worker.wait() == SIGTERM);
  CHECK(head_node.wait() == SIGTERM);
  CHECK(stubborn.wait() == SIGKILL);
  CHECK(kill(other.pid(), 0) == 0);
  CHECK(run({"stop", "--state-dir", (dir.path() / "elsewhere").string()}) == cli::ok);
  CHECK(other.wait() == SIGTERM);
  CHECK(run({"stop"}) == cli::not_found);
  CHECK(err_has("nothing is running here"));
}

TEST_CASE_FIXTURE(start_fixture, "stop that is interrupted kills nobody and asks nobody else") {
  on_pause = [] { poll(nullptr, 0, 1); };
  fake_node head_node{base() / "head", false};
  fake_node stubborn{base() / "worker-1", true};
  pauses_until_interrupt = 2;
  CHECK(run({"stop"}) == cli::interrupted);
  CHECK(err_has("interrupted"));
  CHECK(out.empty());
  CHECK(config::holder_of(base() / "worker-1") == stubborn.pid());
  CHECK(config::holder_of(base() / "head") == head_node.pid());
  pauses_until_interrupt = 1'000'000;
  CHECK(run({"stop", "--wait", "1s"}) == cli::ok);
  CHECK(stubborn.wait() == SIGKILL);
  CHECK(head_node.wait() == SIGTERM);
}

TEST_CASE_FIXTURE(start_fixture,
                  "stop ends nodes with state folders of their own, or only the one that is named") {
  while_serving = [] {
    for (;;)
      ::pause(); // until SIGTERM
  };
  on_pause = [] { poll(nullptr, 0, 50); };
  const auto here = (dir.path() / "here").string();
  const auto there = (dir.path() / "there").string();
  std::vector<pid_t> pids;
  for (const auto& own : {here, there}) {
    CHECK(run({"start", "--address", "h:1", "--state-dir", own}) == cli::ok);
    CHECK(out_has("sluice stop --state-dir " + own));
    auto pid = config::holder_of(own);
    REQUIRE(pid);
    pids.push_back(*pid);
  }
  CHECK(run({"stop", "--state-dir", here}) == cli::ok);
  CHECK_FALSE(config::holder_of(here));
  CHECK(config::holder_of(there));
  CHECK(run({"stop", "--state-dir", here}) == cli::not_found);
  CHECK(err_has("no node is running with the state folder " + here + ";"));
  CHECK(run({"stop", "--state-dir", (dir.path() / "nosuch").string()}) == cli::not_found);
  CHECK(err_has("nosuch, which is not there;"));
  CHECK(run({"stop"}) == cli::ok);
  CHECK(out_has("stopped worker node-1"));
  CHECK_FALSE(config::holder_of(there));
  for (auto pid : pids)
    waitpid(pid, nullptr, 0);
}

TEST_CASE_FIXTURE(start_fixture, "a node that ends by itself is not listed any more") {
  while_serving = [this] { CHECK(config::find_nodes(base()).size() == 1); };
  CHECK(run({"start", "--address", "h:1", "--block", "--state-dir", (dir.path() / "own").string()})
        == cli::ok);
  CHECK(std::filesystem::is_empty(base() / "run"));
}

TEST_CASE_FIXTURE(start_fixture, "stop --workers leaves the head") {
  on_pause = [] { poll(nullptr, 0, 50); };
  fake_node head_node{base() / "head", false};
  fake_node worker{base() / "worker-1", false};
  CHECK(run({"stop", "--workers"}) == cli::ok);
  CHECK(worker.wait() == SIGTERM);
  CHECK(kill(head_node.pid(), 0) == 0);
  CHECK(run({"stop"}) == cli::ok);
}

TEST_CASE("a child that dies before it serves is told with its last lines") {
  temp_dir dir;
  auto log = dir.path() / "log";
  write_file(log, "of an earlier start\n");
  auto died =
    cli::run_in_background(log, std::chrono::seconds{10}, [](const cli::say_ready&) -> result<void> {
      static_cast<void>(!write(STDERR_FILENO, "terminate called\n", 17));
      signal(SIGABRT, SIG_DFL);
      raise(SIGKILL);
      return {};
    });
  REQUIRE_FALSE(died);
  CHECK(died.error().message.find("killed by signal 9") != std::string::npos);
  CHECK(died.error().message.find("| terminate called") != std::string::npos);
  CHECK(died.error().message.find("earlier") == std::string::npos);
}

TEST_CASE("a log that is long begins anew, and the one before is kept") {
  temp_dir dir;
  const auto log = dir.path() / "log";
  const auto start = [&] {
    return cli::run_in_background(log, std::chrono::seconds{10}, [](const cli::say_ready&) -> result<void> {
      return fail(errc::conflict, "in use");
    });
  };
  write_file(log, std::string(1000, 'x'));
  CHECK_FALSE(start());
  CHECK_FALSE(std::filesystem::exists(log.string() + ".1"));
  write_file(log, std::string(limits::log_file_bytes_max, 'x'));
  CHECK_FALSE(start());
  CHECK(std::filesystem::file_size(log.string() + ".1") == limits::log_file_bytes_max);
  CHECK(read_file(log).starts_with("error: in use"));
}

TEST_CASE("a child that takes too long goes on and is named") {
  temp_dir dir;
  auto late = cli::run_in_background(dir.path() / "log", std::chrono::milliseconds{50},
                                     [](const cli::say_ready&) -> result<void> {
                                       for (;;)
                                         ::pause();
                                     });
  REQUIRE_FALSE(late);
  CHECK(late.error().code == errc::timeout);
  auto at = late.error().message.find("pid ");
  REQUIRE(at != std::string::npos);
  auto pid = std::stoi(late.error().message.substr(at + 4));
  CHECK(kill(pid, SIGKILL) == 0);
  waitpid(pid, nullptr, 0);
}

TEST_CASE("Ctrl-C while a node starts ends the node and says so") {
  temp_dir dir;
  const auto pid_file = dir.path() / "pid";
  const auto caller = ::fork(); // a process of one thread, as the command is
  if (caller == 0) {
    auto started = cli::run_in_background(dir.path() / "log", std::chrono::seconds{30},
                                          [&](const cli::say_ready&) -> result<void> {
                                            write_file(pid_file, std::to_string(::getpid()));
                                            ::kill(::getppid(), SIGINT);
                                            for (;;)
                                              ::pause();
                                          });
    const bool is_told = !started && started.error().code == errc::cancelled
                         && started.error().message == "interrupted; the node was ended before it served";
    ::_exit(is_told ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(caller, &status, 0) == caller);
  CHECK(status == 0);
  CHECK(::kill(std::stoi(read_file(pid_file)), 0) != 0); // it has been waited for, too
}

TEST_CASE("what a child says arrives unchanged, newlines and all") {
  temp_dir dir;
  auto ready = cli::run_in_background(
    dir.path() / "log", std::chrono::seconds{10}, [](const cli::say_ready& say) -> result<void> {
      say({"head", "n", 7, "l", "c", "s", "/with\nnewline", "", "f", "", "moved"});
      return {};
    });
  REQUIRE(ready);
  CHECK(*ready == config::ready_info{"head", "n", 7, "l", "c", "s", "/with\nnewline", "", "f", "", "moved"});
  while (waitpid(-1, nullptr, WNOHANG) == 0) {
  }
  auto refused = cli::run_in_background(
    dir.path() / "log", std::chrono::seconds{10},
    [](const cli::say_ready&) -> result<void> { return fail(errc::exhausted, "line one\nline two"); });
  CHECK(refused.error() == failure{errc::exhausted, "line one\nline two"});
}
