#include "runtime/cli/commands.hpp"
#include "runtime/cli/kinds.hpp"

#include <CLI/CLI.hpp>

#include <ostream>

namespace sluice::cli {

namespace {

/// What the first argument of a command may be: words, or names the head knows.
struct argument_words {
  std::string_view command;
  std::string_view words; ///< in bash; may call the functions of the script
};

constexpr argument_words first_arguments[] = {
  {"list", "nodes flows processors replicas hosts queues events"},
  {"get",
   "$(_sluice_names flows) $(_sluice_names processors) $(_sluice_names nodes) $(_sluice_names queues)"},
  {"logs", "$(_sluice_names flows) $(_sluice_names hosts) $(_sluice_names nodes)"},
  {"scale", "$(_sluice_names processors | sed 's,^processor/,,')"},
  {"drain", "$(_sluice_names flows) $(_sluice_names nodes)"},
  {"rollback", "$(_sluice_names flows)"},
  {"delete", "$(_sluice_names flows)"},
  {"completion", "bash"},
  {"queue put", "$(_sluice_queues)"},
  {"queue peek", "$(_sluice_queues)"},
  {"queue dead-letters", "$(_sluice_queues)"},
  {"queue requeue", "$(_sluice_queues)"},
  {"queue purge", "$(_sluice_queues)"},
};

constexpr std::string_view script_head =
  R"(# bash completion for sluice; load it with: source <(sluice completion bash)
_sluice_names() { "${COMP_WORDS[0]}" list "$1" -o name --timeout 1s 2>/dev/null; }
_sluice_queues() { _sluice_names queues | sed 's,^queue/,,'; }
_sluice() {
  local word="${COMP_WORDS[COMP_CWORD]}" path="" options="" words="" first=1
  case "${COMP_WORDS[1]}" in
)";

constexpr std::string_view script_middle = R"(    *) path="${COMP_WORDS[1]}"; first=2 ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "$commands" -- "$word"))
    return
  fi
  case "$path" in
)";

constexpr std::string_view script_tail = R"(  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *)
      if [ "$COMP_CWORD" -eq "$first" ]; then COMPREPLY=($(compgen -W "$words" -- "$word")); fi
      if [ "${#COMPREPLY[@]}" -eq 0 ]; then COMPREPLY=($(compgen -f -- "$word")); fi
      ;;
  esac
  if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$word"; fi
}
complete -F _sluice sluice
)";

std::string options_of(const command& what, const environment& env) {
  CLI::App app;
  app.set_help_flag("-h,--help", "");
  static_cast<void>(what.declare(app, env));
  std::string words;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames())
      words += (words.empty() ? "--" : " --") + name;
  return words;
}

std::string_view words_of(const std::string& path) {
  for (const auto& [command, words] : first_arguments)
    if (command == path)
      return words;
  return {};
}

void print_case(std::ostream& to, const command& what, const std::string& path, const environment& env) {
  to << "    \"" << path << "\") options=\"" << options_of(what, env) << "\"";
  if (auto words = words_of(path); !words.empty())
    to << "; [ \"$COMP_CWORD\" -eq \"$first\" ] && words=\"" << words << "\"";
  to << " ;;\n";
}

int print_bash(const environment& env) {
  std::string names;
  for (const auto* row : commands())
    names += (names.empty() ? "" : " ") + std::string{row->name};
  auto head = std::string{script_head};
  auto at = head.find("  case");
  head.insert(at, "  local commands=\"" + names + "\"\n");
  env.out << head;
  for (const auto* row : commands()) {
    if (row->children.empty())
      continue;
    std::string children;
    for (const auto* child : row->children)
      children += (children.empty() ? "" : " ") + std::string{child->name};
    env.out << "    " << row->name << ")\n      if [ \"$COMP_CWORD\" -eq 2 ]; then COMPREPLY=($(compgen -W \""
            << children << "\" -- \"$word\")); return; fi\n      path=\"" << row->name
            << " ${COMP_WORDS[2]}\"; first=3 ;;\n";
  }
  env.out << script_middle;
  for (const auto* row : commands()) {
    if (row->children.empty())
      print_case(env.out, *row, std::string{row->name}, env);
    for (const auto* child : row->children)
      print_case(env.out, *child, std::string{row->name} + " " + std::string{child->name}, env);
  }
  env.out << script_tail;
  return ok;
}

action declare(CLI::App& app, const environment& env) {
  auto shell = std::make_shared<std::string>();
  app.add_option("SHELL", *shell, "bash")->required()->check(CLI::IsMember({"bash"}));
  return [shell, &env] { return print_bash(env); };
}

} // namespace

const command completion_command{"completion", "Print the completion script for a shell",
                                 "It knows the names of flows, nodes and queues by asking the head.",
                                 "  source <(sluice completion bash)\n"
                                 "  sluice completion bash > /etc/bash_completion.d/sluice",
                                 declare};

} // namespace sluice::cli
