#include "runtime/cli/client_options.hpp"

#include "runtime/config/quantity.hpp"
#include "runtime/config/suggest.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <vector>

namespace sluice::cli {

namespace {

const config::setting& setting_of(std::string_view name) {
  auto all = config::all_settings();
  return *std::find_if(all.begin(), all.end(), [&](const config::setting& one) { return one.name == name; });
}

} // namespace

void add_setting(CLI::App& app, std::map<std::string, std::string>& flags, std::string_view name) {
  std::string key{name};
  std::string help{setting_of(name).help};
  if (!setting_of(name).fallback.empty())
    help += " [" + std::string{setting_of(name).fallback} + "]";
  app
    .add_option_function<std::string>(
      "--" + key, [&flags, key](const std::string& text) { flags[key] = text; }, help)
    ->type_name("VALUE");
}

client_options_ptr add_client_options(CLI::App& app, bool with_output) {
  auto options = std::make_shared<client_options>();
  if (with_output)
    app.add_option("-o,--output", options->output_text, "table, json or name [table]")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"table", "json", "name"}));
  for (auto name : {"control", "token-file", "ca-pin", "timeout"}) {
    add_setting(app, options->flags, name);
    app.get_option("--" + std::string{name})->group("Head");
  }
  app
    .add_option("--config", options->config_file,
                "configuration file [./sluice.toml, ~/.config/sluice, /etc/sluice]")
    ->type_name("FILE")
    ->group("Head");
  return options;
}

result<client::target> target_of(const environment& env, const client_options& options) {
  auto settings =
    config::load_settings({options.flags, env.variable, options.config_file, env.config_search});
  if (!settings)
    return fail(settings);
  client::target to;
  auto timeout = config::parse_timeout(*settings);
  if (!timeout)
    return fail(timeout);
  to.timeout = *timeout;
  to.address = settings->text("control");
  if (to.address.empty()) {
    auto base = config::base_dir(env.variable);
    if (!base)
      return fail(base);
    to.address = "unix:" + (*base / "head" / "control.sock").string();
  }
  if (to.address.starts_with("unix:"))
    return to; // the socket's folder is the credential
  auto token = config::read_secret(*settings, "token-file", "SLUICE_TOKEN", env.variable, true);
  if (!token)
    return fail(token);
  to.token = *token;
  to.ca_pin = settings->text("ca-pin");
  return to;
}

result<std::unique_ptr<client::control_client>> connect(const environment& env,
                                                        const client_options& options) {
  auto where = target_of(env, options);
  if (!where)
    return fail(where);
  return env.connect(*where);
}

result<kind_and_id> split_target(const std::string& text, std::initializer_list<std::string_view> kinds) {
  std::string possible;
  for (auto kind : kinds)
    possible += (possible.empty() ? "" : ", ") + std::string{kind} + "/...";
  auto slash = text.find('/');
  auto kind = text.substr(0, slash);
  std::vector<std::string_view> known{kinds};
  if (std::find(known.begin(), known.end(), kind) == known.end())
    return fail(errc::invalid_argument, "'" + text + "' does not say what it is: write one of " + possible
                                          + config::did_you_mean(kind, known));
  if (slash == std::string::npos || slash + 1 == text.size())
    return fail(errc::invalid_argument, "which " + kind + "? write " + kind + "/NAME");
  return kind_and_id{kind, text.substr(slash + 1)};
}

} // namespace sluice::cli
