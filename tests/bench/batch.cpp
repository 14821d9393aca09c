// How many lines per second a batch by hand takes from a file of JSON lines to another, with one and with two threads,
// beside the loop that one would write instead, in the same run: one process that reads a line, decodes it, calls
// the same function, encodes and writes. And what it costs to be killed twice. One JSON document on stdout.
//
//   bench_batch [LINES [LINES_KILLED]]    1,000,000 and 5,000,000 of about 50 bytes if not said
//
// Runs in a folder of its own below the current one, so that it measures that disk. The whole process counts, from
// start to exit: planning, commits, joining the parts, syncs; the loop syncs once, at its end.
#include "tests/support/programs/batch_work.hpp"
#include "tests/support/subprocess.hpp"

#include <sluice/codec/codec.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <unistd.h>
#include <unordered_map>
#include <vector>

namespace {

namespace fs = std::filesystem;
using namespace batch_work;
using steady = std::chrono::steady_clock;

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "bench batch: " << why << '\n';
  std::exit(1);
}

void make_input(const fs::path& path, std::uint64_t lines) {
  std::ofstream out{path, std::ios::binary};
  for (std::uint64_t id = 1; id <= lines; ++id)
    out << "{\"id\":" << id << ",\"text\":\"some text of record " << id % 1000 << "\"}\n";
}

template <class T>
void write_line(const T& value, std::string& text, std::ofstream& out) {
  text.clear();
  if (!sluice::codec::encode(value, text))
    give_up("a result does not encode");
  out << text << '\n';
}

/// Calls `use` with each line of a file as a record, then syncs what came of it.
template <class Use>
void loop(const fs::path& from, const fs::path& to, Use use) {
  std::ifstream in{from, std::ios::binary};
  std::ofstream out{to, std::ios::binary};
  std::string line;
  while (std::getline(in, line)) {
    item record;
    if (!sluice::codec::decode_into(line, record))
      give_up("a line does not decode");
    use(record, out);
  }
  out.close();
  const int fd = ::open(to.c_str(), O_RDONLY);
  if (!out || ::fdatasync(fd) != 0)
    give_up("cannot write " + to.string());
  ::close(fd);
}

void copy_by_hand(const fs::path& from, const fs::path& to) {
  std::string text;
  loop(from, to, [&](const item& in, std::ofstream& out) {
    for (const auto& each : copies(in))
      write_line(each, text, out);
  });
}

void reduce_by_hand(const fs::path& from, const fs::path& to) {
  std::unordered_map<std::string, by_text> all;
  const auto unsorted = to.string() + ".empty";
  loop(from, unsorted, [&](const item& in, std::ofstream&) {
    auto [at, is_new] = all.try_emplace(in.text, count_one(in));
    if (!is_new)
      at->second = add(std::move(at->second), count_one(in));
  });
  std::vector<const by_text*> sorted;
  for (const auto& each : all)
    sorted.push_back(&each.second);
  std::sort(sorted.begin(), sorted.end(), [](auto* left, auto* right) { return left->text < right->text; });
  std::ofstream out{to, std::ios::binary};
  std::string text;
  for (const auto* each : sorted)
    write_line(*each, text, out);
}

template <class Work>
double seconds(Work work) {
  const auto begin = steady::now();
  work();
  return std::chrono::duration<double>(steady::now() - begin).count();
}

struct files {
  fs::path dir;
  fs::path in = dir / "in.jsonl";
  fs::path out = dir / "out.jsonl";
  fs::path bare = dir / "bare.jsonl";

