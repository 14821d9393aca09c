#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/cli/wait.hpp"
#include "runtime/config/quantity.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <ostream>

namespace sluice::cli {

namespace {

struct delete_arguments {
  std::string target;
  bool detach = false;
  std::string wait = "60s";
  client_options_ptr client;
};

int run(const environment& env, const delete_arguments& args) {
  auto target = split_target(args.target, {"flow"});
  if (!target)
    return complain(env, target.error());
  auto timeout = config::parse_duration(args.wait);
  if (!timeout)
    return complain(env, {errc::invalid_argument, "--wait: " + timeout.error().message});
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  client::api::DeleteFlowRequest request;
  request.set_flow(target->id);
  if (auto done = (*head)->delete_flow(request); !done)
    return complain(env, done.error());
  if (args.client->format() == output::json)
    env.out << to_json(request);
  if (args.detach) {
    talk(env) << args.target << " is drained and then deleted\n";
    return ok;
  }
  // Nothing but its end takes a flow out of `deleting`: one of that name in another phase is a new one.
  auto is_it = [&](const auto& flow) { return flow.name() == target->id && flow.phase() == "deleting"; };
  return wait_until(
    env, **head, *timeout,
    [&](const client::api::SnapshotReply& snapshot) -> std::optional<int> {
      if (std::any_of(snapshot.flows().begin(), snapshot.flows().end(), is_it))
        return std::nullopt;
      talk(env) << args.target << " is deleted; its queues stay, see `sluice list queues`\n";
      return ok;
    },
    [&](const client::api::SnapshotReply&) {
      return complain(env,
                      {errc::timeout, args.target + " is still draining before it is deleted; that goes on"});
    });
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<delete_arguments>();
  app.add_option("TARGET", args->target, "flow/NAME")->required();
  app.add_flag("--detach", args->detach, "do not wait until it is gone");
  app.add_option("--wait", args->wait, "how long to wait [60s]")->type_name("SPAN");
  args->client = add_client_options(app);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command delete_command{"delete", "Drain a flow and forget it; its queues stay", "",
                             "  sluice delete flow/orders\n"
                             "  sluice delete flow/orders --detach",
                             declare};

} // namespace sluice::cli
