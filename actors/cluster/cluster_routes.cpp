#include "actors/cluster/cluster_routes.hpp"

#include <sluice/http/route.hpp>

#include <algorithm>
#include <set>
#include <tuple>

namespace sluice::cluster {

namespace {

using claim = std::pair<method, std::string>; ///< method and shape of the path

claim claim_of(const http_spec& http) { return {http.method, http::route_shape(http.route)}; }

bool has_routes(const flow_spec& spec) {
  return std::ranges::any_of(spec.processors, [](const processor_spec& one) { return one.http.has_value(); });
}

/// True if requests may be sent to the replica.
bool serves(const replica_record& replica) {
  if (replica.is_lost || replica.stored.goal != host::replica_goal::run)
    return false;
  return replica.report ? replica.report->phase == host::replica_phase::running : replica.is_presumed;
}

/// One route while the versions of its flow are gathered.
struct draft {
  ingress::route_entry entry;
  flow_version version; ///< the one its options are from
};

draft make_draft(const flow_record& flow, const processor_spec& spec, flow_version version) {
  draft made;
  made.version = version;
  made.entry.flow = flow.stored.name;
  made.entry.processor = spec.name;
  made.entry.kind = spec.kind;
  made.entry.http = *spec.http;
  made.entry.num_concurrency = spec.num_concurrency;
  made.entry.timeout = spec.timeout;
  made.entry.output_type = spec.output_type;
  made.entry.is_draining = flow.stored.draining || flow.stored.deleting;
  return made;
}

using serving = std::map<std::pair<processor_name, flow_version>, std::vector<ingress::route_target>>;
using drafts = std::map<std::tuple<processor_name, method, std::string>, draft>;

/// The routes of one version; newer versions come first and their options stay.
void add_version(drafts& all, const flow_record& flow, const stored_version& version,
                 const serving& targets) {
  for (const auto& spec : version.spec.processors) {
    if (!spec.http)
      continue;
    auto found = targets.find({spec.name, version.version});
    const bool is_target = version.version == flow.stored.target;
    if (found == targets.end() && !is_target)
      continue;
    auto key = std::make_tuple(spec.name, spec.http->method, spec.http->route);
    auto [place, is_new] = all.emplace(key, draft{});
    auto& known = place->second;
    if (is_new || (known.entry.targets.empty() && found != targets.end()))
      known = make_draft(flow, spec, version.version);
    if (found != targets.end())
      known.entry.targets.insert(known.entry.targets.end(), found->second.begin(), found->second.end());
  }
}

using processors = std::set<processor_name>;

/// Two processors may want the same requests only if they are of two versions: who has replicas goes first, then
/// the newer one.
void add_flow(ingress::route_table& table, const flow_record& flow, const serving& targets,
              const processors& failing) {
  drafts all;
  for (auto version = flow.versions.rbegin(); version != flow.versions.rend(); ++version)
    add_version(all, flow, *version->second, targets);
  std::map<claim, draft*> chosen;
  for (auto& [key, one] : all) {
    auto& place = chosen[claim_of(one.entry.http)];
    auto rank = [](const draft& it) { return std::make_pair(!it.entry.targets.empty(), it.version); };
    if (!place || rank(*place) < rank(one))
      place = &one;
  }
  for (auto& [key, one] : all)
    if (chosen[claim_of(one.entry.http)] == &one) {
      std::ranges::sort(one.entry.targets, {}, &ingress::route_target::replica);
      // Between two tries nothing fails, and nothing is there either. What fails in other processors is no reason to
      // refuse here: a replica that is only started again is waited for.
      const auto& name = one.entry.processor;
      const bool has_failed = failing.contains(name) || flow.retries.contains(name);
      one.entry.is_failed = has_failed && one.entry.targets.empty();
      table.routes.push_back(std::move(one.entry));
    }
}

/// Where clients may be connected: every node that is up has a public listener.
std::vector<ingress::ingress_node> ingresses_of(const cluster_state& state) {
  std::vector<ingress::ingress_node> all;
  for (const auto& [id, node] : state.nodes)
    if (node.is_connected && !node.stored.info.address.empty())
      all.push_back({id, node.stored.info.address});
  return all;
}

} // namespace

ingress::route_table routes_of(const cluster_state& state) {
  std::map<flow_name, serving> targets;
  std::map<flow_name, processors> failing;
  for (const auto& [id, replica] : state.replicas) {
    const auto& stored = replica.stored;
    if (serves(replica))
      targets[stored.flow][{stored.processor, stored.version}].push_back(
        {id, stored.version, stored.node, state.nodes.at(stored.node).stored.info.address, stored.flow});
    else if (stored.goal == host::replica_goal::run
             && stored.version == state.flows.at(stored.flow).stored.target
             && health_of(state, replica).first == replica_health::failing)
      failing[stored.flow].insert(stored.processor);
  }
  ingress::route_table table;
  for (const auto& [name, flow] : state.flows)
    if (std::ranges::any_of(flow.versions, [](const auto& one) { return has_routes(one.second->spec); }))
      add_flow(table, flow, targets[name], failing[name]);
  if (std::ranges::find(table.routes, pattern::websocket, &ingress::route_entry::kind) != table.routes.end())
    table.nodes = ingresses_of(state);
  return table;
}

std::string route_conflict(const cluster_state& state, const flow_spec& spec) {
  std::map<claim, const processor_spec*> wanted;
  for (const auto& one : spec.processors)
    if (one.http)
      wanted.emplace(claim_of(*one.http), &one);
  if (wanted.empty())
    return {};
  std::map<flow_name, std::set<flow_version>> in_use;
  for (const auto& [name, flow] : state.flows)
    in_use[name] = {flow.stored.current, flow.stored.target};
  for (const auto& [id, replica] : state.replicas)
    in_use[replica.stored.flow].insert(replica.stored.version);
  for (const auto& [name, versions] : in_use) {
    if (name == spec.name)
      continue;
    for (auto number : versions) {
      const auto& kept = state.flows.at(name).versions;
      auto version = kept.find(number);
      if (version == kept.end())
        continue;
      for (const auto& other : version->second->spec.processors) {
        if (!other.http)
          continue;
        auto clash = wanted.find(claim_of(*other.http));
        if (clash != wanted.end())
          return "processor \"" + clash->second->name.value
                 + "\": route: " + std::string{to_string(other.http->method)} + " "
                 + clash->second->http->route + " is taken by " + name.value + "/" + other.name.value + " ("
                 + other.http->route + "); change one of them, or delete flow/" + name.value;
      }
    }
  }
  return {};
}

} // namespace sluice::cluster
