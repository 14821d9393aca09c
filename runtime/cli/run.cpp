#include "runtime/cli/command.hpp"
#include "runtime/cli/style.hpp"
#include "runtime/config/suggest.hpp"

#include <sluice/codec/json_writer.hpp>
#include <sluice/codec/utf8.hpp>
#include <sluice/core/disk_errc.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <exception>
#include <ostream>

namespace sluice::cli {

namespace {

constexpr std::size_t synopsis_column = 26;
constexpr std::size_t option_column = 34;
constexpr std::size_t help_width_max = 100;

/// At most `width` columns a line, broken at blanks. A word that is longer has a line of its own.
std::string wrapped(std::string_view text, std::size_t width) {
  std::string out;
  std::size_t used = 0;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (used > 0 && used + 1 + word.size() > width) {
      out += '\n';
      used = 0;
    }
    out += used > 0 ? " " : "";
    out += word;
    used += word.size() + (used > 0 ? 1 : 0);
  }
  return out;
}

/// The help of one command: usage, details, options, examples.
class help_formatter final : public CLI::Formatter {
public:
  explicit help_formatter(const command& what) : what_(what) { column_width(option_column); }

  std::string make_positionals(const CLI::App* app) const override {
    auto text = CLI::Formatter::make_positionals(app);
    constexpr std::string_view title = "Positionals:";
    if (auto at = text.find(title); at != std::string::npos)
      text.replace(at, title.size(), "Arguments:");
    return text;
  }

  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode mode) const override {
    std::string text = usage + "\n\n  " + std::string{what_.synopsis} + ".\n";
    if (!what_.details.empty())
      text += "\n" + std::string{what_.details} + "\n";
    text += make_positionals(app) + make_groups(app, mode);
    for (auto at = text.find("\n\n\n"); at != std::string::npos; at = text.find("\n\n\n"))
      text.erase(at, 1);
    text += "\nExamples:\n" + std::string{what_.examples} + "\n";
    return text;
  }

  std::string make_option_desc(const CLI::Option* option) const override {
    return wrapped(CLI::Formatter::make_option_desc(option), help_width_max - option_column);
  }

  std::string usage; ///< the first line

  std::string make_option_opts(const CLI::Option* option) const override {
    auto type = option->get_type_name();
    if (option->get_positional() || option->get_type_size() == 0)
      return {};
    return " " + type.substr(0, type.find(':')); // what a check accepts stands in the help text
  }

private:
  const command& what_;
};

std::string usage_line(const std::string& path, const CLI::App& app) {
  std::string line = "Usage: sluice " + path;
  for (const auto* option : app.get_options())
    if (option->get_positional()) {
      auto name = option->get_name(true);
      line += option->get_required() ? " " + name : " [" + name + "]";
      if (option->get_items_expected_max() > 1)
        line += "...";
    }
  return line + " [options]";
}

std::vector<std::string_view> names_of(std::span<const command* const> table) {
  std::vector<std::string_view> names;
  for (const auto* row : table)
    names.push_back(row->name);
  return names;
}

const command* find(std::span<const command* const> table, std::string_view name) {
  auto found =
    std::find_if(table.begin(), table.end(), [&](const command* row) { return row->name == name; });
  return found == table.end() ? nullptr : *found;
}

void print_table(std::ostream& to, std::span<const command* const> table, const std::string& prefix) {
  for (const auto* row : table) {
    if (!row->children.empty()) {
      print_table(to, row->children, prefix + std::string{row->name} + " ");
      continue;
    }
    auto name = prefix + std::string{row->name};
    to << "  " << name << std::string(name.size() < synopsis_column ? synopsis_column - name.size() : 1, ' ')
       << row->synopsis << "\n";
  }
}

void print_overview(std::ostream& to) {
  to << "Usage: sluice COMMAND [ARGUMENTS]\n\n"
        "  Runs flows of processors on a cluster of machines.\n\nCommands:\n";
  print_table(to, commands(), "");
  to << "\n`sluice COMMAND --help` says more about one.\n\nExamples:\n"
        "  sluice start --head\n"
        "  sluice submit ./orders\n";
}

void print_group(std::ostream& to, const command& group) {
  to << "Usage: sluice " << group.name << " COMMAND [ARGUMENTS]\n\n  " << group.synopsis
     << ".\n\nCommands:\n";
  print_table(to, group.children, "");
  to << "\nExamples:\n" << group.examples << "\n";
}

bool asks_for_help(const std::string& word) { return word == "--help" || word == "-h" || word == "help"; }

int unknown_command(const environment& env, const std::string& word, std::span<const command* const> table,
                    const std::string& prefix) {
  auto what = word.starts_with("-") ? "unknown option" : "unknown command";
  complain(env, {errc::invalid_argument, std::string{what} + " '" + prefix + word + "'"
                                           + config::did_you_mean(word, names_of(table)) + "\n`sluice "
                                           + prefix + "--help` lists what there is."});
  return bad_usage;
}

/// What CLI11 says about arguments; an unknown flag goes first, with the one that was meant.
std::string usage_problem(const CLI::App& app, const CLI::ParseError& why) {
  auto left = app.remaining();
  auto flag =
    std::find_if(left.begin(), left.end(), [](const std::string& word) { return word.starts_with("-"); });
  if (flag == left.end()) {
    bool is_extra = dynamic_cast<const CLI::ExtrasError*>(&why) != nullptr && !left.empty();
    return is_extra ? "'" + left.front() + "' is one argument too many" : std::string{why.what()};
  }
  if (flag->size() > 1 && std::isdigit(static_cast<unsigned char>((*flag)[1])))
    return "'" + *flag + "' is neither an option nor a number that can be here: none is below 0";
  auto word = flag->substr(0, flag->find('='));
  std::vector<std::string> known;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames())
      known.push_back("--" + name);
  std::vector<std::string_view> views{known.begin(), known.end()};
  return "unknown option '" + word + "'" + config::did_you_mean(word, views);
}

