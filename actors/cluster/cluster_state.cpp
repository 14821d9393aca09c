#include "actors/cluster/cluster_state.hpp"

#include "actors/cluster/cluster_changes.hpp"

#include <algorithm>

namespace sluice::cluster {

// ---- change -----------------------------------------------------------------------

void change::tell(std::string_view severity, std::string subject, std::string text) {
  event_view line;
  line.id = ++state.event_id_last;
  line.at = at.wall;
  line.severity = severity;
  line.subject = std::move(subject);
  line.text = std::move(text);
  out.changes.events.push_back(std::move(line));
  if (state.event_id_last > limits::events_kept_max)
    out.changes.events_forgotten_to = state.event_id_last - limits::events_kept_max;
}

void change::start_replica(const flow_name& flow, const processor_name& processor, flow_version version,
                           const node_id& node) {
  replica_record record;
  record.stored = {
    replica_id{++state.replica_id_last}, flow, processor, version, node, host::replica_goal::run};
  out.changes.replica_id_last = state.replica_id_last;
  out.changes.replicas.push_back(record.stored);
  state.nodes.at(node).replicas.insert(record.stored.id);
  state.replicas.emplace(record.stored.id, std::move(record));
}

void change::drain_replica(replica_record& replica) {
  replica.stored.goal = host::replica_goal::drain;
  out.changes.replicas.push_back(replica.stored);
}

void change::forget_replica(replica_id id) {
  auto found = state.replicas.find(id);
  state.nodes.at(found->second.stored.node).replicas.erase(id);
  state.replicas.erase(found);
  out.changes.replicas_forgotten.push_back(id);
  std::erase_if(out.changes.replicas, [&](const stored_replica& row) { return row.id == id; });
}

void change::forget_flow(const flow_name& name) {
  auto flow = state.flows.find(name);
  deleted_flow row{name, flow->second.stored.counted};
  state.flows.erase(flow);
  out.changes.flows_forgotten.push_back(name);
  std::erase_if(out.changes.flows, [&](const stored_flow& each) { return each.name == name; });
  state.deleted[name] = row.counted;
  out.changes.deleted.push_back(std::move(row));
  while (state.deleted.size() > state.limits.deleted_kept_max) {
    // The lowest, so that the floor, and with it the numbers of new flows, stays as low as it can.
    auto lowest = std::ranges::min_element(state.deleted, {}, [](const auto& each) { return each.second; });
    state.deleted_floor = std::max(state.deleted_floor, lowest->second);
    out.changes.deleted_floor = state.deleted_floor;
    out.changes.deleted_forgotten.push_back(lowest->first);
    std::erase_if(out.changes.deleted, [&](const deleted_flow& each) { return each.name == lowest->first; });
    state.deleted.erase(lowest);
  }
}

// ---- public -----------------------------------------------------------------------

result<cluster_state> restore(const stored_state& stored, const state_limits& limits, time_point now) {
  cluster_state state;
  state.limits = limits;
  state.detector = failure_detector{limits.detector};
  state.replica_id_last = stored.replica_id_last;
  state.revision_last = stored.openings << 32;
  for (const auto& row : stored.nodes) {
    auto& node = state.nodes[row.info.id];
    node.stored = row;
    node.gone_at = now;
    if (row.gone)
      state.detector.watch_dead(row.info.id, now);
    else
      state.detector.expect(row.info.id, now, limits.restart_grace);
    node.shown = row.gone ? node_phase::dead : node_phase::suspect;
  }
  for (const auto& row : stored.flows)
    state.flows[row.name].stored = row;
  for (const auto& row : stored.deleted)
    state.deleted[row.name] = row.counted;
  state.deleted_floor = stored.deleted_floor;
  for (const auto& row : stored.versions) {
    auto flow = state.flows.find(row.flow);
    if (flow == state.flows.end())
      return fail(errc::corrupt, "a version is stored of flow '" + row.flow.value + "', which is not");
    flow->second.versions[row.version] = std::make_shared<const stored_version>(row);
  }
  for (const auto& [name, flow] : state.flows)
    if (!flow.versions.contains(flow.stored.target))
      return fail(errc::corrupt, "flow '" + name.value + "' names version "
                                   + std::to_string(flow.stored.target.value) + ", which is not stored");
  for (const auto& row : stored.replicas) {
    auto node = state.nodes.find(row.node);
    auto flow = state.flows.find(row.flow);
    if (node == state.nodes.end() || flow == state.flows.end()
        || !flow->second.versions.contains(row.version))
      return fail(errc::corrupt, "replica " + std::to_string(row.id.value) + " of flow '" + row.flow.value
                                   + "' names a node or version that is not stored");
    node->second.replicas.insert(row.id);
    auto& replica = state.replicas[row.id];
    replica.stored = row;
    replica.is_lost = node->second.stored.gone;
    replica.is_presumed = !replica.is_lost && row.version == flow->second.stored.current;
  }
  state.answers.assign(stored.answers.begin(), stored.answers.end());
  if (!stored.events.empty())
    state.event_id_last = stored.events.back().id;
  return state;
}

decision apply(cluster_state& state, const event& what, moment at) {
  change it{state, at};
  std::visit(
    [&](const auto& one) {
      using type = std::decay_t<decltype(one)>;
      if constexpr (std::is_same_v<type, tick>)
        judge_silence(it);
      else
        take(it, one);
    },
    what);
  if (!it.out.refused && it.needs_reconcile)
    reconcile(it);
  return std::move(it.out);
}

void resend_all(cluster_state& state) {
  for (auto& [id, node] : state.nodes)
    node.must_send = true;
}

node_phase phase_of(const cluster_state& state, const node_record& node) {
  if (node.has_left)
    return node_phase::left;
  switch (state.detector.of(node.stored.info.id)) {
  case liveness::dead:
    return node_phase::dead;
  case liveness::suspect:
    return node_phase::suspect;
  case liveness::alive:
    break;
  }
  if (!node.stored.drain_requested)
    return node_phase::alive;
  return node.replicas.empty() ? node_phase::drained : node_phase::draining;
}

replica_need need_of(const stored_version& version, const processor_name& processor) {
  auto spec = std::ranges::find(version.spec.processors, processor, &processor_spec::name);
  if (spec == version.spec.processors.end())
    return {};
  return {spec->num_cpus, spec->memory_bytes, spec->node_labels};
}

namespace {

const node::host_status* find_host(const node_record& node, const stored_replica& replica) {
  if (!node.report)
    return nullptr;
  for (const auto& host : node.report->hosts)
    if (host.flow == replica.flow && host.version == replica.version)
      return &host;
  return nullptr;
}

/// From then on a setup is told as what a replica waits for.
constexpr std::chrono::seconds setup_named_after{10};

/// "starts on node-a", or with what keeps it: "price starts on node-a: file: ...".
std::string describe_start(const replica_record& replica, const std::string& where) {
  const auto& report = *replica.report;
  auto why = report.last_error;
  if (why.empty() && report.busy_longest >= setup_named_after)
    why = "its setup has taken "
          + std::to_string(std::chrono::duration_cast<std::chrono::seconds>(report.busy_longest).count())
          + " s";
  const auto text = "starts on " + where;
  return why.empty() ? text : replica.stored.processor.value + " " + text + ": " + why;
}

} // namespace

std::pair<replica_health, std::string> health_of(const cluster_state& state, const replica_record& replica) {
  const auto& node = state.nodes.at(replica.stored.node);
  const auto& where = replica.stored.node.value;
  if (replica.is_lost)
    return {replica_health::failing, "its node " + where + " is gone"};
  const auto* host = find_host(node, replica.stored);
  if (host && host->phase == node::host_phase::crash_loop)
    return {replica_health::failing, "crash loop on " + where + ": " + node::reason_of(*host)};
  if (replica.report) {
    switch (replica.report->phase) {
    case host::replica_phase::running:
    case host::replica_phase::draining:
      return {replica_health::up, {}};
    case host::replica_phase::down:
      if (replica.report->exhausted)
        return {replica_health::up, {}};
      return {replica_health::starting, "is down on " + where};
    case host::replica_phase::failed:
      return {replica_health::failing,
              replica.stored.processor.value + " failed on " + where + ": " + replica.report->last_error};
    case host::replica_phase::starting:
      return {replica_health::starting, describe_start(replica, where)};
    }
  }
  if (!node.is_connected || !node.report)
    return {replica_health::starting, where + " has not reported yet"};
  if (!host)
    return {replica_health::starting, "waits for its host on " + where};
  std::string text{node::to_string(host->phase)};
  text += " on " + where;
  if (auto reason = node::reason_of(*host); !reason.empty())
    text += ": " + reason;
  return {replica_health::starting, text};
}

bool is_in_crash_loop(const cluster_state& state, const replica_record& replica) {
  if (replica.is_lost)
    return false;
  const auto* host = find_host(state.nodes.at(replica.stored.node), replica.stored);
  return host && host->phase == node::host_phase::crash_loop;
}

std::string describe(const cluster_state& state, const replica_record& replica) {
  auto [health, text] = health_of(state, replica);
  const auto* host =
    replica.is_lost ? nullptr : find_host(state.nodes.at(replica.stored.node), replica.stored);
  if (health != replica_health::up && host)
    text += node::wait_text(*host);
  return text;
}

} // namespace sluice::cluster
