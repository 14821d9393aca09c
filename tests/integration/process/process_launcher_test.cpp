// Goal: the launcher tells a host's whole life in order, with the true reason of its end and its last words.
#include "tests/support/subprocess.hpp"
#include "transport/artifact/artifact_store.hpp"
#include "transport/process/process_launcher.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <fcntl.h>
#include <mutex>
#include <optional>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace sluice;
using namespace sluice::process;
using namespace std::chrono_literals;

namespace {

/// What the observer was told.
class diary {
public:
  void add(std::string what) {
    std::lock_guard guard{mutex_};
    order.push_back(std::move(what));
    changed_.notify_all();
  }
  void set_started(const node::host_started& what) {
    pid = what.pid;
    add("started");
  }
  void set_exited(const node::host_exited& what) {
    report = what.report;
    add("exited");
  }
  void set_failed(const node::launch_failed& what) {
    why = what.why;
    add("failed");
  }
  bool has(const std::string& what) {
    std::lock_guard guard{mutex_};
    return std::find(order.begin(), order.end(), what) != order.end();
  }
  bool wait_for(const std::string& what) {
    std::unique_lock guard{mutex_};
    return changed_.wait_for(guard, 30s,
                             [&] { return std::find(order.begin(), order.end(), what) != order.end(); });
  }

  std::vector<std::string> order;
  std::atomic<bool> connects{false}; ///< the link was handed over
  std::int64_t pid = 0;
  node::crash_report report;
  failure why;

private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

node::host_observer::behavior_type observe(diary* book) {
  return {
    [book](const host::host_report&) { book->add("report"); },
    [book](const node::host_started& what) { book->set_started(what); },
    [book](const node::host_connected&) { book->add("connected"); },
    [book](const node::host_unreachable&) { book->add("unreachable"); },
    [book](const node::launch_failed& what) { book->set_failed(what); },
    [book](const node::host_exited& what) { book->set_exited(what); },
  };
}

struct launcher_fixture {
  diary book;
  caf::actor_system_config cfg;
  caf::actor_system sys{cfg};
  node::host_observer observer = sys.spawn([this](node::host_observer::pointer) { return observe(&book); });
  test::temp_dir dir;
  log_directory logs{dir.path() / "logs"};
  unique_fd socket; ///< our end of the newest host's link
  std::function<result<unique_fd>(const artifact_id&)> open_program =
    [](const artifact_id&) -> result<unique_fd> {
    return unique_fd{::open("/bin/sh", O_RDONLY | O_CLOEXEC)};
  };
  std::unique_ptr<process_launcher> launcher;

  launcher_fixture() {
    launcher_options options;
    options.open_program = [this](const artifact_id& id) { return open_program(id); };
    options.connect = [this](const node::launch_order&, unique_fd ours, const node::host_observer&) {
      socket = std::move(ours);
      book.connects = true;
    };
    options.work_dir = dir.path() / "work";
    options.env = {"SLUICE_CLUSTER=c1"};
    launcher = std::make_unique<process_launcher>(std::move(options), logs);
  }
  ~launcher_fixture() {
    launcher.reset();
    caf::anon_send_exit(observer, caf::exit_reason::user_shutdown);
  }

