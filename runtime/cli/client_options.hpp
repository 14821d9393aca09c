#pragma once

#include "runtime/cli/command.hpp"

#include <map>
#include <memory>
#include <string>

namespace sluice::cli {

enum class output { table, json, name };

/// What every command that talks to a head accepts.
struct client_options {
  std::map<std::string, std::string> flags; ///< settings given as flags, by name
  std::string config_file;
  std::string output_text = "table";

  output format() const noexcept {
    return output_text == "json" ? output::json : output_text == "name" ? output::name : output::table;
  }
};

using client_options_ptr = std::shared_ptr<client_options>;

/// Adds a flag for a setting; its value lands in `flags`.
void add_setting(CLI::App& app, std::map<std::string, std::string>& flags, std::string_view name);

/// Adds --control, --token-file, --ca-pin, --timeout, --config and, with `with_output`, -o.
client_options_ptr add_client_options(CLI::App& app, bool with_output = true);

/// Where the head is, from flag > environment > file > the head on this machine.
result<client::target> target_of(const environment& env, const client_options& options);

/// A client of that head.
result<std::unique_ptr<client::control_client>> connect(const environment& env,
                                                        const client_options& options);

/// "flow/orders" in two. Fails with `invalid_argument` naming the kinds that are possible.
struct kind_and_id {
  std::string kind;
  std::string id;
};
result<kind_and_id> split_target(const std::string& text, std::initializer_list<std::string_view> kinds);

} // namespace sluice::cli
