#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/count_check.hpp"
#include "runtime/cli/kinds.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/cli/style.hpp"

#include <CLI/CLI.hpp>

#include <limits>
#include <ostream>
#include <utility>

namespace sluice::cli {

namespace {

constexpr std::size_t host_id_digits = 16;
constexpr std::size_t host_id_shown = 8;

struct logs_arguments {
  std::string target;
  bool follow = false;
  std::uint32_t tail = 0;
  std::string output = "text";
  client_options_ptr client;
};

/// The host a target means: of a replica the one it runs in, of a short id the only one that
/// begins so. The logs of ended hosts are found by their full id.
result<std::string> host_of(client::control_client& head, const kind_and_id& target) {
  if (target.kind == "host" && target.id.size() == host_id_digits)
    return target.id;
  auto snapshot = head.snapshot(0);
  if (!snapshot)
    return fail(snapshot);
  if (target.kind == "replica") {
    for (const auto& replica : snapshot->replicas())
      if (std::to_string(replica.id()) == target.id && !replica.host().empty())
        return replica.host();
    return fail(errc::not_found,
                "replica/" + target.id + " runs in no host; try the flow's logs: sluice logs flow/NAME");
  }
  auto id = whole_id(*find_kind("host"), *snapshot, target.id);
  if (id && id->size() != host_id_digits)
    return fail(errc::not_found, "no host begins with '" + target.id
                                   + "'; `sluice list hosts` shows them, one that is gone needs its full id");
  return id;
}

/// The id of a node, of which the beginning is enough.
result<std::string> node_of(client::control_client& head, const std::string& typed) {
  auto snapshot = head.snapshot(0);
  return snapshot ? whole_id(*find_kind("node"), *snapshot, typed) : fail(snapshot);
}

/// Takes the first line off `rest`; without its line end.
std::string_view take_line(std::string_view& rest) {
  const auto end = rest.find('\n');
  const auto line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return line;
}

/// Prints parts: as text, each line with its host in front if several may write, or as JSON Lines, one object per
/// line of a log and per thing to know about it.
class log_printer {
public:
  log_printer(const environment& env, bool always_prefix, bool as_json)
    : env_(env), prefix_(always_prefix), as_json_(as_json) {}

  void print(const client::api::ReadLogsReply& part) {
    is_complete = is_complete && part.unreachable().empty();
    is_empty = is_empty && part.text().empty();
    if (as_json_)
      print_json(part);
    else
      print_text(part);
    env_.out << std::flush;
  }

  bool is_complete = true;
  bool is_empty = true;

private:
  void print_json(client::api::ReadLogsReply part) const {
    const auto text = std::exchange(*part.mutable_text(), {});
    if (part.host_ended() || !part.unreachable().empty())
      env_.out << to_json_text(part) << "\n";
    for (std::string_view rest = text; !rest.empty();) {
      part.set_text(std::string{take_line(rest)});
      env_.out << to_json_text(part) << "\n";
    }
  }

  void print_text(const client::api::ReadLogsReply& part) const {
    style paint{env_.out_terminal};
    if (!part.unreachable().empty()) {
      talk(env_) << style(env_.err_terminal).warning("warning:") << " the logs on node/" << part.node()
                 << " cannot be read: " << part.unreachable() << "\n";
      return;
    }
    std::string_view rest = part.text();
    while (!rest.empty()) {
      const auto line = take_line(rest);
      if (prefix_)
        env_.out << paint.dim(part.host().substr(0, host_id_shown) + " | ");
      env_.out << line << "\n";
    }
  }

  const environment& env_;
  bool prefix_;
  bool as_json_;
};

int run(const environment& env, const logs_arguments& args) {
  auto target = split_target(args.target, {"flow", "host", "replica", "node"});
  if (!target)
    return complain(env, target.error());
  auto head = connect(env, *args.client);
  if (!head)
    return complain(env, head.error());
  client::api::ReadLogsRequest request;
  if (target->kind == "flow") {
    request.set_flow(target->id);
  } else if (target->kind == "node") {
    auto node = node_of(**head, target->id);
    if (!node)
      return complain(env, node.error());
    request.set_node(*node);
  } else {
    auto host = host_of(**head, *target);
    if (!host)
      return complain(env, host.error());
    request.set_host(*host);
  }
  request.set_follow(args.follow);
  request.set_tail_lines(args.tail);
  log_printer printer{env, target->kind == "flow", args.output == "json"};
  auto done = (*head)->read_logs(request, [&](const client::api::ReadLogsReply& part) {
    printer.print(part);
    return static_cast<bool>(env.out); // nobody reads any more: enough
  });
  if (!done)
    return complain(env, done.error());
  if (printer.is_empty && printer.is_complete)
    talk(env) << args.target << " has written nothing\n";
  return printer.is_complete ? ok : partly_failed;
}

action declare(CLI::App& app, const environment& env) {
  auto args = std::make_shared<logs_arguments>();
  app.add_option("TARGET", args->target, "flow/NAME, host/ID, replica/ID, or node/ID for its access log")
    ->required();
  app.add_flag("--follow", args->follow, "go on as lines are written; Ctrl-C ends it");
  app.add_option("--tail", args->tail, "begin with the last lines of each host [all]")
    ->type_name("LINES")
    ->check(count_check(0, std::numeric_limits<std::uint32_t>::max()));
  app.add_option("-o,--output", args->output, "text, or json: one object per line [text]")
    ->type_name("FORMAT")
    ->check(CLI::IsMember({"text", "json"}));
  args->client = add_client_options(app, false);
  return [args, &env] { return run(env, *args); };
}

} // namespace

const command logs_command{
  "logs", "Print what a flow's hosts wrote, those that ended too",
  "Lines of a flow come by time and begin with the first digits of the host's id. Of a node it is the\n"
  "access log: a line of JSON per request that its HTTP listener has answered. Of nodes and hosts the\n"
  "beginning of the id is enough, of a host that is gone only the full one.",
  "  sluice logs flow/orders --follow --tail 20\n"
  "  sluice logs node/node-3fa2c1d0 --tail 20",
  declare};

} // namespace sluice::cli