  std::vector<std::string> batch(const std::string& state, int threads, bool reduces) const {
    const auto flow = fs::canonical("/proc/self/exe").parent_path() / "batch_flow";
    std::vector<std::string> argv{flow.string(),
                                  "--state-dir",
                                  (dir / state).string(),
                                  "--",
                                  in.string(),
                                  out.string(),
                                  "threads=" + std::to_string(threads)};
    if (reduces)
      argv.emplace_back("reduce");
    return argv;
  }
  void check_same() const {
    if (sluice::test::run({"cmp", bare.string(), out.string()}).exit_code != 0)
      give_up("the batch and the loop do not give the same");
  }
  /// Parts that are done.
  std::size_t parts() const {
    std::size_t count = 0;
    std::error_code gone;
    for (fs::recursive_directory_iterator at{dir, gone}, end; !gone && at != end; at.increment(gone))
      count += at->path().extension() == ".part" ? 1 : 0;
    return count;
  }
};

void must(const std::vector<std::string>& argv) {
  auto done = sluice::test::run(argv, {{}, {}, {}, std::chrono::minutes{30}});
  if (done.exit_code != 0)
    give_up(argv.front() + " failed: " + done.err);
}

void compare(const files& with, std::uint64_t lines, bool reduces) {
  const auto bytes = static_cast<double>(fs::file_size(with.in));
  const auto bare =
    seconds([&] { reduces ? reduce_by_hand(with.in, with.bare) : copy_by_hand(with.in, with.bare); });
  for (const int threads : {1, 2}) {
    const auto state = "state-" + std::to_string(threads) + (reduces ? "r" : "");
    const auto took = seconds([&] { must(with.batch(state, threads, reduces)); });
    with.check_same();
    std::printf("    {\"kind\": \"%s\", \"threads\": %d, \"lines_per_s\": %.0f, \"mb_per_s\": %.1f, "
                "\"loop_lines_per_s\": %.0f, \"loop_mb_per_s\": %.1f, \"ratio\": %.2f}%s\n",
                reduces ? "reduce" : "map", threads, static_cast<double>(lines) / took, bytes / took / 1e6,
                static_cast<double>(lines) / bare, bytes / bare / 1e6, bare / took,
                reduces && threads == 2 ? "" : ",");
    std::fflush(stdout);
  }
}

/// Killed when about a third, and two thirds, of the parts are there.
void kill_twice(const files& with, std::uint64_t lines) {
  const auto bare = seconds([&] { copy_by_hand(with.in, with.bare); });
  const auto whole = seconds([&] { must(with.batch("state-whole", 2, false)); });
  with.check_same();
  fs::remove(with.out);
  const auto splits = fs::file_size(with.in) / (8u << 20) + 1;
  const auto argv = with.batch("state-killed", 2, false);
  const auto took = seconds([&] {
    for (const std::size_t parts : {splits / 3, 2 * splits / 3}) {
      sluice::test::background_process process{argv, {}, with.dir / "log"};
      while (with.parts() < parts && process.running())
        ::usleep(1000);
      process.signal(SIGKILL);
      process.wait();
    }
    must(argv);
  });
  with.check_same();
  std::printf("  \"killed_twice\": {\"lines\": %llu, \"threads\": 2, \"seconds\": %.2f, "
              "\"uninterrupted_seconds\": %.2f, "
              "\"loop_seconds\": %.2f, \"same_output\": true}\n",
              static_cast<unsigned long long>(lines), took, whole, bare);
}

} // namespace

int main(int argc, char** argv) {
  const std::uint64_t lines = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const std::uint64_t lines_killed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 5'000'000;
  const files with{fs::current_path() / ("bench-batch-" + std::to_string(::getpid()))};
  fs::create_directory(with.dir);
  make_input(with.in, lines);
  std::printf(
    "{\n  \"benchmark\": \"batch\",\n  \"lines\": %llu,\n  \"input_bytes\": %llu,\n  \"results\": [\n",
    static_cast<unsigned long long>(lines), static_cast<unsigned long long>(fs::file_size(with.in)));
  compare(with, lines, false);
  compare(with, lines, true);
  std::printf("  ],\n");
  make_input(with.in, lines_killed);
  kill_twice(with, lines_killed);
  std::printf("}\n");
  fs::remove_all(with.dir);
}
