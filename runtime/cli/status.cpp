#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/cli/status_screen.hpp"
#include "runtime/cli/style.hpp"
#include "runtime/config/quantity.hpp"

#include <CLI/CLI.hpp>

#include <ostream>

namespace sluice::cli {

namespace {

constexpr std::uint32_t events_in_json = 20;

struct status_arguments {
  std::string watch; ///< interval; empty = once
  client_options_ptr client;
};

/// Draws again and again, in place on a terminal, until Ctrl-C. A head that is away for a
/// while is said so and waited for.
int watch(const environment& env, client::control_client& head, std::chrono::milliseconds interval,
          bool as_json) {
  constexpr std::string_view home_and_clear = "\x1b[H\x1b[2J";
  do {
    auto snapshot = head.snapshot(events_in_json);
    std::string text;
    if (snapshot)
      text = as_json ? to_json(*snapshot) : status_screen(env.measure_out(), *snapshot);
    else if (exit_code_of(snapshot.error().code) != unreachable)
      return complain(env, snapshot.error());
    else if (as_json)
      complain(env, snapshot.error());
    else
      text = style(env.out_terminal).warning(snapshot.error().message) + "\n";
    env.out << (env.out_terminal.is_terminal && !as_json ? home_and_clear : "") << text << std::flush;
    if (!env.out)
      return ok; // nobody reads any more
  } while (env.pause(interval));
  return interrupted;
}

int run(const environment& env, const status_arguments& args) {
  bool as_json = args.client->format() == output::json;
  std::chrono::milliseconds interval{0};
  if (!args.watch.empty()) {
    auto parsed = config::parse_duration(args.watch);
    if (!parsed || *parsed < std::chrono::milliseconds{100})
      return complain(
        env, {errc::invalid_argument,
              "--watch: "
                + (parsed ? "'" + args.watch + "' is too short: at least 100ms" : parsed.error().message)});
    interval = *parsed;
  }
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  if (interval.count() > 0)
    return watch(env, **head, interval, as_json);
  auto snapshot = (*head)->snapshot(events_in_json);
  if (!snapshot)
    return complain(env, snapshot.error());
  if (as_json)
    env.out << to_json(*snapshot);
  else if (args.client->format() == output::name)
    env.out << "cluster/" << snapshot->cluster_id() << "\n";
  else
    env.out << status_screen(env.out_terminal, *snapshot);
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<status_arguments>();
  app.add_option("--watch", args->watch, "draw it again every SPAN until Ctrl-C [2s]")
    ->type_name("SPAN")
    ->expected(0, 1)
    ->default_str("2s");
  args->client = add_client_options(app);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command status_command{
  "status", "Show nodes, flows, backlogs and the last events on one screen",
  "Made for 80 columns and 24 lines or more. In less, columns and lines are left out by importance,\n"
  "those of flows in trouble last. The smallest is 40 columns and 10 lines: below that lines are cut.\n"
  "DONE counts what the head was told since it started; `sluice list --help` says more.",
  "  sluice status --watch\n"
  "  sluice status -o json",
  declare};

} // namespace sluice::cli
