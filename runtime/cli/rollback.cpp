#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/count_check.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/cli/rollout.hpp"
#include "runtime/config/quantity.hpp"

#include <CLI/CLI.hpp>

#include <ostream>

namespace sluice::cli {

namespace {

struct rollback_arguments {
  std::string target;
  std::uint64_t to = 0;
  bool detach = false;
  std::string wait = "60s";
  client_options_ptr client;
};

int run(const environment& env, const rollback_arguments& args) {
  auto target = split_target(args.target, {"flow"});
  if (!target)
    return complain(env, target.error());
  auto timeout = config::parse_duration(args.wait);
  if (!timeout)
    return complain(env, {errc::invalid_argument, "--wait: " + timeout.error().message});
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  client::api::RollbackRequest request;
  request.set_flow(target->id);
  request.set_to_version(args.to);
  request.set_request_id(env.make_id());
  auto reply = (*head)->rollback(request);
  if (!reply)
    return complain(env, reply.error());
  if (args.client->format() == output::json)
    env.out << to_json(*reply);
  talk(env) << args.target << " goes back, counted as version " << reply->version() << "\n";
  return args.detach ? ok : wait_for_version(env, **head, target->id, reply->version(), *timeout);
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<rollback_arguments>();
  app.add_option("TARGET", args->target, "flow/NAME")->required();
  app.add_option("--to", args->to, "version to go back to [the one before]")
    ->type_name("VERSION")
    ->check(count_check(1));
  app.add_flag("--detach", args->detach, "do not wait until it runs");
  app.add_option("--wait", args->wait, "how long to wait [60s]")->type_name("SPAN");
  args->client = add_client_options(app);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command rollback_command{"rollback", "Make an older version of a flow run again",
                               "This is a rolling update like any other: nothing is lost on the way.",
                               "  sluice rollback flow/orders\n"
                               "  sluice rollback flow/orders --to 3",
                               declare};

} // namespace sluice::cli
