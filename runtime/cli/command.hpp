#pragma once

#include "runtime/cli/input.hpp"
#include "runtime/config/options.hpp"
#include "runtime/config/settings.hpp"
#include "sdk/client/control_client.hpp"

#include <sluice/core/flow_variables.hpp>
#include <sluice/core/result.hpp>
#include <sluice/flow_spec.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace sluice::cli {

/// What a stream can show.
struct terminal {
  bool is_terminal = false;
  bool colours = false;
  std::size_t width = 0;  ///< columns; 0 = unlimited
  std::size_t height = 0; ///< lines; 0 = unlimited
};

/// Starts a node and blocks until it was told to stop. `on_ready` is called once, when it serves; a
/// failure before that is why it does not.
using node_runner = std::function<result<void>(const config::node_options&,
                                               std::function<void(const config::ready_info&)> on_ready)>;

/// What a command may touch. Tests pass string streams, a fake client and a pause that
/// returns at once.
struct environment {
  /// Opens a file, or with "-" the standard input. A failure says which and why.
  std::function<result<byte_reader>(const std::string& path)> open_input;
  std::ostream& out; ///< data
  std::ostream& err; ///< talk
  terminal out_terminal;
  std::function<terminal()> measure_out; ///< the same now: windows change their size
  terminal err_terminal;
  config::variable_reader variable;
  std::vector<std::filesystem::path> config_search;
  std::function<result<std::unique_ptr<client::control_client>>(const client::target&)> connect;
  std::function<result<flow_spec>(const std::filesystem::path& binary, const std::vector<std::string>& args,
                                  const flow_variables& env)>
    describe;
  node_runner run_head;
  node_runner run_worker;
  /// Whether the worker of this state dir has a certificate that is still good: then it needs no join token.
  std::function<bool(const std::filesystem::path& state_dir)> has_joined;
  /// Waits. False = the user pressed Ctrl-C.
  std::function<bool(std::chrono::milliseconds)> pause;
  /// The signal that asked the process to end; 0 = none. From the first call on the first SIGINT or
  /// SIGTERM no longer ends the process by itself; the next one does.
  std::function<int()> ending_signal;
  std::function<std::chrono::steady_clock::time_point()> now;
  std::function<std::string()> make_id; ///< a random id for requests
  bool json_errors = false;             ///< `-o json`: what went wrong is JSON too
};

/// How a command ends. Stable: scripts test for it.
enum exit_code : int {
  ok = 0,
  failed = 1,
  bad_usage = 2,
  not_found = 3,
  not_allowed = 4,
  unreachable = 5, ///< or not in time
  conflict = 6,
  partly_failed = 7,
  no_capacity = 8,
  interrupted = 130,
};

exit_code exit_code_of(errc code) noexcept;

/// Says what went wrong on stderr; returns the exit code for it. `note` is what to know or do about it, whole lines: they
/// stand behind the error, and in JSON in its member `note`.
int complain(const environment& env, const failure& why, std::string_view note = {});

/// Where to say what is neither data nor an error: stderr, but nowhere with `-o json`, for which all that stands there
/// is an error.
std::ostream& talk(const environment& env);

/// What a command does once its arguments are read.
using action = std::function<int()>;

/// One row of the command table, or a group of further ones.
struct command {
  std::string_view name;     ///< as typed: "drain"
  std::string_view synopsis; ///< one line, starts with a verb, no full stop
  std::string_view details;  ///< a paragraph for --help; may be empty
  std::string_view examples; ///< two lines, each a command that works when pasted
  /// Adds options to `app`. The action may use what it captured and `env`.
  action (*declare)(CLI::App& app, const environment& env) = nullptr;
  std::span<const command* const> children = {}; ///< a group has these and no `declare`
};

/// All commands, in the order of the help.
std::span<const command* const> commands();

/// Looks the command up, reads its arguments and runs it. `args` without the program's name.
int run(const environment& env, const std::vector<std::string>& args);

} // namespace sluice::cli
