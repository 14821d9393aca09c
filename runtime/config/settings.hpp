#pragma once

#include "runtime/config/options.hpp"

#include <sluice/core/result.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Where every value comes from: flag > environment > file > default.
namespace sluice::config {

/// One thing that can be set. Its name is the flag's ("link-port" is --link-port), the
/// environment's (SLUICE_LINK_PORT) and the file's (link_port or link-port).
struct setting {
  std::string_view name;
  std::string_view fallback; ///< as text; empty = none
  std::string_view help;
};

/// All settings, in the order they are shown.
std::span<const setting> all_settings();

/// "link-port" -> "SLUICE_LINK_PORT".
std::string variable_of(std::string_view name);

/// Reads an environment variable; a parameter so that tests have their own.
using variable_reader = std::function<std::optional<std::string>(const std::string&)>;

/// One value with what it is known from: "flag --link-port", "environment SLUICE_LINK_PORT",
/// "/etc/sluice/config.toml:3" or "default".
struct setting_value {
  std::string text;
  std::string origin;
};

/// Every setting's value, by name.
class settings {
public:
  const std::string& text(std::string_view name) const;
  const setting_value& at(std::string_view name) const;
  bool is_default(std::string_view name) const { return at(name).origin == "default"; }

  /// A failure that names the setting and where its value comes from.
  failure wrong(std::string_view name, const failure& why) const;

  std::map<std::string, setting_value, std::less<>> values;
  std::string file; ///< that was read; empty = none
};

struct setting_sources {
  std::map<std::string, std::string> flags; ///< by name, those that were given
  variable_reader variable;
  std::string config_file;                   ///< from --config: must exist; empty = look in `search`
  std::vector<std::filesystem::path> search; ///< the first that exists is read
};

/// `./sluice.toml`, `~/.config/sluice/config.toml`, `/etc/sluice/config.toml`.
std::vector<std::filesystem::path> default_search(const variable_reader& variable);

/// Collects all values. Fails with `invalid_argument` for a file that is no TOML or has an unknown
/// key (line and what was probably meant), with `not_found` when the named file is missing.
result<settings> load_settings(const setting_sources& from);

/// `$SLUICE_HOME` or `~/.sluice`.
result<std::filesystem::path> base_dir(const variable_reader& variable);

/// Fails where `start` or a command would refuse a value, whichever role the node has.
result<void> check_values(const settings& from);

/// How long a command waits for one answer.
result<std::chrono::milliseconds> parse_timeout(const settings& from);

/// Checks and converts what concerns a node. The join token and the state dir are left to
/// the caller: they need the disk.
result<node_options> node_options_of(const settings& from);

/// A secret from an environment variable or the file a setting names; empty = neither is set.
/// A named file that cannot be read is a failure, and so is one that others may read when
/// `must_be_private`.
result<std::string> read_secret(const settings& from, std::string_view file_setting,
                                const std::string& variable, const variable_reader& read,
                                bool must_be_private);

} // namespace sluice::config
