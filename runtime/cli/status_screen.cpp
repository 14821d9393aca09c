#include "runtime/cli/status_screen.hpp"

#include "runtime/cli/format.hpp"
#include "runtime/cli/kinds.hpp"
#include "runtime/cli/table.hpp"

#include <algorithm>
#include <sstream>
#include <utility>
#include <vector>

namespace sluice::cli {

namespace {

namespace api = client::api;

constexpr std::int64_t crash_shown_for_ms = 600'000;        ///< of a host that runs again
constexpr std::uint64_t gone_node_shown_for_ms = 3'600'000; ///< since its last heartbeat

/// How many of each a screen has room for; the rest is counted and `sluice list` named. 0 = nothing at all.
struct room {
  int nodes = 8;
  int processors = 14;
  int reasons = 10; ///< of flows and processors
  int hosts = 6;
  int queues = 6;
  int events = 5;
  int gaps = 1;            ///< blank lines between the parts
  int processors_main = 3; ///< of these, more than a further line of a flow without trouble
  int reasons_main = 1;    ///< of flows in trouble

  /// Gives up one line, of that which is missed least. False when nothing is left to give.
  bool shrink() {
    struct part {
      int& count;
      int min;
    };
    for (auto one : {part{events, 3},
                     part{queues, 3},
                     part{nodes, 4},
                     part{hosts, 3},
                     part{processors, processors_main},
                     part{reasons, 4},
                     part{events, 1},
                     part{processors, 5},
                     part{queues, 1},
                     part{nodes, 2},
                     part{hosts, 1},
                     part{reasons, reasons_main},
                     part{processors, 3},
                     part{reasons, 1},
                     part{gaps, 0},
                     part{events, 0},
                     part{queues, 0},
                     part{processors, 2},
                     part{hosts, 0},
                     part{nodes, 1},
                     part{processors, 1},
                     part{nodes, 0},
                     part{reasons, 0}})
      if (one.count > one.min) {
        --one.count;
        return true;
      }
    return false;
  }
};

void print_gap(std::ostream& to, const room& has) { to << (has.gaps > 0 ? "\n" : ""); }

std::string used_of(const std::string& used, const std::string& total) { return used + "/" + total; }

void print_more(std::ostream& to, const terminal& where, int hidden, const char* plural) {
  if (hidden > 0)
    to << style(where).dim(
      fit("  and " + std::to_string(hidden) + " more: sluice list " + plural, where.width))
       << "\n";
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
  const auto title = fit("cluster " + snapshot.cluster_id(), where.width);
  const auto rest = "  up " + span_text(static_cast<std::uint64_t>(up_ms)) + "  " + std::to_string(alive)
                    + (alive == 1 ? " node" : " nodes") + "  cpus "
                    + used_of(cpus_text(cpus_reserved), cpus_text(cpus_total)) + "  memory "
                    + used_of(bytes_text(memory_used), bytes_text(memory_total)) + "  sluice "
                    + snapshot.sluice_version();
  to << paint.title(title);
  if (where.width == 0 || where.width > display_width(title) + 3)
    to << fit(rest, where.width == 0 ? 0 : where.width - display_width(title));
  to << "\n";
}

/// How much a row needs to be seen where there is no room for all.
enum class interest { none, low, more, second, normal, trouble, failing };

bool is_failing(const api::Flow& flow) { return flow.phase() == "failed" || flow.phase() == "degraded"; }

/// One that is gone in good order least, one in trouble most.
interest interest_of(const api::Node& node) {
  const bool is_gone = node.phase() == "left" || node.phase() == "dead";
  if (is_gone && node.heartbeat_age_ms() > gone_node_shown_for_ms)
    return interest::none;
  if (node.phase() == "left")
    return interest::low;
  return node.phase() == "alive" ? interest::normal : interest::trouble;
}

/// Of a flow in trouble most, then the first line of each flow, which has its phase, then further lines: `second`
/// of those with a reason to look, `more` of healthy ones.
interest interest_of(const api::Flow& flow, const api::Processor& one) {
  const bool is_first = &one == &flow.processors(0);
  const bool is_short = one.replicas_running() < one.replicas_desired();
  const bool has_errors = one.dead_count() > 0 || !one.last_error().empty();
  if (is_failing(flow))
    return is_first || is_short || has_errors ? interest::failing : interest::second;
  if (is_short)
    return interest::trouble;
  if (has_errors)
    return is_first ? interest::trouble : interest::second;
  if (one.replicas_running() == 0 && one.backlog_count() == 0)
    return interest::low;
  return is_first ? interest::normal : interest::more;
}

/// Takes candidates in their order and keeps `count_max` at most, those of least interest left out first.
template <class T>
class selection {
public:
  explicit selection(int count_max) : count_max_(static_cast<std::size_t>(std::max(count_max, 0))) {}

