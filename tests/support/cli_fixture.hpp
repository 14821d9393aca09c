#pragma once

#include "tests/support/fake_control_client.hpp"
#include "tests/support/subprocess.hpp"
#include "runtime/cli/command.hpp"

#include <csignal>
#include <cstdlib>
#include <deque>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace sluice::test {

/// Runs commands against a fake head, with streams of its own, no terminal, and a clock that
/// only moves while a command waits.
class cli_fixture {
public:
  cli_fixture() {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    variables["HOME"] = dir.path().string();
  }

  /// Runs one command line; the exit code. `out` and `err` hold what it printed.
  int run(const std::vector<std::string>& args, const std::string& input = {}) {
    if (!input.empty())
      pieces.push_back({cli::input_piece::outcome::bytes, input});
    std::ostringstream out_stream;
    std::ostringstream err_stream;
    cli::environment env{
      .open_input = [this](const std::string& path) -> result<cli::byte_reader> {
        if (path != "-")
          return cli::open_file(path, -1);
        return [this](auto) { return result<cli::input_piece>{next_piece()}; };
      },
      .out = out_stream,
      .err = err_stream,
      .out_terminal = out_terminal,
      .measure_out = [this] { return out_terminal; },
      .err_terminal = {},
      .variable = [this](const std::string& name) -> std::optional<std::string> {
        auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional{found->second};
      },
      .config_search = config_search,
      .connect = [this](const client::target& to) -> result<std::unique_ptr<client::control_client>> {
        head.targets.push_back(to);
        if (connect_fails)
          return tl::unexpected{*connect_fails};
        return std::make_unique<fake_control_client>(head);
      },
      .describe =
        [this](const std::filesystem::path&, const std::vector<std::string>&, const flow_variables& given) {
          described_with = given;
          return described;
        },
      .run_head = [this](const config::node_options& options,
                         auto on_ready) { return run_node(options, on_ready); },
      .run_worker = [this](const config::node_options& options,
                           auto on_ready) { return run_node(options, on_ready); },
      .has_joined = [this](const std::filesystem::path&) { return has_joined; },
      .pause =
        [this](std::chrono::milliseconds span) {
          if (span.count() == 0) // a look whether Ctrl-C was pressed
            return pauses_until_interrupt > 0;
          clock += span;
          if (on_pause)
            on_pause();
          return pauses_until_interrupt-- > 0;
        },
      .ending_signal = [this] { return ended_by; },
      .now = [this] { return std::chrono::steady_clock::time_point{} + clock; },
      .make_id = [] { return std::string{"an-id"}; }};
    auto code = cli::run(env, args);
    pieces.clear();
    out = out_stream.str();
    err = err_stream.str();
    return code;
  }

  bool out_has(std::string_view text) const { return out.find(text) != std::string::npos; }
  bool err_has(std::string_view text) const { return err.find(text) != std::string::npos; }

  cli::input_piece next_piece() {
    if (pieces.empty())
      return {cli::input_piece::outcome::end};
    auto next = std::move(pieces.front());
    pieces.pop_front();
    if (next.came == cli::input_piece::outcome::signal)
      ended_by = SIGTERM;
    return next;
  }

  result<void> run_node(const config::node_options& options,
                        const std::function<void(const config::ready_info&)>& on_ready) {
    node_options = options;
    if (!node_runs)
      return node_runs;
    config::ready_info info;
    info.role = options.head ? "head" : "worker";
    info.node_id = "node-1";
    info.pid = ::getpid();
    info.link_address = "127.0.0.1:7410";
    info.state_dir = options.state_dir;
    info.join_token = options.head ? "slj1.first" : "";
    info.warning = node_warns;
    on_ready(info);
    if (while_serving)
      while_serving();
    return {};
  }

  temp_dir dir;
  fake_head head;
  std::map<std::string, std::string> variables;
  std::vector<std::filesystem::path> config_search;
  cli::terminal out_terminal;
  std::optional<failure> connect_fails;
  bool has_joined = false;
  result<flow_spec> described{flow_spec{}};
  flow_variables described_with; ///< at the last submit
  result<void> node_runs;
  std::string node_warns;
  std::function<void()> while_serving;
  std::function<void()> on_pause;
  config::node_options node_options; ///< of the last start in this process
  int pauses_until_interrupt = 1'000'000;
  std::deque<cli::input_piece> pieces; ///< what the standard input gives before `input`
  int ended_by = 0;                    ///< the signal that asks the command to end
  std::chrono::milliseconds clock{0};
  std::string out;
  std::string err;
};

} // namespace sluice::test
