// Requests per second and latency of an endpoint that does nothing, a typed echo and a collector into a queue, at 1, 16, 128
// and 1000 connections: in local mode, and through a node's ingress to a host process. Beside it, in the same run and
// under the same load, a bare Boost.Beast server and cpp-httplib that do the same by hand (and store nothing), and our
// HTTP server without router and replica. Every server is a process of its own; the load is one thread of this one.
//
// At the end what 10000 idle connections cost a node, what a load feels of them, and 2000 busy ones.
// Prints one JSON object. "cpu_us" is the processor time of all processes of a server per request: it changes least when the
// machine does other things.
//
// Usage: bench_http [SECONDS_PER_CASE]
#include "tests/bench/plain_servers.hpp"
#include "tests/support/http_load.hpp"
#include "transport/http/server.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using sluice::testing::load_options;
using sluice::testing::load_report;

constexpr std::size_t connection_counts[] = {1, 16, 128, 1000};
constexpr int rounds = 3; ///< the best counts, so that what else the machine does falls on each alike

fs::path bin() { return fs::read_symlink("/proc/self/exe").parent_path(); }

/// As many io threads as a node and local mode have.
std::size_t io_threads() { return std::max(1u, std::thread::hardware_concurrency() / 2); }

std::string read_all(const fs::path& path) {
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

std::optional<process_stat> stat_of(pid_t pid) {
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
std::set<pid_t> family(pid_t root) {
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

double cpu_seconds(const std::set<pid_t>& pids) {
  double sum = 0;
  for (auto pid : pids)
    if (auto its = stat_of(pid))
      sum += its->cpu_s;
  return sum;
}

double resident_bytes(pid_t pid) {
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

std::unique_ptr<served> start_plain(const std::string& kind, const fs::path& home) {
  const auto output = home / kind;
  auto made =
    std::make_unique<child_server>(kind, std::vector<std::string>{"/proc/self/exe", "--serve", kind}, output);
  wait_for(kind.c_str(), [&] {
    const auto text = read_all(output);
    made->port = text.ends_with('\n') ? static_cast<std::uint16_t>(std::stoi(text)) : 0;
    return made->port != 0;
  });
  return made;
}

std::unique_ptr<served> start_local(const fs::path& home) {
  const auto output = home / "local.log";
  auto made =
    std::make_unique<child_server>("local",
                                   std::vector<std::string>{bin() / "http_bench_flow", "--http",
                                                            "127.0.0.1:0", "--state-dir", home / "local"},
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
  explicit node_server(const fs::path& home) : served("node"), home_(home / "node") {
    ::setenv("SLUICE_HOME", home_.c_str(), 1);
    run("start --head --http 127.0.0.1:0 --link-port 0 --control-port 0 --relay-port 0");
    run("submit " + (bin() / "http_bench_flow").string() + " --start-timeout 60s");
    const auto node = read_all(home_ / "head" / "node.json");
    const auto at = node.find(':', node.find("://", node.find("http_address")) + 1);
    port = static_cast<std::uint16_t>(std::stoi(node.substr(at + 1)));
    main_pid = std::stoi(read_all(home_ / "head" / "lock"));
    pids = family(main_pid);
  }
  ~node_server() override {
    if (std::system(((bin() / "sluice").string() + " stop > /dev/null 2>&1").c_str()) != 0)
      std::fprintf(stderr, "http: some processes may be left; see %s\n", home_.c_str());
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

// --- measuring -----------------------------------------------------------------------

std::string get(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
}

std::string post(const std::string& path) {
  const std::string body = R"({"id":"A-10231","amount":129.5,"count":3})";
  return "POST " + path
         + " HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: bench\r\nContent-Type: "
           "application/json\r\nContent-Length: "
         + std::to_string(body.size()) + "\r\n\r\n" + body;
}

struct figures {
  double per_s = 0;
  double p50_us = 0;
  double p99_us = 0;
  double cpu_us = 0;
  std::uint64_t failed = 0;
};

std::chrono::nanoseconds in_ns(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

/// Of a server that is compared with, a request that fails is a figure; of ours it ends the run.
figures measure(const served& who, const std::string& request, std::size_t connections, double seconds) {
  load_options load;
  load.ports = {who.port};
  load.connections = connections;
  load.requests = {request};
  load.warm_up = in_ns(seconds / 4);
  load.duration = in_ns(seconds);
  const auto cpu_before = cpu_seconds(who.pids);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> all{0};
  const auto got = sluice::testing::run_load(load, stop, all);
  if (got.failed(0) > 0 && !who.is_foreign)
    throw std::runtime_error{who.name + ": " + got.first_failure};
  return {got.per_s(), got.quantile_us(0.5), got.quantile_us(0.99),
          (cpu_seconds(who.pids) - cpu_before) * 1e6 / static_cast<double>(std::max<std::uint64_t>(all, 1)),
          got.failed(0)};
}

void print(const std::string& name, const figures& f) {
  std::printf("\"%s\": {\"per_s\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"cpu_us\": %.1f", name.c_str(),
              f.per_s, f.p50_us, f.p99_us, f.cpu_us);
  if (f.failed > 0)
    std::printf(", \"failed\": %llu", static_cast<unsigned long long>(f.failed));
  std::printf("}");
}

using servers = std::vector<std::unique_ptr<served>>;

/// All servers at one number of connections, in turns.
void print_case(const servers& all, const std::string& request, std::size_t connections, double seconds) {
  std::vector<figures> best(all.size());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto now = measure(*all[i], request, connections, seconds / rounds);
      if (now.per_s > best[i].per_s)
        best[i] = now;
    }
  std::printf("    {\"connections\": %zu", connections);
  figures bare;
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::printf(",\n     ");
    print(all[i]->name, best[i]);
    if (all[i]->name == "beast")
      bare = best[i];
  }
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i]->name == "local" || all[i]->name == "node")
      std::printf(",\n     \"%s_of_beast\": %.2f, \"%s_added_p50_us\": %.1f", all[i]->name.c_str(),
                  best[i].per_s / bare.per_s, all[i]->name.c_str(), best[i].p50_us - bare.p50_us);
  std::printf("}");
  std::fflush(stdout);
}

void print_work(const char* name, const servers& all, const std::string& request, double seconds) {
  std::printf("  \"%s\": [\n", name);
  for (auto count : connection_counts) {
    print_case(all, request, count, seconds);
    std::printf(count == connection_counts[3] ? "\n" : ",\n");
  }
  std::printf("  ],\n");
  std::fflush(stdout); // a server that is forked off next must not say it again
}

/// Connections that have had one answer and ask no more.
std::vector<int> open_idle(std::uint16_t port, std::size_t count) {
  const auto request = get("/noop");
  std::vector<int> idle;
  char buffer[4096];
  while (idle.size() < count) {
    idle.push_back(sluice::testing::connect_to_loopback(port));
    static_cast<void>(::send(idle.back(), request.data(), request.size(), MSG_NOSIGNAL));
    std::string got;
    while (!got.ends_with(bench::noop_text)) {
      const auto part = ::recv(idle.back(), buffer, sizeof(buffer), 0);
      if (part <= 0)
        throw std::runtime_error{"an idle connection got no answer"};
      got.append(buffer, static_cast<std::size_t>(part));
    }
  }
  return idle;
}

void print_many(const node_server& node, double seconds, std::size_t descriptors) {
  const auto idle_max = std::min<std::size_t>(10000, descriptors * 8 / 10);
  const auto request = get("/noop");
  const auto before = measure(node, request, 16, seconds);
  const auto bytes_before = resident_bytes(node.main_pid);
  auto idle = open_idle(node.port, idle_max);
  const auto bytes_idle = resident_bytes(node.main_pid);
  const auto beside = measure(node, request, 16, seconds);
  std::printf("  \"idle\": {\"connections\": %zu, \"bytes_each\": %.0f,\n     ", idle.size(),
              (bytes_idle - bytes_before) / static_cast<double>(idle.size()));
  print("without", before);
  std::printf(",\n     ");
  print("with", beside);
  std::printf("},\n");
  for (auto each : idle)
    ::close(each);
  const auto active = measure(node, request, 2000, seconds);
  std::printf("  \"active\": {\"connections\": 2000, \"resident_mib\": %.1f,\n     ",
              resident_bytes(node.main_pid) / (1 << 20));
  print("node", active);
  std::printf("}\n");
}

// --- servers in this program -----------------------------------------------------------

/// Our HTTP server with nothing behind it.
int serve_alone() {
  class at_once : public sluice::ingress::http_handler {
    sluice::ingress::head_decision decide(sluice::request&) override { return {}; }
    void handle(sluice::exchange_ptr call, std::shared_ptr<const void>) override {
      call->respond({200, {{"Content-Type", "text/plain"}}, std::string{bench::noop_text}});
    }
  } handler;
  sluice::http::server_options options;
  options.threads = io_threads();
  auto started = sluice::http::server::start(options, handler);
  if (!started)
    return 1;
  bench::tell_port((*started)->ports()[0]);
  for (;;)
    ::pause();
}

int serve(const std::string& kind) {
  if (kind == "beast")
    bench::beast_server{io_threads()}.run();
  return kind == "httplib" ? bench::serve_httplib() : serve_alone();
}

int run(double seconds) {
  const auto descriptors = sluice::testing::raise_descriptor_limit();
  char name[] = "/tmp/sluice-bench-XXXXXX";
  const fs::path home = ::mkdtemp(name);
  {
    servers all;
    all.push_back(start_plain("beast", home));
    all.push_back(start_plain("httplib", home));
    for (auto& each : all)
      each->is_foreign = true;
    all.push_back(start_local(home));
    auto node = std::make_unique<node_server>(home);
    const auto& the_node = *node;
    all.push_back(std::move(node));
    std::printf("{\n  \"io_threads\": %zu,\n", io_threads());
    print_work("echo", all, post("/echo"), seconds);
    print_work("collect", all, post("/collect"), seconds);
    all.push_back(start_plain("server_alone", home));
    print_work("noop", all, get("/noop"), seconds);
    print_many(the_node, seconds, descriptors);
    std::printf("}\n");
  }
  fs::remove_all(home);
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 3 && std::string{argv[1]} == "--serve")
      return serve(argv[2]);
    return run(argc > 1 ? std::atof(argv[1]) : 1.5);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "http: %s\n", e.what());
    return 1;
  }
}
