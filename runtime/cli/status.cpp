#include "runtime/cli/client_options.hpp"
#include "runtime/cli/commands.hpp"
#include "runtime/cli/format.hpp"
#include "runtime/cli/kinds.hpp"
#include "runtime/cli/render.hpp"
#include "runtime/cli/table.hpp"
#include "runtime/config/quantity.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <ostream>
#include <sstream>

namespace sluice::cli {

namespace {

namespace api = client::api;

/// What a screen has room for; the rest is counted and `sluice list` named.
constexpr int nodes_shown_max = 8;
constexpr int processors_shown_max = 14;
constexpr int queues_shown_max = 6;
constexpr int events_shown_max = 5;
constexpr int crashes_shown_max = 6;
constexpr std::int64_t crash_shown_for_ms = 600'000; ///< of a host that runs again
constexpr std::uint32_t events_in_json = 20;

struct status_arguments {
  std::string watch; ///< interval; empty = once
  client_options_ptr client;
};

std::string used_of(const std::string& used, const std::string& total) { return used + "/" + total; }

void print_more(std::ostream& to, const terminal& where, int hidden, const char* plural) {
  if (hidden > 0)
    to << style(where).dim("  and " + std::to_string(hidden) + " more: sluice list " + plural) << "\n";
}

void print_headline(std::ostream& to, const terminal& where, const api::SnapshotReply& snapshot) {
  double cpus_total = 0;
  double cpus_reserved = 0;
  std::uint64_t memory_total = 0;
  std::uint64_t memory_used = 0;
  int alive = 0;
  for (const auto& node : snapshot.nodes()) {
    if (node.phase() == "dead" || node.phase() == "left")
      continue;
    ++alive;
    cpus_total += node.cpus_total();
    cpus_reserved += node.cpus_reserved();
    memory_total += node.memory_total_bytes();
    memory_used += node.memory_used_bytes();
  }
  auto up_ms = std::max<std::int64_t>(0, snapshot.taken_at_unix_ms() - snapshot.started_at_unix_ms());
  style paint{where};
  to << paint.title("cluster " + snapshot.cluster_id()) << "  up "
     << span_text(static_cast<std::uint64_t>(up_ms)) << "  " << alive << (alive == 1 ? " node" : " nodes")
     << "  cpus " << used_of(cpus_text(cpus_reserved), cpus_text(cpus_total)) << "  memory "
     << used_of(bytes_text(memory_used), bytes_text(memory_total)) << "  sluice " << snapshot.sluice_version()
     << "\n";
}

void print_nodes(std::ostream& to, const terminal& where, const api::SnapshotReply& snapshot) {
  table rows{{{"NODE"},
              {"PHASE"},
              {"CPUS", align::right},
              {"BUSY", align::right},
              {"MEMORY", align::right},
              {"HOSTS", align::right},
              {"HEARTBEAT", align::right},
              {"ADDRESS"}}};
  int hidden = 0;
  for (const auto& node : snapshot.nodes()) {
    if (snapshot.nodes_size() - hidden > nodes_shown_max
        && (node.phase() == "left" || node.phase() == "alive")) {
      ++hidden; // what needs attention stays
      continue;
    }
    rows.add({node.is_head() ? node.id() + " (head)" : node.id(), cell{node.phase(), &style::phase},
              used_of(cpus_text(node.cpus_reserved()), cpus_text(node.cpus_total())),
              cpus_text(node.cpu_used()),
              used_of(bytes_text(node.memory_used_bytes()), bytes_text(node.memory_total_bytes())),
              std::to_string(node.hosts_size()), span_text(node.heartbeat_age_ms()), node.address()});
  }
  if (rows.empty() && hidden == 0) {
    to << "no nodes; add one with: sluice start --address auto\n";
    return;
  }
  rows.print(to, where);
  print_more(to, where, hidden, "nodes");
}

std::string version_text(const api::Flow& flow) {
  auto text = "v" + std::to_string(flow.version_current());
  if (flow.version_current() == 0)
    text = "v" + std::to_string(flow.version_target());
  else if (flow.version_target() != flow.version_current())
    text += ">v" + std::to_string(flow.version_target());
  return text;
}

/// What waits: records of a queue, or how far a batch has come.
std::string backlog_of(const api::Processor& one) {
  if (one.has_batch())
    return std::to_string(one.batch().source_bytes() == 0
                            ? 100
                            : one.batch().done_bytes() * 100 / one.batch().source_bytes())
           + " % done";
  return one.has_backlog_count() ? count_text(one.backlog_count()) : "-";
}

void add_processor(table& rows, const api::Flow& flow, const api::Processor& one, bool is_first) {
  auto replicas = std::to_string(one.replicas_running()) + "/" + std::to_string(one.replicas_desired());
  bool is_short = one.replicas_running() < one.replicas_desired();
  rows.add({is_first ? flow.name() : "", is_first ? version_text(flow) : "",
            is_first ? cell{flow.phase(), &style::phase} : cell{""}, one.name(),
            is_short ? cell{replicas, &style::warning} : cell{replicas}, backlog_of(one),
            one.has_backlog_count() ? span_text(one.oldest_age_ms()) : "-", rate_text(one.rate_per_s()),
            count_text(one.has_batch() ? one.batch().records_in() : one.processed_total()),
            cell{count_text(one.failed_total()), one.failed_total() > 0 ? &style::bad : nullptr},
            cell{count_text(one.dead_count()), one.dead_count() > 0 ? &style::bad : nullptr},
            one.spec().has_http() ? route_text(one.spec().http()) : ""});
}

bool has_routes(const api::SnapshotReply& snapshot) {
  for (const auto& flow : snapshot.flows())
    for (const auto& processor : flow.processors())
      if (processor.spec().has_http())
        return true;
  return false;
}

void print_flows(std::ostream& to, const terminal& where, const api::SnapshotReply& snapshot) {
  if (snapshot.flows().empty()) {
    to << "no flows; submit one with: sluice submit BINARY\n";
    return;
  }
  table rows{{{"FLOW"},
              {"VERSION"},
              {"PHASE"},
              {"PROCESSOR"},
              {"REPLICAS", align::right},
              {"BACKLOG", align::right},
              {"OLDEST", align::right},
              {"RATE", align::right},
              {"DONE", align::right},
              {"ERRORS", align::right},
              {"DEAD", align::right},
              {has_routes(snapshot) ? "ROUTE" : "", align::left, true}}};
  int shown = 0;
  int hidden = 0;
  for (const auto& flow : snapshot.flows()) {
    bool is_first = true;
    for (const auto& processor : flow.processors()) {
      if (shown >= processors_shown_max) {
        ++hidden;
        continue;
      }
      add_processor(rows, flow, processor, is_first);
      is_first = false;
      ++shown;
    }
  }
  rows.print(to, where);
  print_more(to, where, hidden, "processors");
}

bool is_waiting(const api::Host& host) {
  return host.phase() == "backing_off" || host.phase() == "crash_loop";
}

bool is_restarting(const api::Host& host, std::int64_t now_unix_ms) {
  return is_waiting(host)
         || (!host.last_crash().reason().empty()
             && now_unix_ms - host.last_crash().at_unix_ms() < crash_shown_for_ms);
}

/// Why something is not as it should be: one line per flow, per failing processor, and per host that was started
/// again.
void print_reasons(std::ostream& to, const terminal& where, const api::SnapshotReply& snapshot) {
  style paint{where};
  auto width = where.width > 4 ? where.width - 4 : where.width;
  for (const auto& flow : snapshot.flows()) {
    if (!flow.detail().empty() && flow.phase() != "running")
      to << "  " << paint.phase(flow.phase()) << " "
         << fit("flow/" + flow.name() + ": " + flow.detail(),
                width == 0 ? 0 : width - std::min(width, flow.phase().size()))
         << "\n";
    for (const auto& processor : flow.processors())
      if (!processor.last_error().empty())
        to << "  "
           << fit("last error of " + flow.name() + "/" + processor.name() + ": " + processor.last_error(),
                  width)
           << "\n";
  }
  int shown = 0;
  for (const auto& node : snapshot.nodes())
    for (const auto& host : node.hosts())
      if (is_restarting(host, snapshot.taken_at_unix_ms()) && shown++ < crashes_shown_max)
        to << "  " << paint.phase(host.phase()) << " "
           << fit(
                "host/" + host.id() + " of flow/" + host.flow() + ": "
                  + (is_waiting(host) && !host.detail().empty() ? host.detail() : host.last_crash().reason())
                  + ", restarts " + std::to_string(host.restarts()) + "; sluice logs host/" + host.id(),
                width)
           << "\n";
  print_more(to, where, shown - crashes_shown_max, "hosts");
}

/// Queues that no processor above shows as its backlog, and that hold something.
void print_queues(std::ostream& to, const terminal& where, const api::SnapshotReply& snapshot) {
  auto is_backlog = [&](const std::string& name) {
    for (const auto& flow : snapshot.flows())
      for (const auto& processor : flow.processors()) {
        const auto& source = processor.spec().source();
        auto found = source.options().find("name");
        if (source.kind() == "queue" && found != source.options().end() && found->second == name)
          return true;
      }
    return false;
  };
  table rows{{{"QUEUE"}, {"DEPTH", align::right}, {"OLDEST", align::right}, {"DEAD", align::right}}};
  int shown = 0;
  int hidden = 0;
  for (const auto& queue : snapshot.queues()) {
    if (is_backlog(queue.name()) || queue.depth_count() + queue.dead_count() == 0)
      continue;
    if (shown++ >= queues_shown_max) {
      ++hidden;
      continue;
    }
    rows.add({queue.name(), count_text(queue.depth_count()), span_text(queue.oldest_age_ms()),
              cell{count_text(queue.dead_count()), queue.dead_count() > 0 ? &style::bad : nullptr}});
  }
  if (rows.empty())
    return;
  to << "\n";
  rows.print(to, where);
  print_more(to, where, hidden, "queues");
}

void print_events(std::ostream& to, const terminal& where, const api::SnapshotReply& snapshot) {
  if (snapshot.events().empty())
    return;
  table rows{{{"EVENT"}, {""}, {"SUBJECT"}, {"", align::left, true}}};
  for (auto i = std::max(0, snapshot.events_size() - events_shown_max); i < snapshot.events_size(); ++i) {
    const auto& event = snapshot.events(i);
    rows.add(
      {clock_text(event.at_unix_ms()), cell{event.severity(), &style::phase}, event.subject(), event.text()});
  }
  to << "\n";
  rows.print(to, where);
}

std::string screen_of(const terminal& where, const api::SnapshotReply& snapshot) {
  std::ostringstream to;
  print_headline(to, where, snapshot);
  to << "\n";
  print_nodes(to, where, snapshot);
  to << "\n";
  print_flows(to, where, snapshot);
  print_reasons(to, where, snapshot);
  print_queues(to, where, snapshot);
  print_events(to, where, snapshot);
  return to.str();
}

/// Draws again and again, in place on a terminal, until Ctrl-C. A head that is away for a
/// while is said so and waited for.
int watch(const environment& env, client::control_client& head, std::chrono::milliseconds interval,
          bool as_json) {
  constexpr std::string_view home_and_clear = "\x1b[H\x1b[2J";
  do {
    auto snapshot = head.snapshot(events_in_json);
    std::string text;
    if (snapshot)
      text = as_json ? to_json(*snapshot) : screen_of(env.out_terminal, *snapshot);
    else if (exit_code_of(snapshot.error().code) == unreachable)
      text = style(env.out_terminal).warning(snapshot.error().message) + "\n";
    else
      return complain(env, snapshot.error());
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
    env.out << screen_of(env.out_terminal, *snapshot);
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

const command status_command{"status", "Show nodes, flows, backlogs and the last events on one screen", "",
                             "  sluice status --watch\n"
                             "  sluice status -o json",
                             declare};

} // namespace sluice::cli
