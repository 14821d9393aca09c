#include "tests/support/subprocess.hpp"
#include "runtime/local.hpp"
#include "runtime/local_letters.hpp"
#include "runtime/local_system.hpp"

#include <sluice/async.hpp>
#include <sluice/codec/bytes.hpp>
#include <sluice/core/limits.hpp>
#include <sluice/flow.hpp>
#include <sluice/io/makers.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <signal.h>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/resource.h>
#include <sys/stat.h>
#include <vector>

using namespace sluice;
using namespace sluice::test;
using namespace std::chrono_literals;

namespace {

struct in {
  int id;
};
struct out {
  int id;
  int twice;
};

std::atomic<int> calls{0};

out twice(const in& record) {
  ++calls;
  if (record.id == 777)
    throw std::runtime_error{"seven hundred and seventy-seven"};
  return {record.id, record.id * 2};
}

async<out> twice_later(in record) {
  co_await sleep(1ms);
  co_return out{record.id, record.id * 2};
}

raw not_today(raw record) {
  if (record.data == R"({"id":1})")
    throw std::runtime_error{"not today"};
  return record;
}

/// Takes what stands between a test and the next record.
struct gate {
  std::mutex mutex;
  std::condition_variable changed;
  int open_for = 0;
  int waiting = 0;

  void pass() {
    std::unique_lock lock{mutex};
    ++waiting;
    changed.notify_all();
    changed.wait(lock, [this] { return open_for > 0; });
    --open_for;
    --waiting;
  }
  void open(int count) {
    std::lock_guard lock{mutex};
    open_for += count;
    changed.notify_all();
  }
  bool wait_until_waiting(int count) {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, 20s, [&] { return waiting >= count; });
  }
};
gate the_gate;

out gated(const in& record) {
  the_gate.pass();
  return {record.id, 0};
}

struct broken {
  void setup() { throw std::runtime_error{"no licence"}; }
  out process(const in& record) { return {record.id, 0}; }
};

/// Keeps what local mode says off the test's output.
class quiet {
public:
  quiet() : before_(std::cerr.rdbuf(text_.rdbuf())) {}
  ~quiet() { std::cerr.rdbuf(before_); }
  std::string text() const { return text_.str(); }

private:
  std::ostringstream text_;
  std::streambuf* before_;
};

struct fixture {
  temp_dir folder;
  quiet said;
  std::vector<std::string> requeues;
  std::function<std::optional<int>(std::chrono::milliseconds)> signals = [](std::chrono::milliseconds wait) {
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock{mutex};
    never.wait_for(lock, wait);
    return std::optional<int>{};
  };

  fixture() { calls = 0; }

  std::string records(int count, int from = 0) {
    std::string text;
    for (int i = from; i < from + count; ++i)
      text += "{\"id\":" + std::to_string(i) + "}\n";
    return text;
  }

  int run(const flow& what, std::vector<runtime::queue_feed> feeds = {}) {
    runtime::local_options opts;
    opts.spec = what.spec();
    opts.bodies = what.bodies();
    opts.state_dir = folder / "state";
    opts.feeds = std::move(feeds);
    opts.requeues = requeues;
    opts.wait_for_signal = signals;
    opts.install_handlers = false;
    return runtime::run_local(std::move(opts));
  }

  std::vector<std::string> peek(const std::string& queue) {
    auto system = runtime::local_system::open(folder / "state");
    REQUIRE(system);
    std::vector<std::string> all;
    std::uint64_t after = 0;
    for (;;) {
      auto some = (*system)->peek(queue_name{queue}, after);
      REQUIRE(some);
      if (some->empty())
        return all;
      all.insert(all.end(), some->begin(), some->end());
    }
  }

  queue::queue_stat stat(const std::string& queue) {
    auto system = runtime::local_system::open(folder / "state");
    REQUIRE(system);
    auto all = (*system)->stats();
    REQUIRE(all);
    for (auto& each : *all) {
      if (each.name.value == queue)
        return each;
    }
    return {};
  }
};

std::size_t lines_of(const std::string& path) {
  const auto text = read_file(path);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

} // namespace

