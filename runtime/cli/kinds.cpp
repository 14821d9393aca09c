#include "runtime/cli/kinds.hpp"

#include "runtime/cli/format.hpp"

#include <algorithm>

namespace sluice::cli {

namespace {

using message = google::protobuf::Message;
using snapshot = api::SnapshotReply;

/// The message as the type its kind has.
template <class T>
const T& as(const message& from) {
  return static_cast<const T&>(from);
}

template <class List>
message_list pointers(const List& list) {
  message_list all;
  for (const auto& one : list)
    all.push_back(&one);
  return all;
}

cell phase_cell(const std::string& phase) { return {phase, &style::phase}; }

cell count_cell(std::uint64_t count, std::string (style::*paint)(std::string_view) const) {
  return {count_text(count), count > 0 ? paint : nullptr};
}

std::string labels_text(const api::Node& node) {
  std::vector<std::string> all;
  for (const auto& [key, value] : node.labels())
    all.push_back(key + "=" + value);
  std::sort(all.begin(), all.end());
  std::string text;
  for (const auto& one : all)
    text += (text.empty() ? "" : ",") + one;
  return text;
}

kind nodes() {
  return {"node",
          "nodes",
          [](const snapshot& s) { return pointers(s.nodes()); },
          [](const message& m) { return as<api::Node>(m).id(); },
          {{"NODE"},
           {"PHASE"},
           {"ROLE", align::left, false, 1},
           {"CPUS", align::right, false, 2},
           {"MEMORY", align::right, false, 4},
           {"HOSTS", align::right, false, 5},
           {"HEARTBEAT", align::right, false, 7},
           {"ADDRESS", align::left, false, 6},
           {"HTTP", align::left, false, 3}, // where to send requests; no other table has it
           {"LABELS", align::left, true, 8}},
          [](const message& m, const snapshot&) -> std::vector<cell> {
            const auto& node = as<api::Node>(m);
            return {node.id(),
                    phase_cell(node.phase()),
                    node.is_head() ? "head" : "worker",
                    cpus_text(node.cpus_reserved()) + "/" + cpus_text(node.cpus_total()),
                    bytes_text(node.memory_used_bytes()) + "/" + bytes_text(node.memory_total_bytes()),
                    std::to_string(node.hosts_size()),
                    span_text(node.heartbeat_age_ms()),
                    node.address(),
                    node.http_address(),
                    labels_text(node)};
          },
          &api::Node::default_instance()};
}

kind flows() {
  return {"flow",
          "flows",
          [](const snapshot& s) { return pointers(s.flows()); },
          [](const message& m) { return as<api::Flow>(m).name(); },
          {{"FLOW"},
           {"PHASE"},
           {"VERSION", align::right, false, 3},
           {"PROCESSORS", align::right, false, 4},
           {"REPLICAS", align::right, false, 1},
           {"SUBMITTED", align::left, false, 5},
           {"DETAIL", align::left, true, 2}},
          [](const message& m, const snapshot&) -> std::vector<cell> {
            const auto& flow = as<api::Flow>(m);
            std::uint64_t running = 0;
            std::uint64_t desired = 0;
            for (const auto& processor : flow.processors()) {
              running += processor.replicas_running();
              desired += processor.replicas_desired();
            }
            auto version = std::to_string(flow.version_current());
            if (flow.version_target() != flow.version_current())
              version += ">" + std::to_string(flow.version_target());
            return {flow.name(),
                    phase_cell(flow.phase()),
                    version,
                    std::to_string(flow.processors_size()),
                    std::to_string(running) + "/" + std::to_string(desired),
                    date_text(flow.submitted_at_unix_ms()),
                    flow.detail()};
          },
          &api::Flow::default_instance()};
}

kind processors() {
  return {"processor",
          "processors",
          [](const snapshot& s) {
            message_list all;
            for (const auto& flow : s.flows())
              for (const auto& processor : flow.processors())
                all.push_back(&processor);
            return all;
          },
          [](const message& m) { return as<api::Processor>(m).flow() + "/" + as<api::Processor>(m).name(); },
          {{"PROCESSOR"},
           {"PATTERN", align::left, false, 11},
           {"SOURCE OR ROUTE", align::left, true, 6},
           {"SINK", align::left, false, 10},
           {"REPLICAS", align::right},
           {"BACKLOG", align::right, false, 1},
           {"OLDEST", align::right, false, 7},
           {"RATE", align::right, false, 3},
           {"P50", align::right, false, 9},
           {"P99", align::right, false, 8},
           {"DONE", align::right, false, 5},
           {"ERRORS", align::right, false, 2},
           {"LAST ERROR", align::left, true, 4}},
          [](const message& m, const snapshot&) -> std::vector<cell> {
            const auto& one = as<api::Processor>(m);
            bool knows = one.has_backlog_count();
            return {one.flow() + "/" + one.name(),
                    one.spec().pattern(),
                    one.spec().has_http() ? route_text(one.spec().http()) : one.spec().source().kind(),
                    one.spec().sink().kind(),
                    std::to_string(one.replicas_running()) + "/" + std::to_string(one.replicas_desired()),
                    knows ? count_text(one.backlog_count()) : "-",
                    knows ? span_text(one.oldest_age_ms()) : "-",
                    rate_text(one.rate_per_s()),
                    latency_text(one.requests().p50_us()),
                    latency_text(one.requests().p99_us()),
                    count_text(one.processed_total()),
                    count_cell(one.failed_total(), &style::bad),
                    one.last_error()};
          },
          &api::Processor::default_instance()};
}

kind replicas() {
  return {"replica",
          "replicas",
          [](const snapshot& s) { return pointers(s.replicas()); },
          [](const message& m) { return std::to_string(as<api::Replica>(m).id()); },
          {{"REPLICA", align::right},
           {"PROCESSOR"},
           {"VERSION", align::right, false, 6},
           {"PHASE"},
           {"NODE", align::left, false, 1},
           {"HOST", align::left, false, 3},
           {"DONE", align::right, false, 5},
           {"ERRORS", align::right, false, 4},
           {"IN FLIGHT", align::right, false, 7},
           {"DETAIL", align::left, true, 2}},
          [](const message& m, const snapshot&) -> std::vector<cell> {
            const auto& one = as<api::Replica>(m);
            return {std::to_string(one.id()),
                    one.flow() + "/" + one.processor(),
                    std::to_string(one.version()),
                    phase_cell(one.phase()),
                    one.node().empty() ? "-" : one.node(),
                    one.host().empty() ? "-" : one.host(),
                    count_text(one.processed_total()),
                    count_cell(one.failed_total(), &style::bad),
                    std::to_string(one.in_flight_count()),
                    one.detail().empty() ? one.last_error() : one.detail()};
          },
          &api::Replica::default_instance()};
}

kind hosts() {
  return {"host",
          "hosts",
          [](const snapshot& s) {
            message_list all;
            for (const auto& node : s.nodes())
              for (const auto& host : node.hosts())
                all.push_back(&host);
            return all;
          },
          [](const message& m) { return as<api::Host>(m).id(); },
          {{"HOST"},
           {"FLOW"},
           {"VERSION", align::right, false, 5},
           {"NODE", align::left, false, 1},
           {"PHASE"},
           {"PID", align::right, false, 4},
           {"RESTARTS", align::right, false, 3},
           {"MEMORY", align::right, false, 6},
           {"CPU", align::right, false, 7},
           {"DETAIL", align::left, true, 2}},
          [](const message& m, const snapshot&) -> std::vector<cell> {
            const auto& one = as<api::Host>(m);
            return {one.id(),
                    one.flow(),
                    std::to_string(one.version()),
                    one.node(),
                    phase_cell(one.phase()),
                    one.pid() > 0 ? std::to_string(one.pid()) : "-",
                    count_cell(one.restarts(), &style::warning),
                    bytes_text(one.memory_bytes()),
                    cpus_text(one.cpu_used()),
                    one.detail().empty() ? one.last_crash().reason() : one.detail()};
          },
          &api::Host::default_instance()};
}

kind queues() {
  return {"queue",
          "queues",
          [](const snapshot& s) { return pointers(s.queues()); },
          [](const message& m) { return as<api::Queue>(m).name(); },
          {{"QUEUE"},
           {"DEPTH", align::right},
           {"LEASED", align::right, false, 2},
           {"DELAYED", align::right, false, 3},
           {"DEAD", align::right},
           {"OLDEST", align::right, false, 1},
           {"IN", align::right, false, 4},
           {"OUT", align::right, false, 5},
           {"RETRIED", align::right, false, 6},
           {"DAMAGED", align::right, false, 0, true}},
          [](const message& m, const snapshot&) -> std::vector<cell> {
            const auto& one = as<api::Queue>(m);
            return {one.name(),
                    count_text(one.depth_count()),
                    count_text(one.leased_count()),
                    count_text(one.delayed_count()),
                    count_cell(one.dead_count(), &style::bad),
                    span_text(one.oldest_age_ms()),
                    count_text(one.appended_total()),
                    count_text(one.settled_total()),
                    count_text(one.retried_total()),
                    one.damaged_total() > 0 ? count_cell(one.damaged_total(), &style::bad) : cell{""}};
          },
          &api::Queue::default_instance()};
}

kind events() {
  return {"event",
          "events",
          [](const snapshot& s) { return pointers(s.events()); },
          [](const message& m) { return std::to_string(as<api::Event>(m).id()); },
          {{"TIME", align::left, false, 1},
           {"SEVERITY", align::left, false, 2},
           {"SUBJECT"},
           {"TEXT", align::left, true}},
          [](const message& m, const snapshot&) -> std::vector<cell> {
            const auto& one = as<api::Event>(m);
            return {date_text(one.at_unix_ms()), phase_cell(one.severity()), one.subject(), one.text()};
          },
          &api::Event::default_instance()};
}

} // namespace

std::span<const kind> all_kinds() {
  static const std::vector<kind> kinds{nodes(), flows(),  processors(), replicas(),
                                       hosts(), queues(), events()};
  return kinds;
}

result<std::string> whole_id(const kind& what, const api::SnapshotReply& snapshot, const std::string& typed) {
  constexpr std::size_t shown_max = 5;
  std::vector<std::string> begin_so;
  for (const auto* one : what.all(snapshot)) {
    auto id = what.id(*one);
    if (id == typed)
      return typed;
    if (id.starts_with(typed))
      begin_so.push_back(std::move(id));
  }
  if (begin_so.size() <= 1)
    return begin_so.empty() ? typed : begin_so.front();
  std::string some;
  for (std::size_t i = 0; i < std::min(begin_so.size(), shown_max); ++i)
    some += (i == 0 ? "" : ", ") + begin_so[i];
  if (begin_so.size() > shown_max)
    some += " and " + std::to_string(begin_so.size() - shown_max) + " more";
  return fail(errc::invalid_argument, std::string{what.name} + "/" + typed + " is not one "
                                        + std::string{what.name} + ": " + some + " begin so");
}

std::string route_text(const api::HttpSpec& http) { return http.method() + " " + http.route(); }

const kind* find_kind(std::string_view word) {
  for (const auto& one : all_kinds())
    if (word == one.name || word == one.plural)
      return &one;
  return nullptr;
}

} // namespace sluice::cli
