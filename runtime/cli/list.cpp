#include "runtime/cli/list.hpp"

#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/kinds.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/config/suggest.hpp"

#include <CLI/CLI.hpp>

#include <ostream>

namespace sluice::cli {

namespace {

constexpr std::uint32_t events_shown_max = 1000;

struct filter {
  std::string field;
  std::string value;
};

std::vector<std::string_view> plurals() {
  std::vector<std::string_view> all;
  for (const auto& one : all_kinds())
    all.push_back(one.plural);
  return all;
}

result<std::vector<filter>> read_filters(const kind& what, const std::vector<std::string>& texts) {
  std::vector<filter> filters;
  for (const auto& text : texts) {
    auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(errc::invalid_argument, "-f '" + text + "' is not KEY=VALUE");
    auto field = text.substr(0, equals);
    if (!field_text(*what.prototype, field)) {
      auto known = field_names(*what.prototype);
      std::string all;
      for (auto name : known)
        all += (all.empty() ? "" : ", ") + std::string{name};
      for (const auto& name : map_names(*what.prototype))
        all += ", " + name + ".KEY";
      return fail(errc::invalid_argument, std::string{what.plural} + " have no field '" + field + "'"
                                            + config::did_you_mean(field, known) + "\nfields: " + all);
    }
    filters.push_back({field, text.substr(equals + 1)});
  }
  return filters;
}

/// The tables write a processor as FLOW/PROCESSOR: one is found by that, too.
bool passes(const google::protobuf::Message& one, const std::vector<filter>& filters) {
  return std::all_of(filters.begin(), filters.end(), [&](const filter& want) {
    const auto text = field_text(one, want.field).value_or("");
    const bool is_processor = want.field == "processor" || want.field == "name";
    const auto flow = is_processor ? field_text(one, "flow") : std::nullopt;
    return text == want.value || (flow && *flow + "/" + text == want.value);
  });
}

} // namespace

int run_list(const environment& env, const list_arguments& args) {
  const auto* what = find_kind(args.kind);
  if (what == nullptr)
    return complain(env, {errc::invalid_argument,
                          "there are no '" + args.kind + "'" + config::did_you_mean(args.kind, plurals())
                            + "\nkinds: nodes, flows, processors, replicas, hosts, queues, events"});
  auto filters = read_filters(*what, args.filters);
  if (!filters)
    return complain(env, filters.error());
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  auto snapshot = (*head)->snapshot(what->name == "event" ? events_shown_max : 0);
  if (!snapshot)
    return complain(env, snapshot.error());
  message_list shown;
  for (const auto* one : what->all(*snapshot))
    if (passes(*one, *filters))
      shown.push_back(one);
  switch (args.client->format()) {
  case output::json:
    env.out << to_json(shown);
    return ok;
  case output::name:
    for (const auto* one : shown)
      env.out << what->name << "/" << what->id(*one) << "\n";
    return ok;
  case output::table:
    break;
  }
  if (shown.empty()) {
    talk(env) << "no " << what->plural << (filters->empty() ? "" : " like that") << "\n";
    return ok;
  }
  table rows{what->columns};
  for (const auto* one : shown)
    rows.add(what->row(*one, *snapshot));
  rows.print(env.out, env.out_terminal);
  return ok;
}

namespace {

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<list_arguments>();
  app.add_option("KIND", args->kind, "nodes, flows, processors, replicas, hosts, queues or events")
    ->required();
  app.add_option("-f,--filter", args->filters, "show only those whose field has this value; may be repeated")
    ->type_name("KEY=VALUE")
    ->allow_extra_args(false);
  args->client = add_client_options(app);
  return [args, &env] { return run_list(env, *args); };
}

} // namespace

const command list_command{
  "list", "List nodes, flows, processors, replicas, hosts, queues or events",
  "Filters name a field as `-o json` shows it, nested ones with dots.\n"
  "DONE and ERRORS of a processor are what the head was told since it started: replicas that\n"
  "ended before that are not in it, nor what one did in the moment before its host died. IN and OUT\n"
  "of a queue count since it was made, and miss nothing.",
  "  sluice list replicas -f phase=running\n"
  "  sluice list processors -f spec.source.kind=queue -o json",
  declare};

} // namespace sluice::cli
