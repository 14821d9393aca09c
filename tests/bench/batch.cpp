// How many records per second a batch by hand takes from a file of JSON lines to another, with one and with two
// threads, beside what it is measured by in the same run: one thread that reads a line, parses, calls the same
// function, writes, and syncs at the end. One JSON document on stdout.
//
//   bench_batch [LINES]    1,000,000 of about 60 bytes if not said
//
// Runs in a folder of its own below the current one, so that it measures that disk. The whole process counts, from
// start to exit: planning, commits, joining the parts.
#include <sluice/codec/codec.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>
#include <unistd.h>
#include <unordered_map>
#include <vector>

namespace {

namespace fs = std::filesystem;
using steady = std::chrono::steady_clock;

struct item {
  std::uint64_t id = 0;
  std::string text;
};
struct copy {
  std::uint64_t id = 0;
  std::uint64_t number = 0;
  std::string text;
};
struct by_text {
  std::string text;
  std::uint64_t count = 0;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "bench batch: " << why << '\n';
  std::exit(1);
}

void make_input(const fs::path& path, std::uint64_t lines) {
  std::ofstream out{path, std::ios::binary};
  std::string text;
  for (std::uint64_t id = 1; id <= lines; ++id) {
    text += "{\"id\":" + std::to_string(id) + ",\"text\":\"some text of record " + std::to_string(id % 1000)
            + "\"}\n";
    if (text.size() > (1u << 20)) {
      out << text;
      text.clear();
    }
  }
  out << text;
}

/// Calls `use` with each line of a file.
template <class Use>
void for_each_line(const fs::path& path, Use use) {
  std::FILE* in = std::fopen(path.c_str(), "rb");
  if (in == nullptr)
    give_up("cannot read " + path.string());
  std::string buffer;
  std::size_t kept = 0;
  for (;;) {
    buffer.resize(kept + (1u << 20));
    const auto count = std::fread(buffer.data() + kept, 1, 1u << 20, in);
    buffer.resize(kept + count);
    std::size_t begin = 0;
    for (auto end = buffer.find('\n', kept); end != std::string::npos; end = buffer.find('\n', begin)) {
      use(std::string_view{buffer}.substr(begin, end - begin));
      begin = end + 1;
    }
    buffer.erase(0, begin);
    kept = buffer.size();
    if (count == 0)
      break;
  }
  std::fclose(in);
}

void write_and_sync(std::FILE* out, const std::string& text, bool is_last) {
  if (std::fwrite(text.data(), 1, text.size(), out) != text.size())
    give_up("cannot write");
  if (is_last && (std::fflush(out) != 0 || ::fdatasync(::fileno(out)) != 0))
    give_up("cannot sync");
}

item read_item(std::string_view line) {
  item in;
  if (!sluice::codec::decode_into(line, in))
    give_up("a line does not decode");
  return in;
}

template <class T>
void write_line(const T& value, std::string& text) {
  if (!sluice::codec::encode(value, text))
    give_up("a result does not encode");
  text += '\n';
}

void copy_by_hand(const fs::path& from, const fs::path& to) {
  std::FILE* out = std::fopen(to.c_str(), "wb");
  std::string text;
  for_each_line(from, [&](std::string_view line) {
    const auto in = read_item(line);
    for (std::uint64_t i = 0; i < in.id % 3; ++i)
      write_line(copy{in.id, i, in.text}, text);
    if (text.size() > (256u << 10)) {
      write_and_sync(out, text, false);
      text.clear();
    }
  });
  write_and_sync(out, text, true);
  std::fclose(out);
}

void reduce_by_hand(const fs::path& from, const fs::path& to) {
  std::unordered_map<std::string, by_text> all;
  for_each_line(from, [&](std::string_view line) {
    auto in = read_item(line);
    auto& one = all.try_emplace(in.text, by_text{in.text, 0, in.id, in.id}).first->second;
    ++one.count;
    one.last = in.id;
  });
  std::vector<const by_text*> sorted;
  for (const auto& each : all)
    sorted.push_back(&each.second);
  std::sort(sorted.begin(), sorted.end(), [](auto* left, auto* right) { return left->text < right->text; });
  std::string text;
  for (const auto* each : sorted)
    write_line(*each, text);
  std::FILE* out = std::fopen(to.c_str(), "wb");
  write_and_sync(out, text, true);
  std::fclose(out);
}

template <class Work>
double seconds(Work work) {
  const auto begin = steady::now();
  work();
  return std::chrono::duration<double>(steady::now() - begin).count();
}

void must(const std::string& command) {
  if (std::system(command.c_str()) != 0)
    give_up("failed: " + command);
}

} // namespace

int main(int argc, char** argv) {
  const std::uint64_t lines = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const auto flow = fs::canonical("/proc/self/exe").parent_path() / "batch_flow";
  const auto dir = fs::current_path() / ("bench-batch-" + std::to_string(::getpid()));
  fs::create_directory(dir);
  const auto in = dir / "in.jsonl";
  make_input(in, lines);
  std::printf(
    "{\n  \"benchmark\": \"batch\",\n  \"lines\": %llu,\n  \"input_bytes\": %llu,\n  \"results\": [\n",
    static_cast<unsigned long long>(lines), static_cast<unsigned long long>(fs::file_size(in)));
  for (const bool reduces : {false, true}) {
    const auto bare_out = dir / "bare.jsonl";
    const auto out = dir / "out.jsonl";
    const auto bare = seconds([&] { reduces ? reduce_by_hand(in, bare_out) : copy_by_hand(in, bare_out); });
    for (const int threads : {1, 2}) {
      const auto state = dir / ("state-" + std::to_string(threads) + (reduces ? "r" : ""));
      const auto took = seconds([&] {
        must(flow.string() + " --state-dir " + state.string() + " -- " + in.string() + " " + out.string()
             + " threads=" + std::to_string(threads) + (reduces ? " reduce" : "") + " 2> "
             + (dir / "log").string());
      });
      must("cmp " + bare_out.string() + " " + out.string());
      std::printf(
        "    {\"kind\": \"%s\", \"threads\": %d, \"records_per_s\": %.0f, \"bare_loop_records_per_s\": %.0f, "
        "\"ratio\": %.2f}%s\n",
        reduces ? "reduce" : "copy", threads, static_cast<double>(lines) / took,
        static_cast<double>(lines) / bare, bare / took, reduces && threads == 2 ? "" : ",");
      std::fflush(stdout);
    }
  }
  std::printf("  ]\n}\n");
  fs::remove_all(dir);
}
