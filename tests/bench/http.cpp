// Requests per second and latency of an endpoint that does nothing, a typed echo and a collector into a queue, at 1, 16, 128
// and 1000 connections: in local mode, and through a node's ingress to a host process. Beside it, in the same run and
// under the same load, a bare Boost.Beast server and cpp-httplib that do the same by hand (they collect into a SQLite
// file of their own, what comes meanwhile in one synced transaction), and our HTTP server without router and replica. Every server is a process of its own; the load is one thread of this one.
//
// Each case twice: connections that send the next request when they have an answer, which keeps a server full (requests a second
// count; the latency is that of a queue), and "at_even_load", requests at one rate for all, evenly spread over the connections and timed from when they
// were due (the latency counts; requests that a server holds up are not left out of it).
//
// Each case is measured in short rounds, all servers in turn: a machine that is shared is a fifth faster or slower from one second to the next. What
// is said of a server is the median of its rounds, and of a comparison the median of those made within a round. A measure of which other machines
// took more than 2 % of the processors is made again, at most twice; "stolen_percent" is what they took from what counts.
//
// At the end what 10000 idle connections cost a node, what a load feels of them, and 2000 busy ones.
// Prints one JSON object. "cpu_us" is the processor time of all processes of a server per request: it changes least when the
// machine does other things.
//
// Usage: bench_http [SECONDS_PER_CASE [noop|echo|collect CONNECTIONS]]
// With a work and a number of connections only that case is measured.
#include "tests/bench/plain_servers.hpp"
#include "tests/bench/servers.hpp"
#include "tests/support/http_load.hpp"
#include "transport/http/server.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

using namespace bench;
using sluice::testing::load_options;

constexpr std::size_t connection_counts[] = {1, 16, 128, 1000};

/// Which cases are measured.
struct selection {
  std::string work = {}; ///< all if empty
  std::size_t connections = 0;
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

/// @param per_s see `load_options`
figures measure(const served& who, const std::string& request, std::size_t connections, double seconds,
                double per_s = 0) {
  load_options load;
  load.per_s = per_s;
  load.connections = connections;
  load.requests = {request};
  return bench::measure(who, std::move(load), seconds);
}

void print_work(const char* name, const servers& all, const std::string& request, double seconds,
                const selection& only) {
  if (!only.work.empty() && only.work != name)
    return;
  std::printf("  \"%s\": [\n", name);
  const char* separator = "";
  for (auto count : connection_counts) {
    if (only.connections != 0 && only.connections != count)
      continue;
    std::printf("%s", std::exchange(separator, ",\n"));
    print_case_and_latency(all, "\"connections\": " + std::to_string(count),
                           [&](const served& who, double per_s) {
                             return measure(who, request, count, seconds / bench::rounds, per_s);
                           });
  }
  std::printf("\n  ]%s\n", only.work.empty() ? "," : "");
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

int serve(const std::string& kind, const char* file) {
  bench::rows = std::make_unique<bench::row_store>(file);
  if (kind == "beast")
    beast_server<beast_session>{io_threads()}.run();
  return kind == "httplib" ? bench::serve_httplib() : serve_alone();
}

int run(double seconds, const selection& only) {
  const auto descriptors = sluice::testing::raise_descriptor_limit();
  char name[] = "/tmp/sluice-bench-XXXXXX";
  const fs::path home = ::mkdtemp(name);
  {
    servers all;
    all.push_back(start_plain("beast", home));
    all.push_back(start_plain("httplib", home));
    for (auto& each : all)
      each->is_foreign = true;
    all.push_back(start_local(home, "http_bench_flow"));
    auto node = std::make_unique<node_server>(home, "http_bench_flow");
    const auto& the_node = *node;
    all.push_back(std::move(node));
    std::printf("{\n  \"io_threads\": %zu,\n", io_threads());
    std::fflush(stdout); // a server that is forked off next must not say it again
    print_work("echo", all, post("/echo"), seconds, only);
    print_work("collect", all, post("/collect"), seconds, only);
    all.push_back(start_plain("server_alone", home));
    print_work("noop", all, get("/noop"), seconds, only);
    if (only.work.empty())
      print_many(the_node, seconds, descriptors);
    std::printf("}\n");
  }
  fs::remove_all(home);
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 4 && std::string{argv[1]} == "--serve")
      return serve(argv[2], argv[3]);
    selection only;
    if (argc > 3)
      only = {argv[2], static_cast<std::size_t>(std::atoi(argv[3]))};
    return run(argc > 1 ? std::atof(argv[1]) : 1.5, only);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "http: %s\n", e.what());
    return 1;
  }
}
