#include "actors/cluster/cluster_view.hpp"

#include "actors/cluster/request_demand.hpp"

#include <algorithm>
#include <cmath>

namespace sluice::cluster {

namespace {

node_view show(const cluster_state& state, const node_record& node, time_point now) {
  node_view view;
  view.info = node.stored.info;
  view.phase = phase_of(state, node);
  view.heartbeat_age =
    std::chrono::duration_cast<std::chrono::milliseconds>(state.detector.silence(view.info.id, now));
  for (auto id : node.replicas) {
    const auto& replica = state.replicas.at(id);
    if (replica.is_lost)
      continue;
    const auto& flow = state.flows.at(replica.stored.flow);
    const auto need = need_of(*flow.versions.at(replica.stored.version), replica.stored.processor);
    view.cpus_reserved += need.cpus;
    view.memory_reserved_bytes += need.memory_bytes;
  }
  view.cpus_reserved = std::round(view.cpus_reserved * 1000) / 1000; // ten times 0.1 is 1
  if (node.report) {
    view.cpu_used = node.report->cpu_used;
    view.memory_used_bytes = node.report->memory_used_bytes;
    view.hosts = node.report->hosts;
  }
  return view;
}

replica_view show(const cluster_state& state, const replica_record& replica) {
  replica_view view;
  view.id = replica.stored.id;
  view.flow = replica.stored.flow;
  view.processor = replica.stored.processor;
  view.version = replica.stored.version;
  view.node = replica.stored.node;
  if (replica.report)
    view.report = *replica.report;
  view.report.id = view.id;
  view.report.processor = view.processor;
  view.detail = describe(state, replica);
  if (replica.stored.goal == host::replica_goal::drain && view.detail.empty())
    view.detail = "drains";
  return view;
}

request_view show_requests(const cluster_state& state, const throughput& done,
                           const throughput::key& processor) {
  const auto now = demand_of(state, processor.first, processor.second);
  const auto sum = done.requests_of(processor);
  return {now.waiting,
          now.ongoing,
          now.wait_oldest,
          sum.answered_total,
          sum.client_errors_total,
          sum.server_errors_total,
          sum.turned_away_total,
          sum.room_messages_lost_total,
          sum.p50,
          sum.p99};
}

/// What went wrong in the version that should run; while it takes over, in the one before as well.
throughput::error_sum errors_of(const flow_record& flow, const throughput& done,
                                const throughput::key& processor) {
  auto errors = done.errors_of(processor, flow.stored.target);
  if (!flow.stored.current || flow.stored.current == flow.stored.target)
    return errors;
  const auto before = done.errors_of(processor, flow.stored.current);
  errors.failed_total += before.failed_total;
  if (errors.last_error.empty())
    errors.last_error = before.last_error;
  return errors;
}

flow_view show(const cluster_state& state, const flow_record& flow,
               const std::vector<const replica_record*>& replicas, const throughput& done) {
  flow_view view;
  const auto& target = *flow.versions.at(flow.stored.target);
  view.name = flow.stored.name;
  view.phase = flow.phase;
  view.current = flow.stored.current;
  view.target = flow.stored.target;
  view.detail = flow.detail;
  for (const auto& [version, row] : flow.versions)
    view.versions.push_back(version);
  view.artifact = target.artifact;
  for (const auto& [name, secret] : target.env)
    view.env_names.push_back(name);
  view.submitted_at = target.submitted_at;
  for (const auto& spec : target.spec.processors) {
    processor_view one;
    one.spec = spec;
    auto wanted = flow.stored.scale.find(spec.name);
    one.replicas_desired = flow.stored.draining || flow.stored.deleting || flow.stored.end ? 0
                           : wanted == flow.stored.scale.end()                             ? spec.num_replicas
                                                                                           : wanted->second;
    for (const auto* replica : replicas)
      if (replica->stored.processor == spec.name && !replica->is_lost && replica->report
          && replica->report->phase == host::replica_phase::running)
        ++one.replicas_running;
    const auto key = std::pair{flow.stored.name, spec.name};
    const auto errors = errors_of(flow, done, key);
    one.processed_total = done.processed_total(key);
    one.failed_total = errors.failed_total;
    one.last_error = errors.last_error;
    one.rate_per_s = done.rate_per_s(key);
    if (spec.http)
      one.requests = show_requests(state, done, key);
    if (auto now = spec.http ? demand_of(state, key.first, key.second).sink_error : std::string{};
        !now.empty())
      one.last_error = std::move(now); // newer than what a replica said once
    const auto& batches = flow.stored.end ? flow.stored.end->batches : flow.batches;
    if (auto batch = batches.find(spec.name); batch != batches.end())
      one.batch = batch->second;
    if (spec.kind == pattern::batch)
      one.processed_total = one.batch ? one.batch->records_in : 0; // of this run
    view.processors.push_back(std::move(one));
  }
  return view;
}

} // namespace

std::shared_ptr<cluster_view> make_view(const cluster_state& state, const throughput& done, time_point now) {
  auto view = std::make_shared<cluster_view>();
  for (const auto& [id, node] : state.nodes)
    view->nodes.push_back(show(state, node, now));
  std::map<flow_name, std::vector<const replica_record*>> groups;
  for (const auto& [id, replica] : state.replicas) {
    groups[replica.stored.flow].push_back(&replica);
    view->replicas.push_back(show(state, replica));
  }
  for (const auto& [name, flow] : state.flows) {
    view->flows.push_back(show(state, flow, groups[name], done));
    for (const auto& [processor, waiting] : flow.waiting) {
      replica_view missing;
      missing.flow = name;
      missing.processor = processor;
      missing.version = flow.stored.target;
      missing.report.processor = processor;
      missing.detail = "cannot be placed: " + waiting.reason;
      view->replicas.insert(view->replicas.end(), waiting.count, missing);
    }
  }
  return view;
}

} // namespace sluice::cluster
