#include "runtime/host.hpp"
#include "runtime/local.hpp"
#include "runtime/local_letters.hpp"
#include "runtime/run_options.hpp"
#include "transport/process/host_environment.hpp"
#include "transport/process/standard_streams.hpp"

#include <sluice/flow.hpp>
#include <sluice/run.hpp>

#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

namespace sluice {

namespace {

enum exit_code : int { ok = 0, failed = 1, bad_usage = 2 };

/// The exit code of what only prints.
int when_printed(const std::string& program, int code) {
  if (std::cout.flush())
    return code;
  std::cerr << program << ": standard output cannot be written\n";
  return failed;
}

/// The command line before the flow: a flow is often made from arguments, and who has mistyped one, or asks for help, is
/// to hear of that, not of what follows from it.
int run_by_hand(const flow& flow, const std::string& program, const std::vector<std::string>& args) {
  auto options = runtime::parse_run_options(args);
  if (!options) {
    std::cerr << program << ": " << options.error().message << "\n";
    return bad_usage;
  }
  switch (options->mode) {
  case runtime::run_mode::describe:
    std::cout << to_json(flow.spec());
    return when_printed(program, ok);
  case runtime::run_mode::help:
    std::cout << runtime::run_help(program, flow.name().value);
    return when_printed(program, ok);
  case runtime::run_mode::peek:
  case runtime::run_mode::dead_letters:
  case runtime::run_mode::local:
    break;
  }
  const auto state_dir =
    options->state_dir.empty() ? runtime::default_state_dir(flow.name()) : options->state_dir;
  if (options->mode == runtime::run_mode::peek)
    return when_printed(program, runtime::peek_local(state_dir, queue_name{options->peek_queue}));
  if (options->mode == runtime::run_mode::dead_letters)
    return when_printed(program, runtime::print_letters(state_dir));
  for (const auto& text : runtime::idle_options(*options, flow.spec()))
    std::cerr << program << ": " << text << "\n";
  runtime::local_options local;
  local.spec = flow.spec();
  local.bodies = flow.bodies();
  local.state_dir = state_dir;
  local.feeds = options->feeds;
  local.requeues = options->requeues;
  local.http = options->http;
  local.access_log_dir = options->access_log_dir;
  local.restart = options->restart;
  return runtime::run_local(std::move(local));
}

} // namespace

int run(flow& flow, int argc, char** argv) {
  const std::string program = argc > 0 ? std::filesystem::path{argv[0]}.filename().string() : "flow";
  process::hold_standard_streams();
  try {
    if (auto started_by_node = process::read_host_environment())
      return runtime::run_host(*started_by_node, flow.spec(), flow.bodies());
    return run_by_hand(flow, program, {argv + (argc > 0 ? 1 : 0), argv + argc});
  } catch (const flow_error& e) {
    std::cerr << program << ": " << e.what() << "\n";
    return bad_usage;
  } catch (const std::exception& e) {
    std::cerr << program << ": " << e.what() << "\n";
    return failed;
  }
}

} // namespace sluice