int run_command(const environment& env, const command& what, const std::string& path,
                std::vector<std::string> args) {
  CLI::App app;
  app.set_help_flag("-h,--help", "print this help");
  auto formatter = std::make_shared<help_formatter>(what);
  app.formatter(formatter);
  auto act = what.declare(app, env);
  formatter->usage = usage_line(path, app);
  std::reverse(args.begin(), args.end()); // as CLI11 wants them
  try {
    app.parse(args);
  } catch (const CLI::CallForHelp&) {
    env.out << app.help();
    return ok;
  } catch (const CLI::ParseError& why) {
    complain(env, {errc::invalid_argument, usage_problem(app, why)});
    talk(env) << formatter->usage << "\n`sluice " << path << " --help` says more.\n";
    return bad_usage;
  }
  return act();
}

bool asks_for_json(std::span<const std::string> args) {
  for (std::size_t i = 0; i < args.size() && args[i] != "--"; ++i) {
    const bool is_output = args[i] == "-o" || args[i] == "--output";
    const auto format = is_output && i + 1 < args.size()   ? args[i + 1]
                        : args[i].starts_with("--output=") ? args[i].substr(9)
                        : args[i].starts_with("-o")        ? args[i].substr(2)
                                                           : std::string{};
    if (format == "json" || format == "jsonl" || format == "=json")
      return true;
  }
  return false;
}

/// {"error":{"code":"not_found","message":"..."}}
std::string to_json(const failure& why, std::string_view note) {
  std::string text = R"({"error":{"code":)";
  codec::json_writer writer{text};
  static_cast<void>(writer.string(to_string(why.code)));
  text += R"(,"message":)";
  static_cast<void>(writer.string(codec::to_utf8(why.message))); // may be of another program's making
  if (note.ends_with('\n'))
    note.remove_suffix(1);
  if (!note.empty()) {
    text += R"(,"note":)";
    static_cast<void>(writer.string(codec::to_utf8(note)));
  }
  return text + "}}\n";
}

int dispatch(const environment& env, const std::vector<std::string>& args) {
  if (args.empty()) {
    print_overview(env.err);
    return bad_usage;
  }
  if (asks_for_help(args[0])) {
    if (args.size() > 1) {
      std::vector<std::string> about{args.begin() + 1, args.end()};
      about.emplace_back("--help");
      return dispatch(env, about);
    }
    print_overview(env.out);
    return ok;
  }
  auto name = args[0] == "--version" ? std::string{"version"} : args[0];
  const auto* found = find(commands(), name);
  if (found == nullptr)
    return unknown_command(env, name, commands(), "");
  if (found->children.empty())
    return run_command(env, *found, name, {args.begin() + 1, args.end()});
  if (args.size() == 1) {
    print_group(env.err, *found);
    return bad_usage;
  }
  if (asks_for_help(args[1])) {
    print_group(env.out, *found);
    return ok;
  }
  const auto* child = find(found->children, args[1]);
  if (child == nullptr)
    return unknown_command(env, args[1], found->children, name + " ");
  return run_command(env, *child, name + " " + args[1], {args.begin() + 2, args.end()});
}

} // namespace

int run(const environment& env, const std::vector<std::string>& args) {
  auto here = env;
  here.json_errors = asks_for_json(args);
  int code = failed;
  try {
    code = dispatch(here, args);
  } catch (const std::exception& why) {
    return complain(here, {errc::internal, why.what()});
  }
  errno = 0;
  env.out.flush();
  if (code == ok && !env.out) {
    auto error = errno;
    if (error == 0) { // it failed before, and that reason is lost: one more byte fails for the same one
      env.out.clear();
      env.out << '\n' << std::flush;
      error = errno;
    }
    return complain(here, {errc_of_disk(error, errc::internal),
                           std::string{"the output could not be written"}
                             + (error == 0 ? "" : std::string{": "} + std::strerror(error))});
  }
  return code;
}

exit_code exit_code_of(errc code) noexcept {
  switch (code) {
  case errc::ok:
    return ok;
  case errc::invalid_argument:
    return bad_usage;
  case errc::not_found:
    return not_found;
  case errc::conflict:
  case errc::stale:
    return conflict;
  case errc::unauthenticated:
  case errc::permission_denied:
    return not_allowed;
  case errc::unavailable:
  case errc::timeout:
  case errc::shutting_down:
    return unreachable;
  case errc::overloaded:
  case errc::exhausted:
    return no_capacity;
  case errc::cancelled:
    return interrupted;
  case errc::corrupt:
  case errc::unsupported:
  case errc::internal:
    return failed;
  }
  return failed;
}

int complain(const environment& env, const failure& why, std::string_view note) {
  if (env.json_errors)
    env.err << to_json(why, note);
  else
    env.err << style(env.err_terminal).error("error:") << " " << why.message << "\n" << note;
  return exit_code_of(why.code);
}

std::ostream& talk(const environment& env) {
  static std::ostream nowhere{nullptr};
  return env.json_errors ? nowhere : env.err;
}

} // namespace sluice::cli