  void add(T one, interest how) { all_.push_back({std::move(one), how}); }

  std::vector<T> kept() const {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (all_[i].second != interest::none)
        order.push_back(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](auto a, auto b) { return all_[a].second > all_[b].second; });
    order.resize(std::min(order.size(), count_max_));
    std::sort(order.begin(), order.end());
    std::vector<T> out;
    for (auto i : order)
      out.push_back(all_[i].first);
    return out;
  }
  int hidden() const { return static_cast<int>(all_.size() - kept().size()); }

private:
  std::size_t count_max_;
  std::vector<std::pair<T, interest>> all_;
};

/// What the head itself cannot do.
void print_problems(std::ostream& to, const terminal& where, const api::SnapshotReply& snapshot) {
  style paint{where};
  for (const auto& one : snapshot.problems())
    to << paint.bad(fit(one, where.width)) << "\n";
}

void print_nodes(std::ostream& to, const terminal& where, const api::SnapshotReply& snapshot,
                 const room& has) {
  if (snapshot.nodes().empty()) {
    to << fit("no nodes; add one with: sluice start --address auto", where.width) << "\n";
    return;
  }
  if (has.nodes == 0)
    return; // the first line counts them
  table rows{{{"NODE", align::left, true},
              {"PHASE"},
              {"CPUS", align::right, false, 2},
              {"BUSY", align::right, false, 5},
              {"MEMORY", align::right, false, 1},
              {"HOSTS", align::right, false, 4},
              {"HEARTBEAT", align::right, false, 3},
              {"ADDRESS", align::left, false, 6}}};
  selection<const api::Node*> nodes{has.nodes};
  for (const auto& node : snapshot.nodes())
    nodes.add(&node, interest_of(node));
  for (const auto* shown : nodes.kept()) {
    const auto& node = *shown;
    rows.add({node.is_head() ? node.id() + " (head)" : node.id(), cell{node.phase(), &style::phase},
              used_of(cpus_text(node.cpus_reserved()), cpus_text(node.cpus_total())),
              cpus_text(node.cpu_used()),
              used_of(bytes_text(node.memory_used_bytes()), bytes_text(node.memory_total_bytes())),
              std::to_string(node.hosts_size()), span_text(node.heartbeat_age_ms()), node.address()});
  }
  rows.print(to, where);
  print_more(to, where, nodes.hidden(), "nodes");
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
  if (one.has_batch()) {
    const auto& batch = one.batch();
    if (batch.phase() == "running" && batch.source_bytes() == 0) // of a queue: nobody knows how much there is
      return short_count_text(batch.records_in()) + " done";
    const std::uint64_t empty =
      batch.phase() == "failed" ? 0 : 100; // one that could not open its source has none
    return std::to_string(batch.source_bytes() == 0 ? empty : batch.done_bytes() * 100 / batch.source_bytes())
           + " % done";
  }
  return one.has_backlog_count() ? short_count_text(one.backlog_count()) : "-";
}

void add_processor(table& rows, const api::Flow& flow, const api::Processor& one, bool is_first) {
  auto replicas = std::to_string(one.replicas_running()) + "/" + std::to_string(one.replicas_desired());
  bool is_short = one.replicas_running() < one.replicas_desired();
  rows.add({is_first ? flow.name() : "", is_first ? version_text(flow) : "",
            is_first ? cell{flow.phase(), &style::phase} : cell{""}, one.name(),
            is_short ? cell{replicas, &style::warning} : cell{replicas}, backlog_of(one),
            one.has_backlog_count() ? span_text(one.oldest_age_ms()) : "-", rate_text(one.rate_per_s()),
            short_count_text(one.has_batch() ? one.batch().records_in() : one.processed_total()),
            cell{short_count_text(one.failed_total()), one.failed_total() > 0 ? &style::bad : nullptr},
            cell{short_count_text(one.dead_count()), one.dead_count() > 0 ? &style::bad : nullptr},
            one.spec().has_http() ? route_text(one.spec().http()) : ""});
}

bool has_routes(const api::SnapshotReply& snapshot) {
  for (const auto& flow : snapshot.flows())
    for (const auto& processor : flow.processors())
      if (processor.spec().has_http())
        return true;
  return false;
}

void print_flows(std::ostream& to, const terminal& where, const api::SnapshotReply& snapshot,
                 const room& has) {
  if (snapshot.flows().empty()) {
    to << fit("no flows; submit one with: sluice submit BINARY", where.width) << "\n";
    return;
  }
  table rows{{{"FLOW", align::left, true},
              {"VERSION", align::left, false, 9},
              {"PHASE"},
              {"PROCESSOR", align::left, true, 1},
              {"REPLICAS", align::right, false, 2},
              {"BACKLOG", align::right, false, 3},
              {"OLDEST", align::right, false, 6},
              {"RATE", align::right, false, 5},
              {"DONE", align::right, false, 7},
              {"ERRORS", align::right, false, 4},
              {"DEAD", align::right, false, 8},
              {has_routes(snapshot) ? "ROUTE" : "", align::left, true, 10}}};
  selection<std::pair<const api::Flow*, const api::Processor*>> processors{has.processors};
  for (const auto& flow : snapshot.flows())
    for (const auto& processor : flow.processors())
      processors.add({&flow, &processor}, interest_of(flow, processor));
  const api::Flow* before = nullptr;
  for (const auto& [flow, processor] : processors.kept()) {
    add_processor(rows, *flow, *processor, flow != before);
    before = flow;
  }
  rows.print(to, where);
  print_more(to, where, processors.hidden(), "processors");
}

bool is_waiting(const api::Host& host) {
  return host.phase() == "backing_off" || host.phase() == "crash_loop";
}

bool is_restarting(const api::Host& host, std::int64_t now_unix_ms) {
  return is_waiting(host)
         || (!host.last_crash().reason().empty()
             && now_unix_ms - host.last_crash().at_unix_ms() < crash_shown_for_ms);
}

struct reason {
  std::string phase; ///< may be empty
  std::string text;
};

void print_some(std::ostream& to, const terminal& where, const std::vector<reason>& all, int count_max,
                const char* plural) {
  if (count_max == 0)
    return;
  style paint{where};
  for (int i = 0; i < std::min(count_max, static_cast<int>(all.size())); ++i) {
    const auto& one = all[static_cast<std::size_t>(i)];
    const auto before = one.phase.empty() ? std::size_t{2} : 3 + display_width(one.phase);
    if (where.width > 0 && where.width <= before) // no place for more than the phase
      to << fit("  " + one.phase, where.width) << "\n";
    else
      to << "  " << paint.phase(one.phase) << (one.phase.empty() ? "" : " ")
         << fit(one.text, where.width == 0 ? 0 : where.width - before) << "\n";
  }
  print_more(to, where, static_cast<int>(all.size()) - count_max, plural);
}

/// Why something is not as it should be: one line per flow, per failing processor, and per host that was started
/// again.
void print_reasons(std::ostream& to, const terminal& where, const api::SnapshotReply& snapshot,
                   const room& has) {
  std::vector<reason> of_flows;
  const auto add_flows = [&](bool failing) {
    for (const auto& flow : snapshot.flows()) {
      if (is_failing(flow) != failing)
        continue;
      if (!flow.detail().empty() && flow.phase() != "running")
        of_flows.push_back({flow.phase(), "flow/" + flow.name() + ": " + flow.detail()});
      for (const auto& processor : flow.processors())
        if (!processor.last_error().empty())
          of_flows.push_back(
            {"", "last error of " + flow.name() + "/" + processor.name() + ": " + processor.last_error()});
    }
  };
  add_flows(true); // where there is no room for all
  add_flows(false);
  print_some(to, where, of_flows, has.reasons, "processors");
  std::vector<reason> of_hosts;
  for (const auto& node : snapshot.nodes())
    for (const auto& host : node.hosts())
      if (is_restarting(host, snapshot.taken_at_unix_ms()))
        of_hosts.push_back(
          {host.phase(),
           "host/" + host.id() + " of flow/" + host.flow() + ": "
             + (is_waiting(host) && !host.detail().empty() ? host.detail() : host.last_crash().reason())
             + ", restarts " + std::to_string(host.restarts()) + "; sluice logs host/" + host.id()});
  print_some(to, where, of_hosts, has.hosts, "hosts");
  std::vector<reason> of_queues;
  for (const auto& queue : snapshot.queues())
    if (queue.damaged_total() > 0)
      of_queues.push_back({"damaged", "queue/" + queue.name() + ": " + count_text(queue.damaged_total())
                                        + " records by the disk, set aside; sluice list events"});
  print_some(to, where, of_queues, has.queues, "queues");
}

/// Queues that no processor above shows as its backlog, and that hold something.
void print_queues(std::ostream& to, const terminal& where, const api::SnapshotReply& snapshot,
                  const room& has) {
  if (has.queues == 0)
    return;
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
  table rows{{{"QUEUE", align::left, true},
              {"DEPTH", align::right, false, 1},
              {"OLDEST", align::right, false, 3},
              {"DEAD", align::right, false, 2}}};
  selection<const api::Queue*> queues{has.queues};
  for (const auto& queue : snapshot.queues())
    if (!is_backlog(queue.name()) && queue.depth_count() + queue.dead_count() > 0)
      queues.add(&queue, queue.dead_count() > 0 ? interest::trouble : interest::normal);
  for (const auto* queue : queues.kept())
    rows.add({queue->name(), short_count_text(queue->depth_count()), span_text(queue->oldest_age_ms()),
              cell{short_count_text(queue->dead_count()), queue->dead_count() > 0 ? &style::bad : nullptr}});
  if (rows.empty())
    return;
  print_gap(to, has);
  rows.print(to, where);
  print_more(to, where, queues.hidden(), "queues");
}

void print_events(std::ostream& to, const terminal& where, const api::SnapshotReply& snapshot,
                  const room& has) {
  if (snapshot.events().empty() || has.events == 0)
    return;
  table rows{{{"EVENT", align::left, false, 1},
              {"", align::left, false, 2},
              {"SUBJECT", align::left, true},
              {"", align::left, true}}};
  for (auto i = std::max(0, snapshot.events_size() - has.events); i < snapshot.events_size(); ++i) {
    const auto& event = snapshot.events(i);
    rows.add(
      {clock_text(event.at_unix_ms()), cell{event.severity(), &style::phase}, event.subject(), event.text()});
  }
  print_gap(to, has);
  rows.print(to, where);
}

/// What must not go before the further lines of healthy flows.
void keep_trouble(room& has, const api::SnapshotReply& snapshot) {
  constexpr int reasons_main_max = 4;
  int processors = 0;
  int reasons = 0;
  for (const auto& flow : snapshot.flows()) {
    reasons += is_failing(flow) && !flow.detail().empty() ? 1 : 0;
    for (const auto& processor : flow.processors())
      processors += interest_of(flow, processor) > interest::second ? 1 : 0;
  }
  has.processors_main = std::clamp(processors, has.processors_main, has.processors);
  has.reasons_main = std::clamp(reasons, has.reasons_main, reasons_main_max);
}

std::string screen_of(const terminal& where, const api::SnapshotReply& snapshot, const room& has) {
  std::ostringstream to;
  print_headline(to, where, snapshot);
  print_problems(to, where, snapshot);
  print_gap(to, has);
  print_nodes(to, where, snapshot, has);
  if (has.nodes > 0)
    print_gap(to, has);
  print_flows(to, where, snapshot, has);
  print_reasons(to, where, snapshot, has);
  print_queues(to, where, snapshot, has);
  print_events(to, where, snapshot, has);
  return to.str();
}

} // namespace

std::string status_screen(const terminal& where, const api::SnapshotReply& snapshot) {
  room has;
  keep_trouble(has, snapshot);
  auto screen = screen_of(where, snapshot, has);
  auto is_too_high = [&] {
    return where.height > 0
           && static_cast<std::size_t>(std::count(screen.begin(), screen.end(), '\n')) >= where.height;
  };
  while (is_too_high() && has.shrink())
    screen = screen_of(where, snapshot, has);
  while (is_too_high() && where.height > 1)
    screen.erase(screen.rfind('\n', screen.size() - 2) + 1);
  return screen;
}

} // namespace sluice::cli
