#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/format.hpp"
#include "runtime/cli/kinds.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/config/suggest.hpp"

#include <CLI/CLI.hpp>

#include <ostream>

namespace sluice::cli {

namespace {

constexpr std::uint32_t events_searched_max = 10'000;
constexpr int log_lines_shown_max = 20;

struct get_arguments {
  std::string target;
  client_options_ptr client;
};

/// The one with this id.
result<const google::protobuf::Message*> pick(const kind& what, const message_list& all,
                                              const std::string& id) {
  std::vector<std::string> ids;
  for (const auto* one : all) {
    ids.push_back(what.id(*one));
    if (ids.back() == id)
      return one;
  }
  auto shown = std::string{what.name} + "/" + id;
  std::vector<std::string_view> views{ids.begin(), ids.end()};
  return fail(errc::not_found, "there is no " + shown + config::did_you_mean(id, views) + "\n`sluice list "
                                 + std::string{what.plural} + "` shows those there are");
}

/// What a flow's hosts died of, with their last words.
void print_crashes(const environment& env, const api::SnapshotReply& snapshot, const std::string& flow) {
  for (const auto& node : snapshot.nodes())
    for (const auto& host : node.hosts()) {
      if (host.flow() != flow || !host.has_last_crash())
        continue;
      const auto& crash = host.last_crash();
      env.out << "last crash of host/" << host.id() << " on node/" << node.id() << ":\n  "
              << date_text(crash.at_unix_ms()) << "  " << fit(crash.reason(), 0) << ", restarts "
              << host.restarts() << "\n";
      for (auto i = std::max(0, crash.log_tail_size() - log_lines_shown_max); i < crash.log_tail_size(); ++i)
        env.out << "    " << fit(crash.log_tail(i), 0) << "\n";
    }
}

/// Replicas of a flow that do not run, with the reason.
void print_troubled_replicas(const environment& env, const api::SnapshotReply& snapshot,
                             const std::string& flow) {
  for (const auto& replica : snapshot.replicas())
    if (replica.flow() == flow && replica.phase() != "running")
      env.out << "replica/" << replica.id() << " of " << replica.processor() << " is " << replica.phase()
              << (replica.detail().empty() ? "" : ": ") << fit(replica.detail(), 0) << "\n";
}

int run(const environment& env, const get_arguments& args) {
  auto target = split_target(args.target, {"node", "flow", "processor", "replica", "host", "queue", "event"});
  if (!target)
    return complain(env, target.error());
  const auto& what = *find_kind(target->kind);
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  auto snapshot = (*head)->snapshot(what.name == "event" ? events_searched_max : 0);
  if (!snapshot)
    return complain(env, snapshot.error());
  if (what.name == "node" || what.name == "host") {
    auto id = whole_id(what, *snapshot, target->id);
    if (!id)
      return complain(env, id.error());
    target->id = std::move(*id);
  }
  auto found = pick(what, what.all(*snapshot), target->id);
  if (!found)
    return complain(env, found.error());
  switch (args.client->format()) {
  case output::json:
    env.out << to_json(**found);
    return ok;
  case output::name:
    env.out << what.name << "/" << what.id(**found) << "\n";
    return ok;
  case output::table:
    break;
  }
  env.out << to_lines(**found);
  if (what.name == "flow") {
    print_troubled_replicas(env, *snapshot, target->id);
    print_crashes(env, *snapshot, target->id);
  }
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<get_arguments>();
  app
    .add_option("KIND/ID", args->target,
                "for example flow/orders, processor/orders/price, node/node-3fa2c1d0")
    ->required();
  args->client = add_client_options(app);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command get_command{"get", "Show all there is to know about one thing",
                          "Of nodes and hosts the beginning of the id is enough.",
                          "  sluice get flow/orders\n"
                          "  sluice get processor/orders/price -o json",
                          declare};

} // namespace sluice::cli
