#include "actors/cluster/cluster.hpp"

#include "actors/cluster/cluster_view.hpp"

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <deque>
#include <exception>
#include <utility>

namespace sluice::cluster {

namespace {

using tick_atom = caf::atom_constant<caf::atom("tick")>;

/// Leases end by themselves after `limits::lease_visibility`, so giving them back is
/// worth one try.
constexpr std::chrono::seconds release_timeout{10};

/// The public interface plus what only this file sends.
using self_type = handle::extend<caf::reacts_to<tick_atom>>;

struct state {
  static inline const char* name = "cluster";

  options opts;
  std::shared_ptr<store_port> store;
  queue::handle queue;
  cluster_state known;
  std::map<node_id, node::handle> agents;
  throughput done;
  std::deque<event_view> events;
  change_set unsaved;      ///< decided, not yet on disk
  bool is_blocked = false; ///< the last write failed: no order goes out
  bool can_write = true;   ///< the last write was done
  bool is_failing = false; ///< and people were told
  std::string trouble;     ///< why it failed
  bool is_broken = false;  ///< likewise
  std::chrono::system_clock::time_point started_at;
};

using self_pointer = self_type::stateful_pointer<state>;

moment now(self_pointer self) { return {self->clock().now(), self->state.opts.wall_clock()}; }

void remember(self_pointer self, const std::vector<event_view>& lines) {
  auto& events = self->state.events;
  events.insert(events.end(), lines.begin(), lines.end());
  while (events.size() > limits::events_kept_max)
    events.pop_front();
}

/// Adds an event about the head; it is stored with the next write.
void note(self_pointer self, std::string_view severity, std::string text) {
  auto& mine = self->state;
  event_view line;
  line.id = ++mine.known.event_id_last;
  line.at = mine.opts.wall_clock();
  line.severity = severity;
  line.subject = "head";
  line.text = std::move(text);
  remember(self, {line});
  mine.unsaved.events.push_back(std::move(line));
}

void tell(self_pointer self, std::string_view severity, std::string text) {
  if (self->state.opts.report)
    self->state.opts.report(text);
  note(self, severity, std::move(text));
}

/// Tells of the first failed write, and ends the head when the store is broken, as it may be after a write that
/// went well. `changes` may be `unsaved`.
result<void> write(self_pointer self, const change_set& changes) {
  auto& mine = self->state;
  auto written = mine.store->write(changes);
  mine.can_write = written.has_value();
  mine.trouble = written ? std::string{} : written.error().message;
  if (!written && !std::exchange(mine.is_failing, true))
    tell(self, "error",
         "cannot store its state, no new order goes out until it can: " + written.error().message);
  if (mine.store->broken() && !std::exchange(mine.is_broken, true) && mine.opts.on_broken)
    mine.opts.on_broken(*mine.store->broken());
  return written;
}

/// Writes what waits and what is new. While that fails no order goes out; afterwards
/// `resend_all` brings them back.
bool save(self_pointer self, change_set changes) {
  auto& mine = self->state;
  mine.unsaved.append(std::move(changes));
  if (mine.unsaved.empty())
    return true;
  if (!write(self, mine.unsaved)) {
    mine.is_blocked = true;
    return false;
  }
  mine.unsaved = {};
  if (std::exchange(mine.is_blocked, false))
    resend_all(mine.known);
  return true;
}

void carry_out(self_pointer self, const action& what) {
  if (const auto* order = std::get_if<send_desired>(&what)) {
    if (auto agent = self->state.agents.find(order->node); agent != self->state.agents.end())
      self->send(agent->second, order->state);
    return;
  }
  const auto& release = std::get<release_leases>(what);
  queue::release_request request;
  request.owner = release.owner;
  request.failed = release.failed;
  request.error = release.error;
  request.queue = release.queue;
  request.seqs = release.seqs;
  self->request(self->state.queue, release_timeout, std::move(request))
    .then([](const queue::count_reply&) {}, [](const caf::error&) {});
}

/// Leases go back whatever the disk does; orders wait for it.
void carry_out_all(self_pointer self, const std::vector<action>& actions, bool is_saved) {
  for (const auto& what : actions)
    if (is_saved || std::holds_alternative<release_leases>(what))
      carry_out(self, what);
}

/// Says what is still needed once versions or flows were forgotten, and that is on disk.
void tell_artifacts(self_pointer self) {
  auto& mine = self->state;
  if (!mine.opts.on_artifacts)
    return;
  std::set<artifact_id> kept;
  for (const auto& [name, flow] : mine.known.flows)
    for (const auto& [version, row] : flow.versions)
      kept.insert(row->artifact);
  mine.opts.on_artifacts(std::move(kept));
}

bool forgets_artifacts(const change_set& changes) {
  return !changes.versions_forgotten.empty() || !changes.flows_forgotten.empty();
}

/// What has happened, whether it can be stored or not.
struct observed {
  decision decided;
  bool is_saved = false;
};

observed observe(self_pointer self, const event& what) {
  auto& mine = self->state;
  observed result{apply(mine.known, what, now(self)), !mine.is_blocked};
  auto& decided = result.decided;
  remember(self, decided.changes.events);
  if (decided.changes.only_events() && !mine.is_blocked)
    mine.unsaved.append(
      std::move(decided.changes)); // nobody acts on lines of the log: they go with the next tick
  else {
    const bool forgets = forgets_artifacts(decided.changes);
    result.is_saved = save(self, std::move(decided.changes));
    if (result.is_saved && forgets)
      tell_artifacts(self);
  }
  return result;
}

void handle_event(self_pointer self, const event& what) {
  const auto [decided, is_saved] = observe(self, what);
  carry_out_all(self, decided.actions, is_saved);
}

/// What somebody asks for: it is stored, or it has not happened.
result<decision> request(self_pointer self, const event& what) {
  auto& mine = self->state;
  auto next = mine.known;
  auto decided = apply(next, what, now(self));
  if (decided.refused)
    return tl::unexpected<failure>{*decided.refused};
  change_set changes = mine.unsaved;
  changes.append(change_set{decided.changes});
  if (!changes.empty()) {
    if (auto written = write(self, changes); !written)
      return fail(errc::unavailable,
                  "the head cannot store its state, nothing was changed: " + written.error().message);
    if (std::exchange(mine.is_blocked, false))
      resend_all(next);
    mine.unsaved = {};
  }
  mine.known = std::move(next);
  remember(self, decided.changes.events);
  if (forgets_artifacts(decided.changes))
    tell_artifacts(self);
  return decided;
}

caf::result<void> ask(self_pointer self, const event& what) {
  auto decided = request(self, what);
  if (!decided)
    return to_caf(decided.error());
  carry_out_all(self, decided->actions, true);
  return caf::unit;
}

caf::result<submit_reply> ask_version(self_pointer self, const event& what) {
  auto decided = request(self, what);
  if (!decided)
    return to_caf(decided.error());
  carry_out_all(self, decided->actions, true);
  return decided->reply;
}

caf::result<registered> register_agent(self_pointer self, const register_node& what) {
  auto& mine = self->state;
  auto promise = self->make_response_promise<registered>();
  const auto [decided, is_saved] = observe(self, node_registers{what.info});
  if (decided.refused) {
    promise.deliver(to_caf(*decided.refused));
    return promise;
  }
  if (auto& agent = mine.agents[what.info.id]; agent != what.agent) {
    if (agent)
      self->demonitor(agent.address());
    agent = what.agent;
    self->monitor(agent);
  }
  promise.deliver(registered{mine.opts.cluster_id}); // before the first order
  carry_out_all(self, decided.actions, is_saved);
  return promise;
}

void take_report(self_pointer self, node::node_report& report) {
  auto found = self->state.known.nodes.find(report.node);
  if (found != self->state.known.nodes.end() && found->second.stored.info.started == report.started)
    self->state.done.add(report);
  handle_event(self, std::make_shared<const node::node_report>(std::move(report)));
}

void lose_agent(self_pointer self, const caf::actor_addr& gone) {
  auto& agents = self->state.agents;
  for (auto agent = agents.begin(); agent != agents.end(); ++agent)
    if (agent->second.address() == gone) {
      const auto node = agent->first;
      agents.erase(agent);
      if (auto found = self->state.known.nodes.find(node); found != self->state.known.nodes.end())
        handle_event(self, link_lost{node, found->second.stored.info.started});
      return;
    }
}

void on_tick(self_pointer self) {
  auto& mine = self->state;
  handle_event(self, tick{});
  if (save(self, {}) && mine.can_write && std::exchange(mine.is_failing, false))
    tell(self, "info", "can store its state again");
  mine.done.sample(self->clock().now());
  std::map<flow_name, std::set<flow_version>> flows;
  for (const auto& [flow, record] : mine.known.flows)
    for (const auto& [version, row] : record.versions)
      flows[flow].insert(version);
  mine.done.keep_only(flows);
  std::erase_if(mine.agents, [&](const auto& agent) {
    const bool is_forgotten = !mine.known.nodes.contains(agent.first);
    if (is_forgotten) {
      self->demonitor(agent.second.address());
      mine.done.forget(agent.first);
    }
    return is_forgotten;
  });
  self->delayed_send(self, mine.opts.tick_interval, tick_atom::value);
}

view_reply show(self_pointer self) {
  auto& mine = self->state;
  auto view = make_view(mine.known, mine.done, self->clock().now());
  view->cluster_id = mine.opts.cluster_id;
  view->started_at = mine.started_at;
  view->trouble = mine.trouble;
  view->events.assign(mine.events.begin(), mine.events.end());
  return {std::move(view)};
}

caf::result<agent_reply> find_agent(self_pointer self, const node_id& node) {
  auto& mine = self->state;
  if (!mine.known.nodes.contains(node))
    return to_caf({errc::not_found, "there is no node " + node.value});
  auto agent = mine.agents.find(node);
  if (agent == mine.agents.end())
    return to_caf({errc::unavailable, node.value + " is not connected"});
  return agent_reply{agent->second};
}

self_type::behavior_type run(self_pointer self, options opts, std::shared_ptr<store_port> store,
                             queue::handle queue, cluster_state known, std::deque<event_view> events) {
  auto& mine = self->state;
  mine.opts = std::move(opts);
  mine.store = std::move(store);
  mine.queue = std::move(queue);
  mine.known = std::move(known);
  mine.events = std::move(events);
  mine.started_at = mine.opts.wall_clock();
  self->set_down_handler([self](const caf::down_msg& down) { lose_agent(self, down.source); });
  self->set_exception_handler([](std::exception_ptr& thrown) -> caf::error {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& what) {
      return to_caf({errc::internal, std::string{"the cluster actor failed: "} + what.what()});
    } catch (...) {
      return to_caf({errc::internal, "the cluster actor failed"});
    }
  });
  self->send(self, tick_atom::value);
  tell_artifacts(self);
  return {
    [self](const register_node& what) { return register_agent(self, what); },
    [self](node::node_report& report) { take_report(self, report); },
    [self](const node_leaves& what) { handle_event(self, what); },
    [self](const node_unreachable& what) {
      handle_event(self, link_lost{what.node, what.started});
    },
    [self](const host_ended& what) { handle_event(self, what); },
    [self](const submit_request& what) { return ask_version(self, what); },
    [self](const scale_request& what) { return ask(self, what); },
    [self](const drain_flow_request& what) { return ask(self, what); },
    [self](const drain_node_request& what) { return ask(self, what); },
    [self](const rollback_request& what) { return ask_version(self, what); },
    [self](const delete_flow_request& what) { return ask(self, what); },
    [self](const view_request&) { return show(self); },
    [self](const agent_request& what) { return find_agent(self, what.node); },
    [self](const head_event& what) { note(self, what.severity, what.text); },
    [self](tick_atom) { on_tick(self); },
  };
}

} // namespace

result<handle> spawn(caf::actor_system& sys, options opts, std::shared_ptr<store_port> store,
                     queue::handle queue) {
  auto stored = store->load();
  if (!stored)
    return fail(stored);
  auto known = restore(*stored, opts.limits, sys.clock().now());
  if (!known)
    return fail(known);
  std::deque<event_view> events{stored->events.begin(), stored->events.end()};
  return handle{sys.spawn(run, std::move(opts), std::move(store), std::move(queue), std::move(*known),
                          std::move(events))};
}

} // namespace sluice::cluster
