#include "runtime/cli/commands.hpp"
#include "runtime/cli/style.hpp"
#include "runtime/config/quantity.hpp"
#include "runtime/config/state_dir.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ostream>
#include <signal.h>

namespace sluice::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds poll_interval{50};
constexpr std::chrono::seconds kill_patience{5}; ///< for the system to bury a killed process

struct stop_arguments {
  std::string state_dir;
  bool workers_only = false;
  bool all = false;         ///< says what is done anyway
  std::string wait = "60s"; ///< requests, then hosts, have their time to end, and hosts some after SIGTERM
};

std::string name_of(const config::found_node& node) {
  auto name = node.record ? node.record->role : node.dir.filename().string();
  if (node.record && !node.record->node_id.empty())
    name += " " + node.record->node_id;
  return name + " (pid " + std::to_string(node.pid) + ")";
}

enum class waited : std::uint8_t { gone, late, interrupted };

/// Waits until the process has let go of its folder.
waited wait_gone(const environment& env, const config::found_node& node, std::chrono::milliseconds patience) {
  auto until = env.now() + patience;
  while (config::holder_of(node.dir) == node.pid) {
    if (env.now() >= until)
      return waited::late;
    if (!env.pause(poll_interval))
      return waited::interrupted;
  }
  return waited::gone;
}

/// Waits for a node that was asked to end, and kills it when it does not; says which. Who is tired of waiting has not
/// asked for that.
int see_off(const environment& env, const config::found_node& node, std::chrono::milliseconds patience) {
  const auto ended = wait_gone(env, node, patience);
  if (ended == waited::interrupted)
    return interrupted;
  if (ended == waited::gone) {
    env.out << "stopped " << name_of(node) << "\n";
    return ok;
  }
  // The pid is signed into a lock that its process still holds: it is nobody else's by now.
  if (::kill(node.pid, SIGKILL) != 0 && errno != ESRCH)
    return complain(env,
                    {errc::permission_denied, "cannot stop " + name_of(node) + ": " + std::strerror(errno)});
  if (wait_gone(env, node, kill_patience) != waited::gone)
    return complain(env, {errc::timeout, name_of(node) + " does not end, not even when killed"});
  config::remove_node_record(node.dir);
  env.out << "killed " << name_of(node)
          << ": it did not stop in time; what it had in flight is delivered again\n";
  return ok;
}

bool is_head(const config::found_node& node) {
  return node.record ? node.record->role == "head" : node.dir.filename() == "head";
}

/// Ends the nodes together, or until it is interrupted; returns how many of them did not.
std::size_t stop_together(const environment& env, const std::vector<config::found_node>& nodes,
                          std::chrono::milliseconds patience, int& code) {
  for (const auto& node : nodes)
    ::kill(node.pid, SIGTERM); // one that cannot be asked is found out below
  std::size_t failures = 0;
  for (const auto& node : nodes)
    if (auto ended = see_off(env, node, patience); ended != ok) {
      code = ended;
      ++failures;
      if (ended == interrupted)
        break;
    }
  return failures;
}

result<std::vector<config::found_node>> find_targets(const environment& env, const stop_arguments& args) {
  if (!args.state_dir.empty()) {
    auto dir = fs::absolute(args.state_dir);
    if (auto pid = config::holder_of(dir))
      return std::vector{config::found_node{dir, *pid, config::read_node_record(dir)}};
    return std::vector<config::found_node>{};
  }
  auto base = config::base_dir(env.variable);
  if (!base)
    return fail(base);
  auto found = config::find_nodes(*base);
  if (args.workers_only)
    std::erase_if(found, is_head);
  return found;
}

failure nothing_to_stop(const stop_arguments& args) {
  if (args.state_dir.empty())
    return {errc::not_found, args.workers_only ? "no worker is running here" : "nothing is running here"};
  const auto dir = fs::absolute(args.state_dir);
  std::error_code ignored;
  return {errc::not_found, "no node is running with the state folder " + dir.string()
                             + (fs::exists(dir, ignored) ? "" : ", which is not there")
                             + "; `sluice stop` without --state-dir stops all that `start` began"};
}

int run(const environment& env, const stop_arguments& args) {
  auto patience = config::parse_duration(args.wait);
  if (!patience)
    return complain(env, {errc::invalid_argument, "--wait: " + patience.error().message});
  auto targets = find_targets(env, args);
  if (!targets)
    return complain(env, targets.error());
  if (targets->empty()) {
    return complain(env, nothing_to_stop(args));
  }
  auto heads_begin = std::stable_partition(targets->begin(), targets->end(),
                                           [](const config::found_node& node) { return !is_head(node); });
  int code = ok;
  auto failures = stop_together(env, {targets->begin(), heads_begin}, *patience, code);
  if (code != interrupted)
    failures += stop_together(env, {heads_begin, targets->end()}, *patience, code);
  if (code == interrupted) {
    env.err << "interrupted; what was asked to stop goes on with it, `sluice stop` waits for the rest\n";
    return interrupted;
  }
  return failures > 0 && failures < targets->size() ? partly_failed : code;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<stop_arguments>();
  app.add_flag("--workers", args->workers_only, "leave the head running");
  app.add_option("--state-dir", args->state_dir, "only the node with this state folder")->type_name("DIR");
  app.add_option("--wait", args->wait, "how long it may drain before it is killed [60s]")->type_name("SPAN");
  app.add_flag("--all", args->all, "everything `start` began on this machine; the default");
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command stop_command{
  "stop", "Stop the nodes that `start` began on this machine",
  "All of this user and $SLUICE_HOME, also those with a --state-dir of their own. Workers first, then\n"
  "the head. Each finishes what it has in flight; flows go on when the nodes are started again.\n"
  "Ends with 3 when there is nothing to stop.",
  "  sluice stop\n"
  "  sluice stop --state-dir ~/.sluice/worker-1",
  declare};

} // namespace sluice::cli
