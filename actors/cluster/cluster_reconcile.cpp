#include "actors/cluster/cluster_changes.hpp"
#include "actors/cluster/cluster_routes.hpp"

#include <algorithm>
#include <cstdio>

/// Compares all that is wanted with all that is there. Runs after every event that
/// changed anything, and on every tick, and never asks which event it was.
namespace sluice::cluster {

namespace {

using grouping = std::map<flow_name, std::vector<replica_record*>>;

std::string count_of(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string{noun} + (count == 1 ? "" : "s");
}

grouping group_by_flow(cluster_state& state) {
  grouping groups;
  for (auto& [id, replica] : state.replicas)
    groups[replica.stored.flow].push_back(&replica);
  return groups;
}

replica_need need_of(const cluster_state& state, const stored_replica& replica) {
  auto flow = state.flows.find(replica.flow);
  if (flow == state.flows.end())
    return {};
  auto version = flow->second.versions.find(replica.version);
  return version == flow->second.versions.end() ? replica_need{}
                                                : need_of(*version->second, replica.processor);
}

/// The nodes that take work and what they have free.
std::vector<node_room> rooms(const cluster_state& state) {
  std::vector<node_room> result;
  for (const auto& [id, node] : state.nodes) {
    if (!node.is_connected || phase_of(state, node) != node_phase::alive)
      continue;
    node_room room{id, node.stored.info.cpus, node.stored.info.memory_bytes, node.stored.info.labels};
    for (auto replica : node.replicas) {
      auto need = need_of(state, state.replicas.at(replica).stored);
      room.cpus_free -= need.cpus;
      room.memory_bytes_free -= std::min(need.memory_bytes, room.memory_bytes_free);
    }
    result.push_back(std::move(room));
  }
  return result;
}

/// Drain and delete: nothing is started, everything goes. Returns true once nothing is left.
bool wind_down(change& it, flow_record& flow, std::vector<replica_record*>& replicas) {
  flow.waiting.clear();
  std::erase_if(replicas, [&](replica_record* replica) {
    if (!replica->is_lost) {
      if (replica->stored.goal == host::replica_goal::run)
        it.drain_replica(*replica);
      return false;
    }
    it.forget_replica(replica->stored.id);
    return true;
  });
  return replicas.empty();
}

std::string waiting_text(const flow_record& flow) {
  std::string text;
  for (const auto& [processor, waiting] : flow.waiting) {
    text += text.empty() ? "" : "; ";
    text +=
      processor.value + ": " + count_of(waiting.count, "replica") + " cannot be placed: " + waiting.reason;
  }
  return text;
}

/// The update has stood still for too long. `up_count` of the new replicas are up; one more
/// than ever before is progress, and so is having them all: then only old ones finish.
bool has_stalled(change& it, flow_record& flow, std::uint32_t up_count) {
  const auto& target = flow.stored.target;
  std::uint32_t wanted = 0;
  for (const auto& [processor, count] : flow.stored.scale)
    wanted += count;
  if (!flow.progress || flow.progress->target != target)
    flow.progress = update_progress{target, up_count, it.at.now};
  auto& progress = *flow.progress;
  if (up_count > progress.up_count_max || up_count >= wanted) {
    progress.up_count_max = std::max(progress.up_count_max, up_count);
    progress.since = it.at.now;
  }
  return it.at.now - progress.since >= it.state.limits.update_stall_max;
}

/// Gives an update up once a new replica shows that it cannot run, or none comes up for
/// long: what ran before stays.
void give_up_failed_update(change& it, flow_record& flow, const std::vector<replica_record*>& replicas) {
  auto& stored = flow.stored;
  if (!stored.current || stored.target == stored.current || !flow.versions.contains(stored.current)) {
    flow.progress.reset();
    return;
  }
  std::uint32_t up_count = 0;
  std::string why;
  std::string waits_for;
  for (const auto* replica : replicas) {
    if (replica->stored.version != stored.target || replica->stored.goal == host::replica_goal::drain
        || replica->is_lost)
      continue;
    auto [health, reason] = health_of(it.state, *replica);
    up_count += health == replica_health::up ? 1 : 0;
    if (health == replica_health::failing && why.empty())
      why = reason;
    if (health == replica_health::starting)
      waits_for = reason;
  }
  if (has_stalled(it, flow, up_count) && why.empty()) {
    auto minutes = std::chrono::duration_cast<std::chrono::minutes>(it.state.limits.update_stall_max);
    auto detail = waits_for.empty() ? waiting_text(flow) : waits_for;
    why = "no further replica came up for " + count_of(static_cast<std::size_t>(minutes.count()), "minute")
          + (detail.empty() ? "" : " (" + detail + ")");
  }
  if (why.empty())
    return;
  stored.update_error = "update to version " + std::to_string(stored.target.value) + " failed: " + why
                        + "; version " + std::to_string(stored.current.value) + " stays";
  stored.target = stored.current;
  stored.scale = stored.scale_before;
  flow.retries.clear();
  flow.progress.reset();
  it.store(flow);
}

/// "5,000,000 records in, 12 out, 0 rejected in 12.3 s"
std::string summary_of(const host::batch_report& batch) {
  char took[32];
  std::snprintf(took, sizeof took, "%.1f s", std::chrono::duration<double>(batch.took).count());
  return std::to_string(batch.records_in) + " records in, " + std::to_string(batch.records_out) + " out, "
         + std::to_string(batch.rejected) + " rejected in " + took;
}

/// Notes that a flow of batches has come to its end, one way or the other.
void note_end(change& it, flow_record& flow) {
  const auto& spec = flow.versions.at(flow.stored.target)->spec;
  if (flow.stored.end || !ends_by_itself(spec))
    return;
  flow_end end{true, {}, flow.batches};
  std::string failures;
  for (const auto& processor : spec.processors) {
    const auto found = flow.batches.find(processor.name);
    const auto phase = found == flow.batches.end() ? host::batch_phase::running : found->second.phase;
    if (phase == host::batch_phase::running) {
      end.is_complete = false;
      continue;
    }
    const bool has_failed = phase == host::batch_phase::failed;
    auto& text = has_failed ? failures : end.detail;
    text += (text.empty() ? "" : "; ") + processor.name.value + ": "
            + (has_failed ? found->second.error : summary_of(found->second));
  }
  if (!failures.empty()) {
    end.is_complete = false;
    end.detail = std::move(failures);
  } else if (!end.is_complete) {
    return;
  }
  flow.stored.end = std::move(end);
  flow.stored.current = flow.stored.target;
  flow.stored.scale_before = flow.stored.scale;
  flow.retries.clear();
  flow.progress.reset();
  it.store(flow);
}

/// True if a failed replica has waited long enough to be replaced by a new one.
bool is_due_for_retry(change& it, flow_record& flow, const replica_record& replica) {
  const auto& limits = it.state.limits;
  auto& retry = flow.retries[replica.stored.processor];
  if (!retry.retry_at) {
    if (retry.failures == 0)
      retry.failures = 1;
    const auto delay = std::min<std::chrono::nanoseconds>(
      limits.retry_delay_max, limits.retry_delay_min * (1 << std::min(retry.failures - 1, 10u)));
    retry.retry_at = it.at.now + delay;
    retry.node = replica.stored.node;
  }
  return it.at.now >= *retry.retry_at;
}

/// Once a processor's replicas have run for long, its next failure is a first one again. That includes one whose failed
/// replica has gone with its node, not by a retry.
void forgive(change& it, flow_record& flow, const std::vector<replica_record*>& replicas) {
  for (auto retry = flow.retries.begin(); retry != flow.retries.end();) {
    const bool is_well = std::ranges::all_of(replicas, [&](const replica_record* replica) {
      return replica->stored.processor != retry->first
             || (replica->up_since && it.at.now - *replica->up_since >= limits::host_restart_window);
    });
    retry = is_well ? flow.retries.erase(retry) : std::next(retry);
  }
}

/// Remembers where hosts of the target are in a crash loop, and forgets it once they serve there, the node is another, or
/// long after.
void note_crash_loops(change& it, flow_record& flow, const std::vector<replica_record*>& replicas) {
  const auto& target = flow.stored.target;
  for (const auto* replica : replicas) {
    const auto& stored = replica->stored;
    if (stored.version != target)
      continue;
    if (is_in_crash_loop(it.state, *replica))
      flow.crash_loops[stored.node] = {target, it.state.nodes.at(stored.node).stored.info.started, it.at.now};
    else if (replica->up_since && it.at.now - *replica->up_since >= limits::host_restart_window)
      flow.crash_loops.erase(stored.node);
  }
  std::erase_if(flow.crash_loops, [&](const auto& one) {
    const auto node = it.state.nodes.find(one.first);
    return one.second.version != target || node == it.state.nodes.end()
           || node->second.stored.info.started != one.second.started
           || it.at.now - one.second.seen_at >= it.state.limits.crash_loop_memory;
  });
}

rollout_input describe(change& it, flow_record& flow, const std::vector<replica_record*>& replicas) {
  rollout_input input;
  std::set<processor_name> retried;
  for (auto* replica : replicas) {
    if (replica->is_lost)
      continue;
    member one;
    one.id = replica->stored.id;
    one.processor = replica->stored.processor;
    one.node = replica->stored.node;
    one.is_target = replica->stored.version == flow.stored.target;
    one.is_draining = replica->stored.goal == host::replica_goal::drain;
    one.health = health_of(it.state, *replica).first;
    one.host_loops = is_in_crash_loop(it.state, *replica);
    const auto& where = it.state.nodes.at(one.node).stored;
    const auto need = need_of(it.state, replica->stored);
    one.must_go = where.drain_requested || !has_labels(where.info.labels, need.node_labels);
    const bool has_failed = replica->report && replica->report->phase == host::replica_phase::failed;
    if (one.is_target && !one.is_draining && has_failed && is_due_for_retry(it, flow, *replica)) {
      one.must_go = true;
      retried.insert(one.processor);
    }
    input.needs[one.id] = need;
    input.members.push_back(std::move(one));
  }
  for (const auto& processor : retried) {
    auto& retry = flow.retries[processor];
    retry.retry_at.reset();
    retry.failures += 1;
  }
  for (const auto& [processor, retry] : flow.retries)
    if (!retry.node.empty())
      input.failed_last[processor] = retry.node;
  for (const auto& [node, loop] : flow.crash_loops)
    input.looped.insert(node);
  const auto& target = *flow.versions.at(flow.stored.target);
  for (const auto& spec : target.spec.processors) {
    auto count = flow.stored.scale.find(spec.name);
    input.wants.push_back({spec.name, count == flow.stored.scale.end() ? spec.num_replicas : count->second,
                           need_of(target, spec.name), has_one_owner(spec)});
  }
  return input;
}

/// Lost replicas are kept only as far as nothing could take their place.
void drop_replaced(change& it, const flow_record& flow, const std::vector<replica_record*>& replicas,
                   const rollout_plan& plan) {
  std::map<processor_name, std::uint32_t> spare;
  for (const auto& [processor, waiting] : plan.waiting)
    spare[processor] = waiting.count;
  for (auto* replica : replicas) {
    if (!replica->is_lost)
      continue;
    const auto& stored = replica->stored;
    const bool is_wanted = stored.version == flow.stored.target && stored.goal == host::replica_goal::run;
    if (is_wanted && spare[stored.processor] > 0)
      --spare[stored.processor];
    else
      it.forget_replica(stored.id);
  }
}

void roll_out(change& it, flow_record& flow, std::vector<replica_record*>& replicas,
              std::vector<node_room>& nodes) {
  give_up_failed_update(it, flow, replicas);
  forgive(it, flow, replicas);
  note_crash_loops(it, flow, replicas);
  auto plan = plan_rollout(describe(it, flow, replicas), nodes);
  for (const auto& one : plan.starts)
    it.start_replica(flow.stored.name, one.processor, flow.stored.target, one.node);
  for (const auto& node : plan.loops_left)
    it.tell("warning", "flow/" + flow.stored.name.value,
            "its host on " + node.value + " is in a crash loop; its replicas go to other nodes");
  for (auto id : plan.drains)
    it.drain_replica(it.state.replicas.at(id));
  drop_replaced(it, flow, replicas, plan);
  flow.waiting = plan.waiting;
  if (plan.is_complete && flow.stored.current != flow.stored.target) {
    flow.stored.current = flow.stored.target;
    flow.stored.scale_before = flow.stored.scale;
    it.store(flow);
  }
}

// ---- phases -------------------------------------------------------------------------

struct tally {
  std::size_t wanted = 0;
  std::size_t up = 0;
  std::size_t failing = 0;
  std::size_t left = 0; ///< replicas of any version
  std::size_t old = 0;  ///< of other versions than the target
  std::string failing_why;
  std::string starting_why;
  bool starting_explained = false; ///< by the replica itself
};

tally count(const change& it, const flow_record& flow, const std::vector<replica_record*>& replicas) {
  tally sum;
  for (const auto& [processor, count] : flow.stored.scale)
    sum.wanted += count;
  for (const auto* each : replicas) {
    const auto& replica = *each;
    ++sum.left;
    if (replica.stored.version != flow.stored.target)
      ++sum.old;
    if (replica.is_lost || replica.stored.version != flow.stored.target
        || replica.stored.goal != host::replica_goal::run)
      continue;
    auto [health, reason] = health_of(it.state, replica);
    if (health == replica_health::up) {
      ++sum.up;
    } else if (health == replica_health::failing) {
      ++sum.failing;
      if (sum.failing_why.empty())
        sum.failing_why = reason;
    } else if (const bool explains = reason.find(": ") != std::string::npos;
               sum.starting_why.empty() || (explains && !sum.starting_explained)) {
      sum.starting_why = reason;
      sum.starting_explained = explains;
    }
  }
  return sum;
}

std::pair<flow_phase, std::string> assess(const flow_record& flow, const tally& sum) {
  const auto& stored = flow.stored;
  auto up_of = std::to_string(sum.up) + " of " + count_of(sum.wanted, "replica");
  if (stored.deleting)
    return {flow_phase::deleting, count_of(sum.left, "replica") + " left"};
  if (stored.draining)
    return sum.left == 0 ? std::pair{flow_phase::drained, std::string{}}
                         : std::pair{flow_phase::draining, count_of(sum.left, "replica") + " left"};
  if (stored.end)
    return {stored.end->is_complete ? flow_phase::completed : flow_phase::failed, stored.end->detail};
  std::string detail = waiting_text(flow);
  if (stored.current && stored.target != stored.current) {
    auto text = "to version " + std::to_string(stored.target.value) + ": " + up_of + " up, "
                + std::to_string(sum.old) + " old left";
    if (!detail.empty() || !sum.starting_why.empty())
      text += "; " + (detail.empty() ? sum.starting_why : detail);
    return {flow_phase::updating, text};
  }
  if (!stored.update_error.empty())
    detail = stored.update_error + (detail.empty() ? "" : "; " + detail);
  if (sum.failing > 0) {
    detail = sum.failing_why + (detail.empty() ? "" : "; " + detail);
    return {sum.up == 0 ? flow_phase::failed : flow_phase::degraded, detail};
  }
  if (!stored.current)
    return {flow_phase::starting, detail.empty() ? sum.starting_why : detail};
  if (!detail.empty())
    return {flow_phase::degraded, detail};
  if (sum.up < sum.wanted)
    return {sum.up == 0 ? flow_phase::starting : flow_phase::running, up_of + " up; " + sum.starting_why};
  return {flow_phase::running, {}};
}

/// While failing replicas are tried again, a flow goes to and fro between its phases. That is news when it begins,
/// when it gets worse, and when all of the flow runs.
bool is_news(const flow_record& flow) {
  if (!flow.told || flow.told->second != flow.stored.target)
    return true;
  const auto told = flow.told->first;
  if (flow.phase == told)
    return false;
  if (flow.phase == flow_phase::degraded)
    return told != flow_phase::failed;
  return flow.phase != flow_phase::running || told == flow_phase::drained || flow.detail.empty();
}

void tell_phase(change& it, flow_record& flow) {
  if (flow.phase == flow_phase::starting || !is_news(flow))
    return;
  flow.told = {flow.phase, flow.stored.target};
  const auto subject = "flow/" + flow.stored.name.value;
  const auto version = "version " + std::to_string(flow.stored.target.value);
  switch (flow.phase) {
  case flow_phase::running:
    it.tell("info", subject, version + " runs");
    break;
  case flow_phase::degraded:
    it.tell("warning", subject, "is degraded: " + flow.detail);
    break;
  case flow_phase::failed:
    it.tell("error", subject, version + " failed: " + flow.detail);
    break;
  case flow_phase::completed:
    it.tell("info", subject, version + " is complete: " + flow.detail);
    break;
  case flow_phase::drained:
    it.tell("info", subject, "is drained");
    break;
  default: // the request that led here has been told
    break;
  }
}

// ---- orders to nodes ------------------------------------------------------------------

node::desired_state order_for(const cluster_state& state, const node_record& node, std::uint64_t revision) {
  node::desired_state order;
  order.revision = revision;
  order.routes = state.routes;
  std::set<std::pair<flow_name, flow_version>> named;
  for (auto id : node.replicas) {
    const auto& replica = state.replicas.at(id).stored;
    order.assignments.push_back({id, replica.flow, replica.version, replica.processor, replica.goal});
    if (!named.emplace(replica.flow, replica.version).second)
      continue;
    const auto& version = *state.flows.at(replica.flow).versions.at(replica.version);
    order.flows.push_back({version.flow, version.version, version.artifact, version.artifact_size_bytes,
                           version.args, version.env, version.spec});
    for (auto& processor : order.flows.back().spec.processors)
      if (processor.http)
        processor.http->openapi.clear(); // the routes have it, for those who show it
  }
  return order;
}

/// Makes the newest table the one that orders carry; an equal one stays the same object.
void update_routes(cluster_state& state) {
  auto now = routes_of(state);
  if (state.routes ? now != *state.routes : !now.routes.empty())
    state.routes = std::make_shared<const ingress::route_table>(std::move(now));
}

void send_orders(change& it) {
  for (auto& [id, node] : it.state.nodes) {
    if (!node.is_connected)
      continue;
    std::vector<std::pair<replica_id, host::replica_goal>> wanted;
    wanted.reserve(node.replicas.size());
    for (auto replica : node.replicas)
      wanted.emplace_back(replica, it.state.replicas.at(replica).stored.goal);
    if (!node.must_send && wanted == node.sent && node.sent_routes == it.state.routes)
      continue;
    node.sent = std::move(wanted);
    node.sent_routes = it.state.routes;
    node.sent_at = it.at.now;
    node.sent_revision = ++it.state.revision_last;
    node.must_send = false;
    for (auto replica : node.replicas) {
      auto& record = it.state.replicas.at(replica);
      if (record.stored.goal == host::replica_goal::drain && record.drain_revision == 0) {
        record.drain_revision = node.sent_revision;
        record.drain_sent_at = it.at.now;
      }
    }
    it.out.actions.push_back(send_desired{id, order_for(it.state, node, node.sent_revision)});
  }
}

void tell_drained_nodes(change& it) {
  for (auto& [id, node] : it.state.nodes) {
    const auto phase = phase_of(it.state, node);
    if (phase == node_phase::drained && node.shown != phase)
      it.tell("info", "node/" + id.value, "is drained");
    node.shown = phase;
  }
}

} // namespace

void reconcile(change& it) {
  auto groups = group_by_flow(it.state);
  auto nodes = rooms(it.state);
  std::vector<flow_name> gone;
  for (auto& [name, flow] : it.state.flows) {
    auto& replicas = groups[name];
    note_end(it, flow);
    if (!flow.stored.deleting && !flow.stored.draining && !flow.stored.end)
      roll_out(it, flow, replicas, nodes);
    else if (wind_down(it, flow, replicas) && flow.stored.deleting)
      gone.push_back(name);
  }
  for (const auto& name : gone) {
    it.forget_flow(name);
    it.tell("info", "flow/" + name.value, "is deleted");
  }
  groups = group_by_flow(it.state);
  for (auto& [name, flow] : it.state.flows) {
    std::tie(flow.phase, flow.detail) = assess(flow, count(it, flow, groups[name]));
    tell_phase(it, flow);
  }
  update_routes(it.state);
  send_orders(it);
  tell_drained_nodes(it);
}

} // namespace sluice::cluster
