#include "actors/cluster/rollout_policy.hpp"

#include <algorithm>
#include <tuple>

namespace sluice::cluster {

namespace {

bool counts(const member& it) { return !it.is_draining && !it.must_go; }

bool is_kept_target(const member& it, const processor_name& processor) {
  return it.is_target && counts(it) && it.processor == processor;
}

std::vector<candidate> candidates_for(const want& wanted, const rollout_input& input,
                                      const std::vector<new_replica>& starts,
                                      const std::vector<node_room>& nodes) {
  std::map<node_id, std::pair<std::uint32_t, bool>> seen; // same processor, runs the flow
  for (const auto& it : input.members)
    if (it.is_target && counts(it)) {
      auto& [same, runs] = seen[it.node];
      same += it.processor == wanted.processor ? 1 : 0;
      runs = true;
    }
  for (const auto& it : starts) {
    auto& [same, runs] = seen[it.node];
    same += it.processor == wanted.processor ? 1 : 0;
    runs = true;
  }
  auto failed = input.failed_last.find(wanted.processor);
  std::vector<candidate> result;
  result.reserve(nodes.size());
  for (const auto& node : nodes) {
    candidate it{node.node, node.cpus_free, node.memory_bytes_free};
    if (auto found = seen.find(node.node); found != seen.end())
      std::tie(it.replicas_same, it.runs_flow) = found->second;
    it.failed_here = failed != input.failed_last.end() && failed->second == node.node;
    it.labels = node.labels;
    it.host_looped = input.looped.contains(node.node);
    result.push_back(std::move(it));
  }
  return result;
}

void reserve(const replica_need& need, const node_id& node, std::vector<node_room>& nodes) {
  auto room = std::ranges::find(nodes, node, &node_room::node);
  room->cpus_free -= need.cpus;
  room->memory_bytes_free -= std::min(need.memory_bytes, room->memory_bytes_free);
}

/// Starts one replica there.
void start_on(const want& wanted, const node_id& node, std::vector<node_room>& nodes, rollout_plan& plan) {
  plan.starts.push_back({wanted.processor, node});
  reserve(wanted.need, node, nodes);
}

/// Starts `missing` replicas where they fit; what does not fit waits with its reason.
void start_missing(const want& wanted, std::uint32_t missing, const rollout_input& input,
                   std::vector<node_room>& nodes, rollout_plan& plan) {
  auto candidates = candidates_for(wanted, input, plan.starts, nodes);
  for (; missing > 0; --missing) {
    auto choice = place(wanted.need, candidates);
    if (!choice.node) {
      plan.waiting[wanted.processor] = {missing, choice.reason};
      return;
    }
    start_on(wanted, *choice.node, nodes, plan);
    auto it = std::ranges::find(candidates, *choice.node, &candidate::node);
    it->cpus_free -= wanted.need.cpus;
    it->memory_bytes_free -= std::min(wanted.need.memory_bytes, it->memory_bytes_free);
    it->replicas_same += 1;
    it->runs_flow = true;
  }
}

/// Where a replica may go whose host is in a crash loop: its host there does well, or is not there yet.
std::vector<candidate> ways_out(const want& wanted, const rollout_input& input, const rollout_plan& plan,
                                const std::vector<node_room>& nodes) {
  std::map<node_id, bool> does_well; // of nodes where the target is
  for (const auto& it : input.members)
    if (it.is_target)
      does_well[it.node] = does_well[it.node] || it.health == replica_health::up;
  auto candidates = candidates_for(wanted, input, plan.starts, nodes);
  std::erase_if(candidates, [&](const candidate& it) {
    const auto found = does_well.find(it.node);
    const bool is_fit = found == does_well.end() ? input.looped.size() < crash_loop_nodes_max : found->second;
    return it.host_looped || !is_fit;
  });
  return candidates;
}

/// Moves what waits with a host in a crash loop. What has one owner is only drained: it starts elsewhere once it
/// is gone.
void leave_loops(const want& wanted, const std::vector<const member*>& kept, const rollout_input& input,
                 std::vector<node_room>& nodes, rollout_plan& plan) {
  for (const auto* it : kept) {
    if (!it->host_loops)
      continue;
    const auto choice = place(wanted.need, ways_out(wanted, input, plan, nodes));
    if (!choice.node)
      return;
    if (!wanted.has_one_owner)
      start_on(wanted, *choice.node, nodes, plan);
    plan.drains.push_back(it->id);
    plan.loops_left.insert(it->node);
  }
}

/// Chooses who goes when there are too many: who is not up, then from the node with
/// the most of them, then the youngest.
void drain_surplus(std::vector<const member*> kept, std::size_t count, rollout_plan& plan) {
  while (kept.size() > count) {
    std::map<node_id, int> per_node;
    for (const auto* it : kept)
      ++per_node[it->node];
    auto worst = std::ranges::max_element(kept, {}, [&](const member* it) {
      return std::make_tuple(it->health != replica_health::up, per_node[it->node], it->id);
    });
    plan.drains.push_back((*worst)->id);
    kept.erase(worst);
  }
}

/// Finds the old replica whose going helps most: on a node where the waiting replica fits
/// once enough old ones are gone, with the fewest of those.
const member* find_room_maker(const want& wanted, const rollout_input& input,
                              const std::vector<node_room>& nodes) {
  const member* best = nullptr;
  std::size_t best_count = 0;
  for (const auto& room : nodes) {
    if (!has_labels(room.labels, wanted.need.node_labels))
      continue;
    std::vector<const member*> old;
    for (const auto& it : input.members)
      if (!it.is_target && counts(it) && it.node == room.node)
        old.push_back(&it);
    std::ranges::sort(old, {}, [&](const member* it) {
      return std::make_tuple(it->processor != wanted.processor, ~it->id.value);
    });
    double cpus = room.cpus_free;
    auto memory = room.memory_bytes_free;
    for (std::size_t gone = 0; gone < old.size(); ++gone) {
      if (auto need = input.needs.find(old[gone]->id); need != input.needs.end()) {
        cpus += need->second.cpus;
        memory += need->second.memory_bytes;
      }
      if (fits(wanted.need, cpus, memory)) {
        if (!best || gone + 1 < best_count) {
          best = old.front();
          best_count = gone + 1;
        }
        break;
      }
    }
  }
  return best;
}

/// All that have to do with the one source, but the one that is to keep it.
std::vector<const member*> owners_before(const want& wanted, const rollout_input& input) {
  std::vector<const member*> found;
  for (const auto& it : input.members)
    if (it.processor == wanted.processor && !is_kept_target(it, wanted.processor))
      found.push_back(&it);
  return found;
}

bool has_room_after(const want& wanted, const std::vector<const member*>& owners, const rollout_input& input,
                    const std::vector<node_room>& nodes) {
  return std::ranges::any_of(nodes, [&](const node_room& room) {
    auto cpus = room.cpus_free;
    auto memory = room.memory_bytes_free;
    for (const auto* it : owners)
      if (const auto need = input.needs.find(it->id); it->node == room.node && need != input.needs.end()) {
        cpus += need->second.cpus;
        memory += need->second.memory_bytes;
      }
    return has_labels(room.labels, wanted.need.node_labels) && fits(wanted.need, cpus, memory);
  });
}

/// The next step of a processor whose new replica must not run beside another.
void pass_on(const want& wanted, bool others_up, const rollout_input& input, std::vector<node_room>& nodes,
             rollout_plan& plan) {
  const auto owners = owners_before(wanted, input);
  if (owners.empty() || !has_room_after(wanted, owners, input, nodes))
    return start_missing(wanted, 1, input, nodes, plan); // or says why it waits
  if (others_up)
    for (const auto* it : owners)
      if (counts(*it))
        plan.drains.push_back(it->id);
}

/// True while an earlier step is still under way: its end is to be waited for.
bool is_in_step(const rollout_input& input, const rollout_plan& plan) {
  if (!plan.starts.empty() || !plan.drains.empty())
    return true;
  return std::ranges::any_of(input.members, [](const member& it) {
    return it.is_draining || (it.is_target && counts(it) && it.health == replica_health::starting);
  });
}

} // namespace

rollout_plan plan_rollout(const rollout_input& input, std::vector<node_room>& nodes) {
  rollout_plan plan;
  bool all_up = true;
  bool others_up = true;
  std::vector<const want*> passed_on;
  for (const auto& wanted : input.wants) {
    std::vector<const member*> kept;
    std::uint32_t up = 0;
    for (const auto& it : input.members)
      if (is_kept_target(it, wanted.processor)) {
        kept.push_back(&it);
        up += it.health == replica_health::up ? 1 : 0;
      }
    all_up = all_up && up >= wanted.count;
    if (kept.size() > wanted.count)
      drain_surplus(kept, wanted.count, plan);
    else if (kept.size() < wanted.count && wanted.has_one_owner)
      passed_on.push_back(&wanted);
    else if (kept.size() < wanted.count)
      start_missing(wanted, wanted.count - static_cast<std::uint32_t>(kept.size()), input, nodes, plan);
    if (kept.size() <= wanted.count)
      leave_loops(wanted, kept, input, nodes, plan);
    others_up = others_up && (wanted.has_one_owner || up >= wanted.count);
  }
  for (const auto* wanted : passed_on)
    pass_on(*wanted, others_up, input, nodes, plan);

  bool has_old = false;
  for (const auto& it : input.members) {
    has_old = has_old || !it.is_target;
    if (it.must_go && !it.is_draining)
      plan.drains.push_back(it.id);
    else if (!it.is_target && all_up && !it.is_draining)
      plan.drains.push_back(it.id);
  }

  if (!plan.waiting.empty() && !is_in_step(input, plan)) {
    for (const auto& wanted : input.wants)
      if (plan.waiting.contains(wanted.processor))
        if (const auto* old = find_room_maker(wanted, input, nodes)) {
          plan.drains.push_back(old->id);
          break;
        }
  }
  plan.is_complete = all_up && !has_old;
  return plan;
}

} // namespace sluice::cluster