  void launch(const std::string& script, std::uint64_t host = 7, const char* flow = "orders",
              const flow_variables& env = {}) {
    node::launch_order order;
    order.host = host_id{host};
    order.flow.flow = flow_name{flow};
    order.flow.version = flow_version{3};
    order.flow.args = {"-c", script};
    order.flow.env = env;
    launcher->launch(order, observer);
  }
};

} // namespace

TEST_CASE_FIXTURE(launcher_fixture, "a host's life is told in order, with its exit code and last words") {
  launch("echo one; echo two >&2; exit 3");
  REQUIRE(book.wait_for("exited"));
  CHECK(book.order == std::vector<std::string>{"started", "exited"});
  CHECK(book.connects);
  CHECK(book.pid > 0);
  CHECK(book.report.host == host_id{7});
  CHECK(book.report.exit_code == 3);
  CHECK(book.report.reason == "exited with code 3");
  CHECK(book.report.at > std::chrono::system_clock::time_point{});
  REQUIRE(book.report.log_tail.size() == 2);
  CHECK(without_timestamp(book.report.log_tail[0]) == "one");
  CHECK(without_timestamp(book.report.log_tail[1]) == "two");
  auto kept = logs.find(flow_name{"orders"}, host_id{7});
  REQUIRE(kept);
  CHECK(kept->ended);
  CHECK(read_log(kept->path, 0, 1000)->text.size() > 10);
}

TEST_CASE_FIXTURE(launcher_fixture, "a host finds its link, its memory and who it is") {
  launch("echo \"$0 $SLUICE_HOST $SLUICE_FLOW $SLUICE_FLOW_VERSION $SLUICE_CLUSTER $(pwd)\" >&3; "
         "[ -e /proc/self/fd/4 ] && echo memory >&3");
  REQUIRE(book.wait_for("exited"));
  REQUIRE(book.connects); // and with it, that the socket is ours to read
  std::string said;
  char buffer[512];
  for (ssize_t n; (n = ::read(socket.get(), buffer, sizeof buffer)) > 0;)
    said.append(buffer, static_cast<std::size_t>(n));
  CHECK(said == "orders 7 orders 3 c1 " + (dir.path() / "work" / "orders").string() + "\nmemory\n");
}

TEST_CASE_FIXTURE(launcher_fixture,
                  "a host finds its flow's variables in its environment, and nobody in its arguments") {
  launch("echo \"$ADMIN_TOKEN $SLUICE_HOST\"; tr '\\0' ' ' < /proc/self/cmdline; echo", 7, "orders",
         {{"ADMIN_TOKEN", "a b"}});
  REQUIRE(book.wait_for("exited"));
  REQUIRE(book.report.log_tail.size() == 2);
  CHECK(without_timestamp(book.report.log_tail[0]) == "a b 7");
  CHECK(book.report.log_tail[1].find("a b") == std::string::npos);
}

TEST_CASE_FIXTURE(launcher_fixture,
                  "the folder a flow works in goes with its last host, unless something is in it") {
  SUBCASE("empty") {
    launch("true");
    REQUIRE(book.wait_for("exited"));
    CHECK_FALSE(std::filesystem::exists(dir.path() / "work" / "orders"));
  }
  SUBCASE("not empty") {
    launch("echo x > kept");
    REQUIRE(book.wait_for("exited"));
    CHECK(std::filesystem::exists(dir.path() / "work" / "orders" / "kept"));
  }
}

TEST_CASE_FIXTURE(launcher_fixture, "who ended a host is told") {
  SUBCASE("we, with SIGTERM") {
    launch("while :; do sleep 1000; done");
    REQUIRE(book.wait_for("started"));
    launcher->terminate(host_id{7});
    REQUIRE(book.wait_for("exited"));
    CHECK(book.report.reason == "killed by SIGTERM");
  }
  SUBCASE("we, with SIGKILL") {
    launch("trap '' TERM; echo ready; while :; do sleep 1000; done");
    REQUIRE(book.wait_for("started"));
    launcher->kill(host_id{7}, {}, {});
    REQUIRE(book.wait_for("exited"));
    CHECK(book.report.signal == SIGKILL);
    CHECK(book.report.reason == "killed by SIGKILL");
  }
  SUBCASE("somebody else, with SIGKILL") {
    launch("kill -9 $$");
    REQUIRE(book.wait_for("exited"));
    CHECK(book.report.reason == "killed by SIGKILL (not by Sluice)");
  }
  SUBCASE("it crashed") {
    launch("kill -SEGV $$");
    REQUIRE(book.wait_for("exited"));
    CHECK(book.report.signal == SIGSEGV);
    CHECK(book.report.reason == "killed by SIGSEGV");
  }
}

TEST_CASE_FIXTURE(launcher_fixture, "a host that is stopped before it started is not started, or is ended") {
  launch("sleep 1000");
  launcher->terminate(host_id{7});
  CHECK(test::eventually([&] { return book.has("failed") || book.has("exited"); }));
}

TEST_CASE_FIXTURE(launcher_fixture, "an artifact that is damaged or gone is told with its code") {
  open_program = [](const artifact_id&) -> result<unique_fd> {
    return fail(errc::corrupt, "artifact ab is damaged");
  };
  launch("");
  REQUIRE(book.wait_for("failed"));
  CHECK(book.why.code == errc::corrupt);
  CHECK(book.order == std::vector<std::string>{"failed"});
  CHECK_FALSE(logs.find(flow_name{"orders"}, host_id{}));
}

TEST_CASE_FIXTURE(launcher_fixture, "a file that is no program is told at once") {
  open_program = [this](const artifact_id&) -> result<unique_fd> {
    auto path = dir.path() / "noise";
    test::write_file(path, "not a program");
    ::chmod(path.c_str(), 0700);
    return unique_fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  };
  launch("");
  REQUIRE(book.wait_for("failed"));
  CHECK(book.why.message == "not a program of this kind of machine (exec format error)");
}

TEST_CASE_FIXTURE(launcher_fixture, "a flow's name cannot lead out of the node's directories") {
  launch("", 7, "../orders");
  REQUIRE(book.wait_for("failed"));
  CHECK(book.why.code == errc::invalid_argument);
}

TEST_CASE_FIXTURE(launcher_fixture, "a flood of output is bounded on disk and in the report") {
  launch(
    "head -c 60000000 /dev/zero | tr '\\0' x; i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo line $i; done");
  REQUIRE(book.wait_for("exited"));
  CHECK(book.report.log_tail.size() == limits::crash_log_lines_max);
  CHECK(without_timestamp(book.report.log_tail.back()) == "line 1000");
  std::uint64_t on_disk = 0;
  auto kept = logs.find(flow_name{"orders"}, host_id{7});
  for (auto& each : std::filesystem::directory_iterator{kept->path})
    on_disk += each.file_size();
  CHECK(on_disk < 200000);
  auto first = read_log(kept->path, 0, 100)->text;
  CHECK(first.find("[cut: ") != std::string::npos);
}

TEST_CASE_FIXTURE(launcher_fixture, "records that were inside user code are named as suspects") {
  // The host marks two of them through the shared memory that it inherits as fd 4; the
  // layout is that of `flight_slot`: replica, seq, started_ns, crashed.
  launch("printf '\\005\\0\\0\\0\\0\\0\\0\\0\\052\\0\\0\\0\\0\\0\\0\\0' >&4; kill -9 $$");
  REQUIRE(book.wait_for("exited"));
  REQUIRE(book.report.suspects.size() == 1);
  CHECK(book.report.suspects[0].replica == replica_id{5});
  CHECK(book.report.suspects[0].seq == 42);
}

TEST_CASE_FIXTURE(launcher_fixture, "destroying the launcher ends every host and tells it") {
  launch("trap '' TERM; while :; do sleep 1000; done");
  REQUIRE(book.wait_for("started"));
  auto pid = static_cast<pid_t>(book.pid);
  launcher.reset();
  CHECK_FALSE(test::process_alive(pid));
  CHECK(book.wait_for("exited"));
}
