#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/table.hpp"

#include <sluice/codec/json_writer.hpp>

#include <CLI/CLI.hpp>

#include <ostream>

namespace sluice::cli {

namespace {

struct config_arguments {
  bool origin = false;
  std::string output = "table";
  std::string file;
};

void print_json(const environment& env, const config::settings& settings) {
  std::string json = "[";
  codec::json_writer writer{json};
  for (const auto& one : config::all_settings()) {
    const auto& value = settings.at(one.name);
    json += json.size() > 1 ? ",\n" : "\n";
    json += "  {\"name\": ";
    writer.string(one.name);
    json += ", \"value\": ";
    writer.string(value.text);
    json += ", \"origin\": ";
    writer.string(value.origin);
    json += "}";
  }
  env.out << json << "\n]\n";
}

int run(const environment& env, const config_arguments& args) {
  auto settings = config::load_settings({{}, env.variable, args.file, env.config_search});
  if (!settings)
    return complain(env, settings.error());
  if (auto good = config::check_values(*settings); !good)
    return complain(env, good.error());
  if (args.output == "json") {
    print_json(env, *settings);
    return ok;
  }
  std::vector<column> columns{{"SETTING"}, {"VALUE", align::left, true}};
  if (args.origin)
    columns.push_back({"ORIGIN"});
  table rows{columns};
  for (const auto& one : config::all_settings()) {
    const auto& value = settings->at(one.name);
    std::vector<cell> row{std::string{one.name}, value.text.empty() ? "-" : value.text};
    if (args.origin)
      row.push_back(value.origin);
    rows.add(std::move(row));
  }
  rows.print(env.out, env.out_terminal);
  if (settings->file.empty())
    talk(env) << "no configuration file was found\n";
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<config_arguments>();
  app.add_flag("--origin", args->origin, "say where each value comes from");
  app.add_option("-o,--output", args->output, "table or json [table]")
    ->type_name("FORMAT")
    ->check(CLI::IsMember({"table", "json"}));
  app.add_option("--config", args->file, "configuration file")->type_name("FILE");
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command config_show_command{
  "show", "Show every setting as the commands see it",
  "A flag goes before the environment (SLUICE_LINK_PORT for link-port), that before the file\n"
  "(link_port = 7410), that before the default. The first of ./sluice.toml,\n"
  "~/.config/sluice/config.toml and /etc/sluice/config.toml is read.",
  "  sluice config show --origin\n"
  "  sluice config show --config /etc/sluice/config.toml -o json",
  declare};

} // namespace sluice::cli
