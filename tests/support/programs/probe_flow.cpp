// The flow of the end-to-end tests: each record says what is to happen to it.
#include <sluice/sluice.hpp>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

struct job {
  std::uint64_t id;
  std::optional<std::string> act; // throw, crash, exit, leave, hang, eat, slow, log, fork
  std::optional<std::uint64_t> ms;
  std::optional<std::uint64_t> us;
};

struct done {
  std::uint64_t id;
  std::string by;
};

// PROBE_VERSION is set per target, so that two builds of one flow differ.
#ifndef PROBE_VERSION
#define PROBE_VERSION "v1"
#endif

done work(const job& in) {
  auto act = in.act.value_or("");
  if (act == "throw")
    throw std::runtime_error{"asked to fail on record " + std::to_string(in.id)};
  if (act == "crash")
    std::raise(SIGSEGV);
  if (act == "exit")
    std::_Exit(3);
  if (act == "leave")
    std::exit(0);
  if (act == "hang") {
    std::cerr << "probe hangs\n" << std::flush;
    for (std::atomic<std::uint64_t> spin{0};;)
      ++spin;
  }
  if (act == "eat") {
    std::vector<std::vector<char>> eaten;
    for (;;)
      eaten.emplace_back(std::size_t{8} << 20, 'x');
  }
  if (act == "slow")
    usleep(static_cast<useconds_t>(in.us.value_or(in.ms.value_or(10) * 1000)));
  if (act == "log") {
    sluice::log::debug("probe sees record {} in detail", in.id);
    sluice::log::info("probe saw record {}", in.id);
  }
  if (act == "fork") {
    auto child = fork();
    if (child == 0)
      for (;;)
        pause();
    return {in.id, std::to_string(child)};
  }
  return {in.id, PROBE_VERSION};
}

/// Never gets ready.
struct stuck {
  void setup() {
    for (;;)
      pause();
  }
  done process(const job& in) { return work(in); }
};

int main(int argc, char** argv) {
  // Arguments after "--" at submit come here: --name NAME --in QUEUE --out QUEUE --from FILE --to FILE
  // --replicas N --timeout-ms N --memory-mib N --log-level LEVEL --on KEY=VALUE --setup hang
  std::string name = "probe";
  std::string in = "in";
  std::string out = "out";
  std::string from;
  std::string to;
  std::uint32_t replicas = 1;
  long timeout_ms = 0;
  std::uint64_t memory_mib = 0;
  std::string log_level = "info";
  bool setup_hangs = false;
  std::map<std::string, std::string> node_labels;
  std::vector<char*> rest{argv[0]};
  for (int i = 1; i < argc; ++i) {
    std::string arg = argv[i];
    bool has_value = i + 1 < argc;
    if (arg == "--name" && has_value)
      name = argv[++i];
    else if (arg == "--in" && has_value)
      in = argv[++i];
    else if (arg == "--out" && has_value)
      out = argv[++i];
    else if (arg == "--from" && has_value)
      from = argv[++i];
    else if (arg == "--to" && has_value)
      to = argv[++i];
    else if (arg == "--replicas" && has_value)
      replicas = static_cast<std::uint32_t>(std::atoi(argv[++i]));
    else if (arg == "--timeout-ms" && has_value)
      timeout_ms = std::atol(argv[++i]);
    else if (arg == "--memory-mib" && has_value)
      memory_mib = static_cast<std::uint64_t>(std::atol(argv[++i]));
    else if (arg == "--log-level" && has_value)
      log_level = argv[++i];
    else if (arg == "--setup" && has_value)
      setup_hangs = std::string{argv[++i]} == "hang";
    else if (std::string on = arg == "--on" && has_value ? argv[++i] : ""; !on.empty())
      node_labels[on.substr(0, on.find('='))] = on.substr(on.find('=') + 1);
    else
      rest.push_back(argv[i]);
  }
  sluice::flow flow{name};
  const sluice::consumer_options with{.source = from.empty() ? sluice::queue(in) : sluice::file(from),
                                      .sink = to.empty() ? sluice::queue(out) : sluice::file(to),
                                      .num_replicas = replicas,
                                      .max_replicas = from.empty() ? 8U : 1U, // a file has one owner
                                      .num_cpus = 0.1,
                                      .memory_bytes = memory_mib << 20,
                                      .node_labels = node_labels,
                                      .timeout = std::chrono::milliseconds{timeout_ms},
                                      .max_attempts = 3,
                                      .log_level = log_level};
  if (setup_hangs)
    flow.consumer<stuck>("work", with);
  else
    flow.consumer<work>("work", with);
  rest.push_back(nullptr);
  return sluice::run(flow, static_cast<int>(rest.size()) - 1, rest.data());
}
