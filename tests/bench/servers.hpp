#pragma once

// The servers that `tests/bench/http.cpp` and `websocket.cpp` measure, each a process of its own: a plain one, a flow in
// local mode, the same flow on a node; and how their figures are taken in turns and printed.

#include "tests/support/http_load.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace bench {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

inline constexpr double even_per_s_max = 2000; ///< leaves most of two processors idle, of collectors too
inline constexpr std::size_t rounds = 9;       ///< of which the median counts

inline fs::path bin() { return fs::read_symlink("/proc/self/exe").parent_path(); }

/// As many io threads as a node and local mode have.
inline std::size_t io_threads() { return std::max(1u, std::thread::hardware_concurrency() / 2); }

inline std::string read_all(const fs::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

template <class Condition>
void wait_for(const char* what, Condition condition) {
  for (int i = 0; i < 600; ++i) {
    if (condition())
      return;
    std::this_thread::sleep_for(50ms);
  }
  throw std::runtime_error{std::string{"waited in vain for "} + what};
}

// --- processes -----------------------------------------------------------------------

struct process_stat {
  pid_t parent = 0;
  double cpu_s = 0;
};

inline std::optional<process_stat> stat_of(pid_t pid) {
  const auto text = read_all("/proc/" + std::to_string(pid) + "/stat");
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos)
    return std::nullopt;
  std::istringstream rest{text.substr(name_end + 2)};
  process_stat out;
  std::string skip;
  rest >> skip >> out.parent;
  for (int i = 0; i < 9; ++i)
    rest >> skip;
  double user = 0, system = 0;
  rest >> user >> system;
  out.cpu_s = (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return out;
}

/// A process and all that it started.
inline std::set<pid_t> family(pid_t root) {
  std::set<pid_t> out{root};
  for (bool grew = true; std::exchange(grew, false);)
    for (const auto& entry : fs::directory_iterator{"/proc"}) {
      const auto pid = std::atoi(entry.path().filename().c_str());
      if (pid <= 0 || out.contains(pid))
        continue;
      if (auto its = stat_of(pid); its && out.contains(its->parent))
        grew = out.insert(pid).second;
    }
  return out;
}

inline double cpu_seconds(const std::set<pid_t>& pids) {
  double sum = 0;
  for (auto pid : pids)
    if (auto its = stat_of(pid))
      sum += its->cpu_s;
  return sum;
}

/// Processor time that a hypervisor has given to other machines while this one wanted it, since the start.
inline double stolen_seconds() {
  std::ifstream file{"/proc/stat"};
  std::string skip;
  double stolen = 0;
  for (int i = 0; i < 8; ++i) // the word "cpu", and times that are not asked for
    file >> skip;
  file >> stolen;
  return stolen / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

inline double resident_bytes(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/statm"};
  double all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// A server that is measured. Ends with its scope.
class served {
public:
  explicit served(std::string name) : name(std::move(name)) {}
  virtual ~served() = default;
  served(const served&) = delete;
  served& operator=(const served&) = delete;

  const std::string name;
  bool is_foreign = false; ///< somebody else's server, which we are compared with
  std::uint16_t port = 0;
  std::set<pid_t> pids;
};

/// One program of ours as a child, which ends when this process does.
class child_server : public served {
public:
  child_server(std::string name, const std::vector<std::string>& argv, const fs::path& output)
    : served(std::move(name)) {
    std::vector<char*> pointers;
    for (const auto& each : argv)
      pointers.push_back(const_cast<char*>(each.c_str()));
    pointers.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      auto* file = std::freopen(output.c_str(), "w", stdout);
      if (file == nullptr || ::dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
        std::_Exit(126);
      ::execv(pointers[0], pointers.data());
      std::_Exit(127);
    }
    pids = {pid_};
  }
  ~child_server() override {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

private:
  pid_t pid_;
};

inline std::unique_ptr<served> start_plain(const std::string& kind, const fs::path& home) {
  const auto output = home / kind;
  auto made = std::make_unique<child_server>(
    kind, std::vector<std::string>{"/proc/self/exe", "--serve", kind, home / (kind + ".db")}, output);
  wait_for(kind.c_str(), [&] {
    const auto text = read_all(output);
    made->port = text.ends_with('\n') ? static_cast<std::uint16_t>(std::stoi(text)) : 0;
    return made->port != 0;
  });
  return made;
}

/// @param program a flow, by the name of its binary
inline std::unique_ptr<served> start_local(const fs::path& home, const std::string& program) {
  const auto output = home / "local.log";
  auto made = std::make_unique<child_server>(
    "local",
    std::vector<std::string>{bin() / program, "--http", "127.0.0.1:0", "--state-dir", home / "local"},
    output);
  wait_for("local mode", [&] {
    constexpr std::string_view before = "serves http://127.0.0.1:";
    const auto text = read_all(output);
    const auto at = text.find(before);
    if (at == std::string::npos || text.find('\n', at) == std::string::npos)
      return false;
    made->port = static_cast<std::uint16_t>(std::stoi(text.substr(at + before.size())));
    return true;
  });
  return made;
}

/// Head and worker in one `sluice start`, and the host of the flow.
class node_server : public served {
public:
  node_server(const fs::path& home, const std::string& program) : served("node"), home_(home / "node") {
    ::setenv("SLUICE_HOME", home_.c_str(), 1);
    run("start --head --http 127.0.0.1:0 --link-port 0 --control-port 0 --relay-port 0");
    run("submit " + (bin() / program).string() + " --start-timeout 60s");
    const auto node = read_all(home_ / "head" / "node.json");
    const auto at = node.find(':', node.find("://", node.find("http_address")) + 1);
    port = static_cast<std::uint16_t>(std::stoi(node.substr(at + 1)));
    main_pid = std::stoi(read_all(home_ / "head" / "lock"));
    pids = family(main_pid);
  }
  ~node_server() override {
    if (std::system(((bin() / "sluice").string() + " stop > /dev/null 2>&1").c_str()) != 0)
      std::fprintf(stderr, "bench: some processes may be left; see %s\n", home_.c_str());
  }

  pid_t main_pid = 0;

private:
  void run(const std::string& args) {
    const auto out = home_.string() + ".out";
    if (std::system(((bin() / "sluice").string() + " " + args + " > " + out + " 2>&1").c_str()) != 0)
      throw std::runtime_error{args + ": " + read_all(out)};
  }

  const fs::path home_;
};

struct figures {
  double per_s = 0;
  double p50_us = 0;
  double p99_us = 0;
  double cpu_us = 0;
  std::uint64_t failed = 0;
  double stolen = 0; ///< share of the processors, by other machines; see `undisturbed`
};

inline std::chrono::nanoseconds in_ns(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

/// Of a server that is compared with, a request that fails is a figure; of ours it ends the run.
inline figures measure(const served& who, sluice::testing::load_options load, double seconds) {
  load.ports = {who.port};
  load.warm_up = in_ns(seconds / 4);
  load.duration = in_ns(seconds);
  const auto cpu_before = cpu_seconds(who.pids);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> all{0};
  const auto got = sluice::testing::run_load(load, stop, all);
  if (got.failed(0) > 0 && !who.is_foreign)
    throw std::runtime_error{who.name + ": " + got.first_failure};
  return {got.per_s(),
          got.quantile_us(0.5),
          got.quantile_us(0.99),
          (cpu_seconds(who.pids) - cpu_before) * 1e6 / static_cast<double>(std::max<std::uint64_t>(all, 1)),
          got.failed(0),
          0};
}

/// What `measure()` gives. It is asked again if other machines took more than 2 % of the processors meanwhile, at most twice: two servers can
/// be compared on a machine that both have.
template <class Measure>
figures undisturbed(Measure measure) {
  constexpr double stolen_max = 0.02;
  figures out;
  for (int tries = 3; tries > 0; --tries) {
    const auto began = std::chrono::steady_clock::now();
    const auto before = stolen_seconds();
    out = measure();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    out.stolen = (stolen_seconds() - before) / took.count() / std::thread::hardware_concurrency();
    if (out.stolen <= stolen_max)
      break;
  }
  return out;
}

inline void print(const std::string& name, const figures& f) {
  std::printf("\"%s\": {\"per_s\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"cpu_us\": %.1f", name.c_str(),
              f.per_s, f.p50_us, f.p99_us, f.cpu_us);
  if (f.failed > 0)
    std::printf(", \"failed\": %llu", static_cast<unsigned long long>(f.failed));
  if (f.stolen >= 0.001)
    std::printf(", \"stolen_percent\": %.1f", f.stolen * 100);
  std::printf("}");
}

using servers = std::vector<std::unique_ptr<served>>;

/// Of one server, by round.
using series = std::vector<figures>;

/// All servers in turns, in the other order each time: what the machine is slower or faster by for a while falls on neighbours alike.
/// `measure(served)` gives figures.
template <class Measure>
std::vector<series> in_turns(const servers& all, Measure measure) {
  std::vector<series> out(all.size(), series(rounds));
  for (std::size_t round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto which = round % 2 == 0 ? i : all.size() - 1 - i;
      out[which][round] = undisturbed([&] { return measure(*all[which]); });
    }
  return out;
}

/// The median over the rounds of what `value(round)` says.
template <class Value>
double median(Value value) {
  std::array<double, rounds> all;
  for (std::size_t round = 0; round < rounds; ++round)
    all[round] = value(round);
  std::ranges::nth_element(all, all.begin() + rounds / 2);
  return all[rounds / 2];
}

/// Each figure's own median; of the failures the sum, of what was stolen the mean.
inline figures typical(const series& of) {
  const auto middle = [&](auto member) {
    return median([&](std::size_t round) { return of[round].*member; });
  };
  figures out{middle(&figures::per_s),
              middle(&figures::p50_us),
              middle(&figures::p99_us),
              middle(&figures::cpu_us),
              0,
              0};
  for (const auto& each : of) {
    out.failed += each.failed;
    out.stolen += each.stolen / rounds;
  }
  return out;
}

inline bool is_ours(const served& who) { return who.name == "local" || who.name == "node"; }

/// The index of the bare Beast server.
inline std::size_t beast_in(const servers& all) {
  const auto found = std::ranges::find(all, std::string_view{"beast"}, &served::name);
  return static_cast<std::size_t>(found - all.begin());
}

/// Prints what each server did, and for each of ours the median over the rounds of `compared(its figures, Beast's of the same round)`.
/// @param figure the name of what `compared` gives, behind the server's
template <class Compare>
void print_all(const servers& all, const std::vector<series>& of, const char* separator, const char* figure,
               Compare compared) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::printf("%s", separator);
    print(all[i]->name, typical(of[i]));
  }
  const auto& bare = of[beast_in(all)];
  for (std::size_t i = 0; i < all.size(); ++i)
    if (is_ours(*all[i])) {
      const auto value = median([&](std::size_t round) { return compared(of[i][round], bare[round]); });
      std::printf("%s\"%s_%s\": %.2f", separator, all[i]->name.c_str(), figure, value);
    }
}

/// All servers under one load that keeps them full. `measure(served)` gives figures; `what` is a JSON member that says which load it is.
template <class Measure>
std::vector<series> print_full(const servers& all, const std::string& what, Measure measure) {
  auto full = in_turns(all, measure);
  std::printf("    {%s", what.c_str());
  print_all(all, full, ",\n     ", "of_beast",
            [](const figures& own, const figures& bare) { return own.per_s / bare.per_s; });
  return full;
}

template <class Measure>
void print_case(const servers& all, const std::string& what, Measure measure) {
  static_cast<void>(print_full(all, what, std::move(measure)));
  std::printf("}");
  std::fflush(stdout);
}

/// The same, and then all servers at one rate that leaves each of them idle most of the time: what a server adds to a request, while
/// the latency of a full one only says once more how much it can do.
/// `measure(served, per_s)` gives figures; at the rate 0 it keeps the server full.
template <class Measure>
void print_case_and_latency(const servers& all, const std::string& what, Measure measure) {
  const auto full = print_full(all, what, [&](const served& who) { return measure(who, 0.0); });
  auto per_s = even_per_s_max;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (!all[i]->is_foreign || i == beast_in(all))
      per_s = std::min(per_s, typical(full[i]).per_s / 2);
  const auto even = in_turns(all, [&](const served& who) { return measure(who, per_s); });
  std::printf(",\n     \"at_even_load\": {\"per_s\": %.0f", per_s);
  print_all(all, even, ",\n      ", "added_p50_us",
            [](const figures& own, const figures& bare) { return own.p50_us - bare.p50_us; });
  std::printf("}}");
  std::fflush(stdout);
}

} // namespace bench
