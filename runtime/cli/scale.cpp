#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/config/quantity.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <ostream>

namespace sluice::cli {

namespace {

constexpr std::uint64_t replicas_max = 100'000;

struct scale_arguments {
  std::string target;
  std::string replicas;
  client_options_ptr client;
};

/// Empty when it is not known.
std::string phase_of(const result<client::api::SnapshotReply>& snapshot, const std::string& name) {
  if (snapshot)
    for (const auto& flow : snapshot->flows())
      if (flow.name() == name)
        return flow.phase();
  return {};
}

/// "processor/orders/price", as other commands write it, is as good: no name has a '/'.
std::string without_kind(const std::string& target) {
  constexpr std::string_view kind = "processor/";
  const auto slashes = std::count(target.begin(), target.end(), '/');
  return slashes == 2 && target.starts_with(kind) ? target.substr(kind.size()) : target;
}

int run(const environment& env, scale_arguments args) {
  args.target = without_kind(args.target);
  auto slash = args.target.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == args.target.size())
    return complain(env, {errc::invalid_argument, "scale what? '" + args.target + "' is not FLOW/PROCESSOR"});
  auto replicas = config::parse_count(args.replicas, 0, replicas_max);
  if (!replicas)
    return complain(env, {errc::invalid_argument, "replicas: " + replicas.error().message});
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  client::api::ScaleRequest request;
  request.set_flow(args.target.substr(0, slash));
  request.set_processor(args.target.substr(slash + 1));
  request.set_replicas(static_cast<std::uint32_t>(*replicas));
  if (auto done = (*head)->scale(request); !done) {
    const bool is_kind = done.error().code == errc::not_found && request.flow() == "flow";
    return complain(env, done.error(),
                    is_kind ? "write FLOW/PROCESSOR, for example: " + request.processor() + "/PROCESSOR\n"
                            : "");
  }
  if (args.client->format() == output::json)
    env.out << to_json(request);
  const auto phase = phase_of((*head)->snapshot(0), request.flow());
  talk(env) << args.target << " will have " << *replicas << (*replicas == 1 ? " replica" : " replicas");
  if (phase == "draining" || phase == "drained")
    talk(env) << " when its flow takes work again: it is " << phase << "; `sluice drain flow/"
              << request.flow() << " --resume` does that\n";
  else
    talk(env) << "; watch it with `sluice status --watch`\n";
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<scale_arguments>();
  app.add_option("FLOW/PROCESSOR", args->target, "what to scale")->required();
  app.add_option("N", args->replicas, "how many replicas it should have")->required();
  args->client = add_client_options(app);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command scale_command{
  "scale", "Set how many replicas a processor has",
  "Returns at once; the cluster starts or drains replicas until the number is right.",
  "  sluice scale orders/price 4\n"
  "  sluice scale orders/price 0 --timeout 30s",
  declare};

} // namespace sluice::cli
