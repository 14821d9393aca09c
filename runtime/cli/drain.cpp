#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/kinds.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/cli/wait.hpp"
#include "runtime/config/quantity.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <ostream>
#include <vector>

namespace sluice::cli {

namespace {

struct drain_arguments {
  std::string target;
  bool resume = false;
  bool detach = false;
  std::string wait = "60s";
  client_options_ptr client;
};

std::string replicas_left(const client::api::SnapshotReply& snapshot, const kind_and_id& target) {
  auto left = std::count_if(snapshot.replicas().begin(), snapshot.replicas().end(), [&](const auto& replica) {
    return target.kind == "flow" ? replica.flow() == target.id : replica.node() == target.id;
  });
  return std::to_string(left) + (left == 1 ? " replica is" : " replicas are") + " left";
}

/// The phase of the flow or node; empty when there is none of that name.
std::string phase_of(const client::api::SnapshotReply& snapshot, const kind_and_id& target) {
  if (target.kind == "flow") {
    for (const auto& flow : snapshot.flows())
      if (flow.name() == target.id)
        return flow.phase();
    return {};
  }
  for (const auto& node : snapshot.nodes())
    if (node.id() == target.id)
      return node.phase();
  return {};
}

int wait_drained(const environment& env, client::control_client& head, const kind_and_id& target,
                 std::chrono::milliseconds timeout) {
  auto name = target.kind + "/" + target.id;
  auto verdict = [&](const client::api::SnapshotReply& snapshot) -> std::optional<int> {
    auto phase = phase_of(snapshot, target);
    if (phase.empty())
      return complain(env, {errc::not_found, name + " is gone"});
    if (phase == "dead" || phase == "left")
      return complain(env, {errc::unavailable, name + " is " + phase + "; its work goes to other nodes"});
    if (phase != "drained")
      return std::nullopt;
    talk(env) << name << " is drained; take it up again with: sluice drain " << name << " --resume\n";
    return ok;
  };
  return wait_until(env, head, timeout, verdict, [&](const client::api::SnapshotReply& snapshot) {
    return complain(env, {errc::timeout, name + " is still draining: " + replicas_left(snapshot, target)
                                           + "; it goes on, run this again to wait longer"});
  });
}

int run(const environment& env, const drain_arguments& args) {
  auto target = split_target(args.target, {"flow", "node"});
  if (!target)
    return complain(env, target.error());
  auto timeout = config::parse_duration(args.wait);
  if (!timeout)
    return complain(env, {errc::invalid_argument, "--wait: " + timeout.error().message});
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  if (target->kind == "node") {
    const auto snapshot = (*head)->snapshot(0);
    auto id = snapshot ? whole_id(*find_kind("node"), *snapshot, target->id) : fail(snapshot);
    if (!id)
      return complain(env, id.error());
    target->id = std::move(*id);
  }
  const auto name = target->kind + "/" + target->id;
  client::api::DrainRequest request;
  if (target->kind == "flow")
    request.set_flow(target->id);
  else
    request.set_node(target->id);
  request.set_resume(args.resume);
  if (auto done = (*head)->drain(request); !done)
    return complain(env, done.error());
  if (args.client->format() == output::json)
    env.out << to_json(request);
  if (args.resume)
    talk(env) << name << " takes work again\n";
  else if (args.detach)
    talk(env) << name << " is draining\n";
  else
    return wait_drained(env, **head, *target, *timeout);
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<drain_arguments>();
  app.add_option("TARGET", args->target, "flow/NAME or node/ID; of an id the beginning is enough")
    ->required();
  app.add_flag("--resume", args->resume, "take work again");
  app.add_flag("--detach", args->detach, "do not wait until nothing is in flight");
  app.add_option("--wait", args->wait, "how long to wait [60s]")->type_name("SPAN");
  args->client = add_client_options(app);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command drain_command{
  "drain", "Let a flow or a node finish what it has and take no more",
  "A drained flow keeps its place and its backlog. A drained node's replicas are placed on other\n"
  "nodes. Waits until nothing is in flight; safe to run again.",
  "  sluice drain flow/orders\n"
  "  sluice drain node/node-3fa2c1d0 --resume",
  declare};

} // namespace sluice::cli
