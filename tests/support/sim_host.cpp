#include "tests/support/sim_host.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <set>

namespace sluice::testing {

namespace {

using later_atom = caf::atom_constant<caf::atom("later")>;

using host_self =
  host::handle::extend<caf::reacts_to<later_atom, std::uint64_t>, caf::reacts_to<caf::tick_atom>>;

void report(host_self::pointer self, sim_host_script& script) {
  host::host_report out;
  out.host = script.host->id;
  out.revision = script.revision;
  for (const auto& [id, replica] : script.host->replicas)
    out.replicas.push_back(replica);
  self->send(script.to, std::move(out));
}

void begin_drain(host_self::pointer self, sim_host_script& script, host::replica_report& replica) {
  if (replica.phase == host::replica_phase::draining || replica.phase == host::replica_phase::down)
    return;
  replica.phase = host::replica_phase::draining;
  self->delayed_send(self, script.between(10, 500), later_atom::value, replica.id.value);
}

void obey(host_self::pointer self, sim_host_script& script, const host::desired_replicas& order) {
  script.revision = order.revision;
  auto& replicas = script.host->replicas;
  std::set<replica_id> named;
  for (const auto& one : order.replicas) {
    named.insert(one.id);
    auto found = replicas.find(one.id);
    if (found != replicas.end()) {
      if (one.goal == host::replica_goal::drain)
        begin_drain(self, script, found->second);
    } else if (one.goal == host::replica_goal::run) {
      auto& replica = replicas[one.id];
      replica.id = one.id;
      replica.processor = one.processor;
      self->delayed_send(self, script.between(20, 200), later_atom::value, one.id.value);
    }
  }
  for (auto at = replicas.begin(); at != replicas.end();) {
    const bool is_gone =
      at->second.phase == host::replica_phase::down || at->second.phase == host::replica_phase::failed;
    if (!named.contains(at->first) && is_gone) {
      at = replicas.erase(at);
      continue;
    }
    if (!named.contains(at->first))
      begin_drain(self, script, at->second);
    ++at;
  }
  report(self, script);
}

void go_on(host_self::pointer self, sim_host_script& script, replica_id id) {
  auto found = script.host->replicas.find(id);
  if (found == script.host->replicas.end())
    return;
  auto& replica = found->second;
  if (replica.phase == host::replica_phase::draining) {
    replica.phase = host::replica_phase::down;
  } else if (replica.phase == host::replica_phase::starting) {
    replica.phase = script.fails ? host::replica_phase::failed : host::replica_phase::running;
    replica.last_error = script.fails ? "setup: no database" : "";
    if (!script.fails)
      script.on_running();
  }
  report(self, script);
}

host_self::behavior_type run_host(host_self::pointer self, std::shared_ptr<sim_host_script> script) {
  self->delayed_send(self, limits::heartbeat_interval, caf::tick_atom::value);
  return {
    [self, script](const host::desired_replicas& order) { obey(self, *script, order); },
    [self, script](later_atom, std::uint64_t id) { go_on(self, *script, replica_id{id}); },
    [self, script](caf::tick_atom) {
      for (auto& [id, replica] : script->host->replicas)
        if (replica.phase == host::replica_phase::running)
          replica.processed_total += 10;
      report(self, *script);
      self->delayed_send(self, limits::heartbeat_interval, caf::tick_atom::value);
    },
  };
}

} // namespace

host::handle spawn_sim_host(caf::actor_system& sys, std::shared_ptr<sim_host_script> script) {
  return caf::actor_cast<host::handle>(sys.spawn(run_host, std::move(script)));
}

} // namespace sluice::testing