TEST_CASE_FIXTURE(
  fixture,
  "ten thousand records go through queue, replicas and queue, and one poison record alone is buried") {
  write_file(folder / "in", records(10'000));
  flow f{"f"};
  f.consumer<twice>("twice", {.source = io::queue("in"), .sink = io::queue("out"), .num_replicas = 3});
  CHECK(run(f, {{"in", folder / "in"}}) == 7);
  CHECK_MESSAGE(
    said.text().find(
      "1 dead letter in queue 'in': --dead-letters prints it with its error, --requeue in tries it again")
      != std::string::npos,
    said.text());
  auto all = peek("out");
  CHECK(all.size() == 9'999);
  std::sort(all.begin(), all.end());
  CHECK(std::unique(all.begin(), all.end()) == all.end());
  CHECK(calls == 10'004);
  const auto left = stat("in");
  CHECK(left.depth_count == 0);
  CHECK(left.dead_count == 1);
  CHECK(said.text().find("seven hundred and seventy-seven") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture,
                  "dead letters of an earlier run are no failure of this one, and can be tried again") {
  const consumer_options options{.source = io::queue("in"), .sink = io::queue("out"), .max_attempts = 1};
  flow broken{"f"};
  broken.consumer<not_today>("c", options);
  flow mended{"f"};
  mended.consumer<[](raw record) { return record; }>("c", options);
  write_file(folder / "in", records(3));
  CHECK(run(broken, {{"in", folder / "in"}}) == 7);
  CHECK(said.text().find("1 dead letter in queue 'in': --dead-letters") != std::string::npos);
  CHECK(run(mended) == 0);
  CHECK(said.text().find("1 dead letter in queue 'in' of earlier runs: --dead-letters") != std::string::npos);
  CHECK(peek("out").size() == 2);
  requeues = {"in"};
  CHECK(run(mended) == 0);
  CHECK(peek("out").size() == 3);
  requeues = {"nobody"};
  CHECK(run(mended) == 1);
  CHECK(said.text().find("there is no queue 'nobody'") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a record of a file that fails for good is told, too") {
  write_file(folder / "in", records(3) + "no json\n");
  flow f{"f"};
  f.consumer<twice>("read", {.source = io::file(folder / "in"), .sink = io::file(folder / "out")});
  CHECK(run(f) == 7);
  CHECK_MESSAGE(said.text().find("1 dead letter of read, whose source is no queue") != std::string::npos,
                said.text());
  auto system = runtime::local_system::open(folder / "state");
  REQUIRE(system);
  const auto letters = (*system)->dead_letters(0).value();
  REQUIRE(letters.size() == 1);
  const auto line = runtime::to_json_line(letters.front());
  CHECK_MESSAGE(
    line.starts_with(R"({"id":1,"queue":"","flow":"f","processor":"read","attempts":1,"error":")"), line);
  CHECK(line.find(R"("buried_at_unix_ms":1)") != std::string::npos);
  CHECK(line.ends_with(R"("payload":"no json"})"));
}

TEST_CASE_FIXTURE(fixture, "a chain of files and queues ends by itself, and a second run adds nothing") {
  write_file(folder / "in", records(500));
  flow f{"f"};
  f.consumer<twice_later>(
    "first", {.source = io::file(folder / "in"), .sink = io::queue("between"), .num_concurrency = 8});
  f.consumer<[](raw record) { return record; }>(
    "second", {.source = io::queue("between"), .sink = io::file(folder / "out.jsonl")});
  CHECK(run(f) == 0);
  CHECK(lines_of(folder / "out.jsonl") == 500);
  CHECK(run(f) == 0);
  CHECK(lines_of(folder / "out.jsonl") == 500);
  append_file(folder / "in", records(10, 500));
  CHECK(run(f) == 0);
  CHECK(lines_of(folder / "out.jsonl") == 510);
}

TEST_CASE_FIXTURE(fixture,
                  "an interrupt drains: what is in user code is settled, the backlog stays untouched") {
  write_file(folder / "in", records(1000));
  flow f{"f"};
  f.consumer<gated>("gated", {.source = io::queue("in"), .sink = io::queue("out"), .num_concurrency = 4});
  int asked = 0;
  const auto waiting = signals;
  signals = [&, once = signals](std::chrono::milliseconds wait) -> std::optional<int> {
    if (asked++ == 0) {
      the_gate.open(100);
      return std::nullopt;
    }
    if (asked == 2 && the_gate.wait_until_waiting(4)) {
      return SIGINT;
    }
    if (asked == 4)
      the_gate.open(1000);
    return once(wait);
  };
  CHECK(run(f, {{"in", folder / "in"}}) == 130);
  const auto done = peek("out").size();
  const auto left = stat("in");
  CHECK(done >= 104);
  CHECK(done < 1000);
  CHECK(left.depth_count >= 1);
  CHECK(left.dead_count == 0);
  CHECK(left.delayed_count == 0);
  signals = waiting;
  the_gate.open(1'000'000);
  const auto put = done + left.depth_count;
  CHECK(run(f) == 0);
  CHECK(peek("out").size() == put);
}

TEST_CASE_FIXTURE(fixture, "a setup that fails ends the run with its text") {
  flow f{"f"};
  f.consumer<broken>("broken", {.source = io::queue("in"), .sink = io::queue("out")});
  write_file(folder / "in", records(3));
  CHECK(run(f, {{"in", folder / "in"}}) == 1);
  CHECK(said.text().find("broken: ") != std::string::npos);
  CHECK(said.text().find("no licence") != std::string::npos);
}

TEST_CASE_FIXTURE(fixture, "a file that is not there ends the run, for a source as for a feed") {
  flow f{"f"};
  f.consumer<twice>("twice", {.source = io::file(folder / "missing"), .sink = io::queue("out")});
  CHECK(run(f) == 1);
  CHECK(said.text().find("No such file") != std::string::npos);
  flow g{"g"};
  g.consumer<twice>("twice", {.source = io::queue("in"), .sink = io::queue("out")});
  CHECK(run(g, {{"in", folder / "missing"}}) == 1);
  CHECK(said.text().find("--put in=" + (folder / "missing") + ": No such file") != std::string::npos);
}

// Goal: a full disk is no silence, neither while it lasts nor after Ctrl-C, and Ctrl-C does not wait for it.
TEST_CASE_FIXTURE(fixture, "a sink without space is said at once, given up when drained, and goes on later") {
  constexpr rlim_t file_bytes_max = 1u << 20; // more than the queues take
  const std::string full = std::string(file_bytes_max - 4, ' ') + "{}\n";
  write_file(folder / "out", full);
  write_file(folder / "in", records(3));
  flow f{"f"};
  f.consumer<twice>("twice", {.source = io::file(folder / "in"), .sink = io::file(folder / "out")});
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{file_bytes_max, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto waiting = signals;
  signals = [&, told = false](std::chrono::milliseconds wait) mutable -> std::optional<int> {
    if (!told && said.text().find("File too large; it is tried again") != std::string::npos) {
      told = true;
      return SIGINT;
    }
    return waiting(wait);
  };
  const auto began = std::chrono::steady_clock::now();
  CHECK(run(f) == 130);
  CHECK(std::chrono::steady_clock::now() - began < limits::drain_timeout);
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  CHECK_MESSAGE(said.text().find("File too large; 3 records are not settled and will be handed out again")
                  != std::string::npos,
                said.text());
  CHECK(read_file(folder / "out") == full);
  signals = waiting;
  CHECK(run(f) == 0);
  CHECK(lines_of(folder / "out") == 4);
}

TEST_CASE_FIXTURE(fixture, "a pipe that nobody has opened does not hold up the end") {
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  flow f{"f"};
  f.consumer<twice>("twice", {.source = io::queue("in"), .sink = io::queue("out")});
  signals = [waiting = signals, asked = 0](std::chrono::milliseconds wait) mutable {
    return asked++ == 0 ? std::optional{SIGINT} : waiting(wait);
  };
  CHECK(run(f, {{"in", folder / "pipe"}}) == 130);
}

TEST_CASE_FIXTURE(fixture, "an access log that cannot be written is no run without one") {
  write_file(folder / "file", "");
  flow f{"f"};
  f.endpoint<[](const in& record) { return out{record.id, 0}; }>("e", {.route = "/e/{id}"});
  runtime::local_options opts;
  opts.spec = f.spec();
  opts.bodies = f.bodies();
  opts.state_dir = folder / "state";
  opts.http = "127.0.0.1:0";
  opts.access_log_dir = folder / "file";
  opts.wait_for_signal = signals;
  opts.install_handlers = false;
  CHECK(runtime::run_local(std::move(opts)) == 2);
  CHECK_MESSAGE(said.text().find("--access-log: cannot keep files in " + (folder / "file"))
                  != std::string::npos,
                said.text());
}

TEST_CASE_FIXTURE(fixture, "a state folder that is somebody's for something else is refused") {
  std::filesystem::create_directory(folder / "state");
  write_file(folder / "state/passwd", "x");
  flow f{"f"};
  f.consumer<twice>("twice", {.source = io::queue("in"), .sink = io::queue("out")});
  CHECK(run(f) == 2);
  CHECK_MESSAGE(said.text().find("is no state folder of Sluice") != std::string::npos, said.text());
  CHECK_FALSE(std::filesystem::exists(folder / "state/queue.db"));
  CHECK(runtime::peek_local(folder / "nothing", queue_name{"in"}) == 1);
  CHECK(said.text().find("there is nothing of a run in " + (folder / "nothing")) != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder / "nothing"));
}

TEST_CASE_FIXTURE(fixture, "a second run of the same flow is refused while the first has the queues") {
  auto first = runtime::local_system::open(folder / "state");
  REQUIRE(first);
  flow f{"f"};
  f.consumer<twice>("twice", {.source = io::queue("in"), .sink = io::queue("out")});
  CHECK(run(f) == 1);
}

TEST_CASE_FIXTURE(fixture, "with nothing to do it says how to feed it") {
  flow f{"f"};
  f.consumer<twice>("twice", {.source = io::queue("in"), .sink = io::queue("out")});
  CHECK(run(f) == 0);
  CHECK(said.text().find("queue 'in' is empty; feed it with --put in=FILE.jsonl") != std::string::npos);
}
