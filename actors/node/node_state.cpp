#include "actors/node/node_state.hpp"

#include <algorithm>
#include <iterator>
#include <set>

namespace sluice::node {

namespace {

void add(node_actions& out, const host_key& key, host_actions actions) {
  for (auto& each : actions)
    out.push_back({key, std::move(each)});
}

constexpr std::chrono::seconds request_hang_timeout{60};

/// A setup is not hung before, however short the processor's timeout is.
constexpr std::chrono::seconds setup_hang_min{60};

/// One call of user code that takes longer is hung. Requests without a timeout have one at the ingress; here they
/// get twice that, for a host that ends takes other requests with it.
std::chrono::milliseconds hang_limit_of(const processor_spec& processor) {
  if (processor.timeout.count() > 0)
    return processor.timeout;
  const bool answers = processor.kind == pattern::endpoint || processor.kind == pattern::collector;
  return answers ? request_hang_timeout : std::chrono::milliseconds{0};
}

/// Setting up is not answering: a short timeout is one of requests and records. Without one it may take what it takes.
std::chrono::milliseconds setup_limit_of(const processor_spec& processor) {
  if (processor.timeout.count() == 0)
    return std::chrono::milliseconds{0};
  return std::max<std::chrono::milliseconds>(processor.timeout, setup_hang_min);
}

host_entry make_entry(const flow_order& order, bool isolated) {
  host_entry entry;
  entry.order = order;
  entry.host.isolated = isolated;
  for (const auto& processor : order.spec.processors) {
    entry.host.timeouts[processor.name] = hang_limit_of(processor);
    entry.host.setup_limits[processor.name] = setup_limit_of(processor);
  }
  return entry;
}

/// The cluster gives no version to two programs; a head whose state was restored from a copy may.
bool is_same_program(const flow_order& a, const flow_order& b) {
  return a.artifact == b.artifact && a.args == b.args && a.env == b.env;
}

event::wanted nothing_wanted(const host_entry& entry) { return {false, {}, entry.host.memory_limit_bytes}; }

event::wanted wanted_of(const node_state& state, const flow_order& order,
                        std::vector<host::replica_order> replicas) {
  std::sort(replicas.begin(), replicas.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  const auto limit = memory_limit(order, replicas, state.host_memory_bytes_max);
  return {true, std::move(replicas), limit};
}

/// Cores used between two readings of a counter of processor time.
double cores_used(std::optional<std::pair<time_point, std::chrono::nanoseconds>>& last, time_point now,
                  std::chrono::nanoseconds cpu_time, double before) {
  double used = before;
  if (last && now > last->first && cpu_time >= last->second)
    used = std::chrono::duration<double>(cpu_time - last->second)
           / std::chrono::duration<double>(now - last->first);
  last.emplace(now, cpu_time);
  return used;
}

/// A heartbeat carries no more than this of a crash's log; `host_ended` has told all.
constexpr std::size_t log_tail_bytes_max = 8u << 10;

crash_report shorten(const crash_report& full) {
  crash_report out = full;
  std::size_t size_bytes = 0;
  auto first = out.log_tail.end();
  while (first != out.log_tail.begin() && size_bytes + std::prev(first)->size() <= log_tail_bytes_max)
    size_bytes += (--first)->size();
  out.log_tail.erase(out.log_tail.begin(), first);
  return out;
}

host_status make_status(const host_key& key, const host_entry& entry, time_point now) {
  const auto& host = entry.host;
  host_status status;
  status.id = host.host;
  status.flow = key.flow;
  status.version = key.version;
  status.phase = host.phase;
  status.pid = host.pid;
  status.restarts = host.starts_total > 0 ? host.starts_total - 1 : 0;
  status.memory_bytes = host.memory_bytes;
  status.cpu_used = entry.cpu_used;
  status.detail = host.detail;
  status.starts_in = wait_left(host, now);
  if (host.last_crash)
    status.last_crash = shorten(*host.last_crash);
  status.replicas = host.replicas;
  return status;
}

} // namespace

node_actions apply(node_state& state, const desired_state& wish, const moment& at) {
  node_actions out;
  if (wish.revision < state.revision || state.is_stopping)
    return out;
  state.revision = wish.revision;
  std::map<host_key, std::vector<host::replica_order>> replicas;
  for (const auto& each : wish.assignments)
    replicas[{each.flow, each.version}].push_back({each.id, each.processor, each.goal});
  std::set<host_key> wanted;
  for (const auto& order : wish.flows) {
    const host_key key{order.flow, order.version};
    wanted.insert(key);
    auto& entry = state.hosts.try_emplace(key, make_entry(order, state.isolated)).first->second;
    entry.next.reset();
    if (is_same_program(entry.order, order)) {
      add(out, key, apply(entry.host, wanted_of(state, order, std::move(replicas[key])), at));
      continue;
    }
    entry.next = next_order{order, std::move(replicas[key])};
    add(out, key, apply(entry.host, nothing_wanted(entry), at));
    begin_next(state, key, at, out);
  }
  for (auto& [key, entry] : state.hosts)
    if (!wanted.contains(key)) {
      entry.next.reset();
      add(out, key, apply(entry.host, nothing_wanted(entry), at));
    }
  return out;
}

node_actions begin_stop(node_state& state, const moment& at) {
  node_actions out;
  state.is_stopping = true;
  for (auto& [key, entry] : state.hosts) {
    entry.next.reset();
    add(out, key, apply(entry.host, nothing_wanted(entry), at));
  }
  return out;
}

void begin_next(node_state& state, const host_key& key, const moment& at, node_actions& out) {
  const auto found = state.hosts.find(key);
  if (found == state.hosts.end() || !found->second.next || found->second.host.phase != host_phase::down)
    return;
  auto next = std::move(*found->second.next);
  found->second = make_entry(next.order, state.isolated);
  add(out, key, apply(found->second.host, wanted_of(state, next.order, std::move(next.replicas)), at));
}

std::optional<host_key> find(const node_state& state, host_id id) {
  for (const auto& [key, entry] : state.hosts)
    if (entry.host.host == id && has_process(entry.host))
      return key;
  return std::nullopt;
}

void note_time(node_state& state, time_point now) {
  if (state.looked_at) {
    const auto gap = now - *state.looked_at;
    if (gap >= tick_interval + sleep_threshold)
      for (auto& [key, entry] : state.hosts)
        apply(entry.host, event::slept{gap - tick_interval}, moment{now, 0, {}});
  }
  state.looked_at = now;
}

event::tick measure(host_entry& entry, const std::optional<process_sample>& sample, time_point now) {
  event::tick out;
  if (!sample) {
    entry.cpu_last.reset();
    entry.cpu_used = 0;
    return out;
  }
  out.memory_bytes = sample->memory_bytes;
  entry.cpu_used = cores_used(entry.cpu_last, now, sample->cpu_time, entry.cpu_used);
  return out;
}

void measure(node_state& state, const machine_sample& sample, time_point now) {
  state.memory_used_bytes = sample.memory_used_bytes;
  state.cpu_used = cores_used(state.cpu_last, now, sample.cpu_time, state.cpu_used);
}

std::optional<time_point> next_due(const node_state& state) {
  std::optional<time_point> first;
  for (const auto& [key, entry] : state.hosts)
    if (auto due = next_due(entry.host); due && (!first || *due < *first))
      first = due;
  return first;
}

std::uint64_t memory_limit(const flow_order& order, const std::vector<host::replica_order>& replicas,
                           std::uint64_t bytes_max) {
  std::uint64_t sum = 0;
  for (const auto& replica : replicas) {
    auto spec = std::find_if(order.spec.processors.begin(), order.spec.processors.end(),
                             [&](const auto& p) { return p.name == replica.processor; });
    if (spec == order.spec.processors.end() || spec->memory_bytes == 0)
      return bytes_max;
    sum += spec->memory_bytes;
  }
  if (sum == 0)
    return bytes_max;
  sum = std::max(sum, limits::host_memory_bytes_min);
  return bytes_max == 0 ? sum : std::min(sum, bytes_max);
}

node_report make_report(const node_state& state, const node_info& self, time_point now) {
  node_report report;
  report.node = self.id;
  report.started = self.started;
  report.revision = state.revision;
  report.cpu_used = state.cpu_used;
  report.memory_used_bytes = state.memory_used_bytes;
  for (const auto& [key, entry] : state.hosts)
    report.hosts.push_back(make_status(key, entry, now));
  return report;
}

bool forget_down(node_state& state) {
  return std::erase_if(state.hosts,
                       [](const auto& each) { return each.second.host.phase == host_phase::down; })
         > 0;
}

} // namespace sluice::node
