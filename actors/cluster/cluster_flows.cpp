#include "actors/cluster/cluster_changes.hpp"
#include "actors/cluster/cluster_routes.hpp"

#include <algorithm>
#include <iterator>

namespace sluice::cluster {

namespace {

std::string subject_of(const flow_name& flow) { return "flow/" + flow.value; }

std::string number_of(flow_version version) { return std::to_string(version.value); }

flow_record* find_flow(change& it, const flow_name& name) {
  auto found = it.state.flows.find(name);
  if (found != it.state.flows.end())
    return &found->second;
  std::string known;
  for (const auto& [other, flow] : it.state.flows)
    known += (known.empty() ? "" : ", ") + other.value;
  it.refuse(errc::not_found, "there is no flow '" + name.value + "'"
                               + (known.empty() ? "; none was submitted" : "; there is " + known));
  return nullptr;
}

bool refuse_deleting(change& it, const flow_record& flow) {
  if (!flow.stored.deleting)
    return false;
  it.refuse(errc::conflict, subject_of(flow.stored.name) + " is being deleted; try again when it is gone");
  return true;
}

/// The first answer to `request_id`, if there was one.
bool answer_again(change& it, const std::string& request_id) {
  if (request_id.empty())
    return false;
  for (const auto& answer : it.state.answers)
    if (answer.request_id == request_id) {
      it.out.reply = answer.reply;
      it.needs_reconcile = false;
      return true;
    }
  return false;
}

void answer(change& it, const std::string& request_id, submit_reply reply) {
  it.out.reply = reply;
  if (request_id.empty())
    return;
  auto& answers = it.state.answers;
  answers.push_back({answers.empty() ? 1 : answers.back().number + 1, request_id, reply});
  it.out.changes.answers.push_back(answers.back());
  while (answers.size() > it.state.limits.answers_kept_max) {
    it.out.changes.answers_forgotten_to = answers.front().number;
    answers.pop_front();
  }
}

/// Makes `version` what should run. What a person or the autoscaler chose stays where
/// the new version asks for the same number as the old one did, up to what it allows.
void aim_at(flow_record& flow, flow_version version) {
  const auto before = flow.versions.find(flow.stored.target);
  if (flow.stored.target == flow.stored.current)
    flow.stored.scale_before = flow.stored.scale;
  scale_map scale;
  for (const auto& spec : flow.versions.at(version)->spec.processors) {
    auto count = spec.num_replicas;
    auto chosen = flow.stored.scale.find(spec.name);
    if (before != flow.versions.end() && chosen != flow.stored.scale.end()) {
      const auto& olds = before->second->spec.processors;
      auto old = std::ranges::find(olds, spec.name, &processor_spec::name);
      if (old != olds.end() && old->num_replicas == spec.num_replicas)
        count = std::min(chosen->second, spec.max_replicas);
    }
    scale[spec.name] = count;
  }
  flow.stored.scale = std::move(scale);
  flow.stored.target = version;
  flow.stored.draining = false;
  if (flow.stored.end) // the run is over: there is nothing to go back to if this one does not come up
    flow.stored.current = {};
  flow.stored.end.reset();
  flow.batches.clear();
  flow.stored.update_error.clear();
  flow.retries.clear();
}

/// What `version` says of a processor; null if it has none of that name.
const processor_spec* spec_of(const flow_record& flow, flow_version version, const processor_name& name) {
  const auto found = flow.versions.find(version);
  if (found == flow.versions.end())
    return nullptr;
  const auto& processors = found->second->spec.processors;
  const auto spec = std::ranges::find(processors, name, &processor_spec::name);
  return spec == processors.end() ? nullptr : &*spec;
}

std::uint32_t replicas_max(const flow_record& flow, flow_version version, const processor_name& name) {
  const auto* spec = spec_of(flow, version, name);
  return spec == nullptr ? 0 : spec->max_replicas;
}

/// Keeps the newest versions, those in use and those that replicas still run.
void prune_versions(change& it, flow_record& flow) {
  std::set<flow_version> used{flow.stored.current, flow.stored.target};
  for (const auto& [id, replica] : it.state.replicas)
    if (replica.stored.flow == flow.stored.name)
      used.insert(replica.stored.version);
  for (auto at = flow.versions.begin();
       at != flow.versions.end() && flow.versions.size() > it.state.limits.versions_kept_max;) {
    if (used.contains(at->first)) {
      ++at;
      continue;
    }
    it.out.changes.versions_forgotten.emplace_back(flow.stored.name, at->first);
    at = flow.versions.erase(at);
  }
}

} // namespace

void take(change& it, const submit_request& what) {
  if (answer_again(it, what.request_id))
    return;
  auto checked = check(what.spec);
  if (checked)
    checked = check_for_cluster(what.spec);
  if (!checked) {
    it.out.refused = checked.error();
    return;
  }
  if (what.artifact.empty())
    return it.refuse(errc::invalid_argument,
                     "flow '" + what.spec.name.value + "': the request names no artifact");
  if (auto clash = route_conflict(it.state, what.spec); !clash.empty())
    return it.refuse(errc::conflict, "flow '" + what.spec.name.value + "': " + clash);
  auto& flow = it.state.flows[what.spec.name];
  if (refuse_deleting(it, flow))
    return;
  if (flow.stored.name.empty()) {
    const auto before = it.state.deleted.find(what.spec.name);
    flow.stored.counted = before == it.state.deleted.end() ? it.state.deleted_floor : before->second;
  }
  flow.stored.name = what.spec.name;
  const flow_version version{flow.stored.counted.value + 1};
  flow.stored.counted = version;
  auto row = std::make_shared<const stored_version>(stored_version{what.spec.name, version, what.artifact,
                                                                   what.artifact_size_bytes, what.args,
                                                                   what.env, what.spec, it.at.wall});
  it.out.changes.versions.push_back(*row);
  const bool is_new = flow.versions.empty();
  flow.versions[version] = std::move(row);
  aim_at(flow, version);
  prune_versions(it, flow);
  it.store(flow);
  answer(it, what.request_id, {version, is_new});
  it.tell("info", subject_of(what.spec.name), "version " + number_of(version) + " submitted");
}

void take(change& it, const scale_request& what) {
  auto* flow = find_flow(it, what.flow);
  if (!flow || refuse_deleting(it, *flow))
    return;
  auto wanted = flow->stored.scale.find(what.processor);
  if (wanted == flow->stored.scale.end()) {
    std::string known;
    for (const auto& [name, count] : flow->stored.scale)
      known += (known.empty() ? "" : ", ") + name.value;
    return it.refuse(errc::not_found, subject_of(what.flow) + " has no processor '" + what.processor.value
                                        + "'; there is " + known);
  }
  if (what.replicas > it.state.limits.replicas_per_processor_max)
    return it.refuse(errc::invalid_argument, what.flow.value + "/" + what.processor.value + ": at most "
                                               + std::to_string(it.state.limits.replicas_per_processor_max)
                                               + " replicas, asked for " + std::to_string(what.replicas));
  const auto count_max = replicas_max(*flow, flow->stored.target, what.processor);
  if (what.replicas > count_max) {
    const auto* spec = spec_of(*flow, flow->stored.target, what.processor);
    const bool is_batch = spec != nullptr && spec->kind == pattern::batch;
    return it.refuse(errc::invalid_argument, what.flow.value + "/" + what.processor.value + ": at most "
                                               + std::to_string(count_max)
                                               + (count_max == 1 ? " replica" : " replicas") + ", the flow's "
                                               + (is_batch ? "num_replicas" : "max_replicas") + "; asked for "
                                               + std::to_string(what.replicas));
  }
  if (wanted->second == what.replicas)
    return;
  it.tell("info", subject_of(what.flow),
          what.processor.value + " scaled from " + std::to_string(wanted->second) + " to "
            + std::to_string(what.replicas) + " replicas");
  wanted->second = what.replicas;
  if (auto before = flow->stored.scale_before.find(what.processor); before != flow->stored.scale_before.end())
    before->second = std::min(what.replicas, replicas_max(*flow, flow->stored.current, what.processor));
  flow->retries.erase(what.processor);
  it.store(*flow);
}

void take(change& it, const drain_flow_request& what) {
  auto* flow = find_flow(it, what.flow);
  if (!flow)
    return;
  if (flow->stored.deleting) {
    if (what.resume)
      refuse_deleting(it, *flow);
    return; // it drains already
  }
  if (flow->stored.draining == !what.resume)
    return;
  flow->stored.draining = !what.resume;
  flow->retries.clear();
  it.store(*flow);
  it.tell("info", subject_of(what.flow), what.resume ? "resumed" : "drains");
}

void take(change& it, const rollback_request& what) {
  if (answer_again(it, what.request_id))
    return;
  auto* flow = find_flow(it, what.flow);
  if (!flow || refuse_deleting(it, *flow))
    return;
  if (ends_by_itself(flow->versions.at(flow->stored.target)->spec))
    return it.refuse(errc::conflict,
                     subject_of(what.flow) + " is a batch: submit the program again that you want to run");
  auto to = what.to;
  if (!to) {
    // During an update the one before is the one that ran; otherwise the next older one.
    const bool is_updating = flow->stored.target != flow->stored.current && flow->stored.current;
    auto older = flow->versions.lower_bound(flow->stored.target);
    if (is_updating)
      to = flow->stored.current;
    else if (older != flow->versions.begin())
      to = std::prev(older)->first;
    else
      return it.refuse(errc::conflict,
                       subject_of(what.flow) + " has no version before " + number_of(flow->stored.target));
  }
  if (!flow->versions.contains(to)) {
    std::string known;
    for (const auto& [version, row] : flow->versions)
      known += (known.empty() ? "" : ", ") + number_of(version);
    return it.refuse(errc::not_found,
                     subject_of(what.flow) + " has no version " + number_of(to) + "; kept are " + known);
  }
  if (to == flow->stored.target) {
    answer(it, what.request_id, {to, false});
    return;
  }
  if (auto clash = route_conflict(it.state, flow->versions.at(to)->spec); !clash.empty())
    return it.refuse(errc::conflict, subject_of(what.flow) + ": version " + number_of(to) + ": " + clash);
  aim_at(*flow, to);
  it.store(*flow);
  answer(it, what.request_id, {to, true});
  it.tell("info", subject_of(what.flow), "rolls back to version " + number_of(to));
}

void take(change& it, const delete_flow_request& what) {
  auto* flow = find_flow(it, what.flow);
  if (!flow || flow->stored.deleting)
    return;
  flow->stored.deleting = true;
  it.store(*flow);
  it.tell("info", subject_of(what.flow), "is being deleted: it drains first");
}

} // namespace sluice::cluster
