#include "runtime/cli/background.hpp"
#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/style.hpp"
#include "runtime/config/state_dir.hpp"

#include <sluice/codec/json_writer.hpp>

#include <CLI/CLI.hpp>

#include <ostream>

namespace sluice::cli {

namespace {

constexpr std::chrono::seconds start_deadline{60};
constexpr std::chrono::minutes own_join_token_ttl{5};
constexpr std::string_view address_auto = "auto";

struct start_arguments {
  std::map<std::string, std::string> flags;
  std::string config_file;
  std::string output = "table";
  bool head = false;
  bool no_worker = false;
  bool block = false;
  bool accept_loss = false;
};

/// What is known before the node's folder is.
struct start_plan {
  config::node_options options;
  std::string head_socket; ///< control socket of the head, where that is one of this machine
};

/// Finds the head of this machine.
result<void> find_local_head(start_plan& plan) {
  auto& options = plan.options;
  auto head = config::find_head(options.base_dir);
  bool is_named = options.address != address_auto;
  if (!head || (is_named && head->link_address != options.address)) {
    if (is_named)
      return {}; // elsewhere
    return fail(errc::unavailable,
                "no head is running below " + options.base_dir
                  + "; start one with `sluice start --head`, or name one with --address HOST:PORT");
  }
  options.address_auto = !is_named;
  options.address = head->link_address;
  plan.head_socket = head->control_socket;
  return {};
}

/// Has a join token made by this machine's head, for a worker that needs one.
result<void> ask_for_join_token(const environment& env, start_plan& plan) {
  auto& options = plan.options;
  if (plan.head_socket.empty() || !options.join_token.empty() || env.has_joined(options.state_dir))
    return {};
  client::target local;
  local.address = "unix:" + plan.head_socket;
  auto client = env.connect(local);
  if (!client)
    return fail(client);
  auto made = (*client)->create_join_token(own_join_token_ttl);
  if (!made)
    return fail(made);
  options.join_token = made->token();
  return {};
}

result<start_plan> plan_of(const environment& env, const start_arguments& args) {
  auto flags = args.flags;
  if (args.head)
    flags["head"] = "true";
  if (args.no_worker)
    flags["worker"] = "false";
  auto settings = config::load_settings({flags, env.variable, args.config_file, env.config_search});
  if (!settings)
    return fail(settings);
  auto options = config::node_options_of(*settings);
  if (!options)
    return fail(options);
  auto base = config::base_dir(env.variable);
  if (!base)
    return fail(base);
  options->base_dir = base->string();
  if (args.accept_loss && !options->head)
    return fail(errc::invalid_argument,
                "only a head has queues and flows to lose: --accept-loss needs --head");
  options->accept_loss = args.accept_loss;
  if (options->head)
    return start_plan{std::move(*options), {}};
  auto token = config::read_secret(*settings, "join-token-file", "SLUICE_JOIN_TOKEN", env.variable, false);
  if (!token)
    return fail(token);
  options->join_token = *token;
  start_plan plan{std::move(*options), {}};
  if (auto done = find_local_head(plan); !done)
    return fail(done);
  return plan;
}

/// Claims the state dir that was named, or the usual one.
result<config::state_claim> claim(config::node_options& options) {
  namespace fs = std::filesystem;
  if (options.state_dir.empty() && !options.head) {
    auto claimed = config::claim_worker_dir(options.base_dir);
    if (!claimed)
      return fail(claimed);
    options.state_dir = claimed->path.string();
    return std::move(claimed->claim);
  }
  if (options.state_dir.empty())
    options.state_dir = (fs::path{options.base_dir} / "head").string();
  options.state_dir = fs::absolute(options.state_dir).string();
  return config::claim_state_dir(options.state_dir);
}

std::int64_t unix_ms_now() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::string to_json(const config::ready_info& info) {
  std::string json = "{\n  \"pid\": " + std::to_string(info.pid);
  codec::json_writer writer{json};
  auto add = [&](const char* name, const std::string& value) {
    json += std::string{",\n  \""} + name + "\": ";
    writer.string(value);
  };
  add("role", info.role);
  add("node_id", info.node_id);
  add("link_address", info.link_address);
  add("control_address", info.control_address);
  add("control_socket", info.control_socket);
  add("http_address", info.http_address);
  add("state_dir", info.state_dir);
  add("ca_fingerprint", info.ca_fingerprint);
  if (!info.warning.empty())
    add("warning", info.warning);
  return json + "\n}\n";
}

/// @param is_found commands look for this head by themselves
void print_ready(const environment& env, const config::ready_info& info, const std::string& log_file,
                 bool is_found) {
  style paint{env.out_terminal};
  auto line = [&](const char* name, const std::string& value) {
    if (!value.empty())
      env.out << "  " << paint.dim(name) << value << "\n";
  };
  bool is_head = info.role == "head";
  env.out << paint.good(is_head ? "head is up" : "worker is up") << (info.node_id.empty() ? "" : "  ")
          << info.node_id << "  pid " << info.pid << "\n";
  line("link     ", info.link_address);
  line("control  ", info.control_address);
  line("socket   ", info.control_socket);
  line("http     ", info.http_address);
  line("state    ", info.state_dir);
  line("log      ", log_file);
  if (!is_head) {
    env.out << "\nnext:\n  sluice status\n  sluice stop --state-dir " << info.state_dir << "\n";
    return;
  }
  env.out << "\n";
  if (is_found)
    env.out << "add a worker on this machine:\n  sluice start --address auto\n";
  if (!info.join_token.empty()) {
    env.out << (is_found ? "add a worker on another machine" : "add a worker")
            << (is_found && info.link_address.starts_with("127.") ? " (needs a head with --listen)" : "")
            << ":\n  echo '" << info.join_token << "' > join-token\n  sluice start --address "
            << info.link_address << " --join-token-file join-token\n";
  }
  const auto to = is_found ? std::string{} : " --control unix:" + info.control_socket;
  env.out << "next:\n  sluice submit BINARY" << to << "\n  sluice status --watch" << to << "\n  sluice stop"
          << (is_found ? std::string{} : " --state-dir " + info.state_dir) << "\n";
}

/// Runs the node in this process, with its record on disk while it serves.
result<void> serve(const environment& env, const config::node_options& options,
                   const config::state_claim& claim, const std::string& log_file, const say_ready& on_ready) {
  claim.sign();
  config::remove_node_record(options.state_dir); // of a process that was killed
  const auto listed = config::list_node(options.base_dir, options.state_dir);
  const auto& runner = options.head ? env.run_head : env.run_worker;
  bool has_served = false;
  auto done = runner(options, [&](const config::ready_info& info) {
    config::node_record record{info.role,         info.node_id,         info.pid,
                               info.link_address, info.control_address, info.control_socket,
                               log_file,          unix_ms_now(),        info.http_address};
    auto told = info;
    const auto warn = [&](const failure& why, const std::string& what) {
      told.warning += (told.warning.empty() ? "" : "\nwarning: ") + why.message + "; " + what;
    };
    if (auto written = config::write_node_record(options.state_dir, record); !written)
      warn(written.error(), "commands will not find this node's address");
    if (!listed)
      warn(listed.error(), "`sluice stop` finds this node only with --state-dir " + options.state_dir);
    has_served = true;
    on_ready(told);
  });
  config::remove_node_record(options.state_dir);
  config::unlist_node(options.base_dir);
  if (!done && !has_served)
    config::remove_unused_dir(options.state_dir, claim);
  return done;
}

int run(const environment& env, const start_arguments& args) {
  auto plan = plan_of(env, args);
  if (!plan)
    return complain(env, plan.error());
  auto* options = &plan->options;
  auto claimed = claim(*options);
  if (!claimed)
    return complain(env, claimed.error());
  if (auto done = ask_for_join_token(env, *plan); !done) {
    config::remove_unused_dir(options->state_dir, *claimed);
    return complain(env, done.error());
  }
  auto say = [&](const config::ready_info& info, const std::string& log_file) {
    if (!info.warning.empty())
      talk(env) << "warning: " << info.warning << "\n"; // in JSON it is a member
    if (args.output == "json")
      env.out << to_json(info) << std::flush;
    else
      print_ready(env, info, log_file,
                  std::filesystem::path{options->state_dir}
                    == std::filesystem::path{options->base_dir} / "head");
    env.out << std::flush;
  };
  if (args.block) {
    auto done = serve(env, *options, *claimed, "", [&](const config::ready_info& info) { say(info, ""); });
    return done ? ok : complain(env, done.error());
  }
  auto log_file = (std::filesystem::path{options->state_dir} / "node.log").string();
  auto ready = run_in_background(log_file, start_deadline, [&](const say_ready& on_ready) {
    return serve(env, *options, *claimed, log_file, on_ready);
  });
  if (!ready)
    return complain(env, ready.error());
  say(*ready, log_file);
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<start_arguments>();
  app.add_flag("--head", args->head, "run the head of a new cluster, or of the one in the state folder");
  for (auto name : {"address", "join-token-file"})
    add_setting(app, args->flags, name);
  app.add_flag("--no-worker", args->no_worker, "head only: run no flows on this node");
  app.add_flag("--block", args->block, "stay in the foreground; SIGTERM, SIGHUP and Ctrl-C drain and stop");
  app.add_flag("--accept-loss", args->accept_loss,
               "head: start although queue.db or cluster.db is gone or another one, without what was in it");
  for (auto name :
       {"state-dir", "listen", "link-port", "control-port", "relay-port", "http", "http-certificate",
        "http-key", "cpus", "memory", "queue-size-max", "labels", "log-level"})
    add_setting(app, args->flags, name);
  app
    .add_option("--config", args->config_file,
                "configuration file [./sluice.toml, ~/.config/sluice, /etc/sluice]")
    ->type_name("FILE");
  app.add_option("-o,--output", args->output, "table or json [table]")
    ->type_name("FORMAT")
    ->check(CLI::IsMember({"table", "json"}));
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command start_command{
  "start", "Start a node on this machine: the head of a cluster, or a worker",
  "Goes to the background once it serves and prints what to type next. Everything listens on\n"
  "127.0.0.1 unless --listen says otherwise; links are TLS with certificates of the cluster's own CA,\n"
  "and who joins needs a token.",
  "  sluice start --head\n"
  "  sluice start --address 10.0.0.5:7410 --join-token-file join-token --labels zone=a",
  declare};

} // namespace sluice::cli
