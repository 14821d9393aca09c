#include "actors/node/node.hpp"

#include "actors/node/node_state.hpp"
#include "actors/wake_up.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/unit.hpp>

#include <algorithm>
#include <deque>
#include <exception>
#include <utility>

namespace sluice::node {

namespace {

using tick_atom = caf::atom_constant<caf::atom("tick")>;
using due_atom = caf::atom_constant<caf::atom("due")>;
using flush_atom = caf::atom_constant<caf::atom("flush")>;
using join_atom = caf::atom_constant<caf::atom("join")>;

using std::chrono::milliseconds;

/// Reports about changes are at least this far apart, so that a thousand replicas
/// that start together do not make a thousand reports.
constexpr milliseconds report_gap_min{50};

constexpr milliseconds register_timeout{5000};
constexpr milliseconds register_retry_delay{1000};

struct artifact_done {
  using actor_message = void;
  host_key key;
  result<void> outcome;
};

struct log_read_done {
  using actor_message = void;
  caf::typed_response_promise<log_chunk> promise;
  result<log_chunk> outcome;
};

struct log_sources_done {
  using actor_message = void;
  caf::typed_response_promise<log_sources_reply> promise;
  result<log_sources_reply> outcome;
};

/// The public interface plus what only this file sends.
using self_type =
  agent_handle::extend<caf::reacts_to<tick_atom>, caf::reacts_to<due_atom>, caf::reacts_to<flush_atom>,
                       caf::reacts_to<join_atom, std::uint64_t>, caf::reacts_to<artifact_done>,
                       caf::reacts_to<log_read_done>, caf::reacts_to<log_sources_done>>;

struct state {
  static inline const char* name = "node";

  options opts;
  node_state node;
  std::map<host_id, host::handle> links;
  std::optional<cluster::node_facing_handle> head;
  std::uint64_t head_count = 0; ///< tells answers of an older link from those of this one
  bool is_registered = false;
  bool has_left = false;                              ///< nothing is told to a head any more
  std::deque<cluster::host_ended> ends;               ///< not told yet
  std::shared_ptr<const ingress::route_table> routes; ///< as handed on
  std::optional<time_point> reported_at;
  wake_up timer; ///< of `due_atom`
  bool flush_is_due = false;
  std::set<artifact_id> artifacts; ///< as last told
  std::vector<caf::typed_response_promise<void>> stop_promises;
};

using pointer = self_type::stateful_pointer<state>;

moment now(pointer self) {
  auto bits = self->state.opts.random();
  auto jitter = static_cast<double>(self->state.opts.random() >> 11) * 0x1.0p-53;
  return {self->clock().now(), jitter, host_id{bits == 0 ? 1 : bits}};
}

void notice(pointer self, std::string text) {
  if (self->state.opts.notice)
    self->state.opts.notice(std::move(text));
}

self_type handle_of(pointer self) { return caf::actor_cast<self_type>(self->ctrl()); }

void send_report(pointer self) {
  auto& st = self->state;
  if (!st.is_registered)
    return;
  while (!st.ends.empty()) {
    self->send(*st.head, std::move(st.ends.front()));
    st.ends.pop_front();
  }
  auto report = make_report(st.node, st.opts.info, self->clock().now());
  if (st.opts.requests)
    report.requests = st.opts.requests();
  self->send(*st.head, std::move(report));
  st.reported_at = self->clock().now();
  forget_down(st.node);
}

/// Something changed that the head should know now and not at the next heartbeat.
void report_soon(pointer self) {
  auto& st = self->state;
  if (st.flush_is_due)
    return;
  st.flush_is_due = true;
  const auto current = self->clock().now();
  const auto earliest = st.reported_at ? *st.reported_at + report_gap_min : current;
  if (earliest <= current)
    self->send(self, flush_atom::value);
  else
    self->delayed_send(self, earliest - current, flush_atom::value);
}

void arm_timer(pointer self) {
  auto& st = self->state;
  if (const auto due = next_due(st.node))
    if (auto delay = st.timer.arm(*due, self->clock().now()))
      self->delayed_send(self, *delay, due_atom::value);
}

void remember_end(pointer self, const host_key& key, action::report_end what) {
  auto& st = self->state;
  if (!what.expected)
    notice(self, (what.report.host ? "host of flow '" : "flow '") + key.flow.value + "' version "
                   + std::to_string(key.version.value) + (what.report.host ? " ended: " : " ")
                   + what.report.reason);
  st.links.erase(what.report.host);
  st.ends.push_back({st.opts.info.id, key.flow, std::move(what.report), what.expected});
  if (st.ends.size() > limits::host_ends_kept_max)
    st.ends.pop_front(); // its leases end by their own time
}

void carry_out(pointer self, node_action&& each) {
  auto& st = self->state;
  const auto& key = each.key;
  auto entry = st.node.hosts.find(key);
  if (auto* launch = std::get_if<action::launch>(&each.what)) {
    st.opts.launcher->launch({launch->host, entry->second.order}, host_observer{handle_of(self)});
  } else if (auto* order = std::get_if<action::send_replicas>(&each.what)) {
    if (auto link = st.links.find(order->host); link != st.links.end())
      self->send(link->second, std::move(order->order));
  } else if (auto* terminate = std::get_if<action::terminate>(&each.what)) {
    st.opts.launcher->terminate(terminate->host);
  } else if (auto* kill = std::get_if<action::kill>(&each.what)) {
    notice(self, "host of flow '" + key.flow.value + "' " + entry->second.host.detail);
    st.opts.launcher->kill(kill->host, kill->hung_after, kill->why);
  } else if (auto* end = std::get_if<action::report_end>(&each.what)) {
    remember_end(self, key, std::move(*end));
  } else {
    const auto& order = entry->second.order;
    st.opts.artifacts->ensure(order.artifact, order.artifact_size_bytes,
                              [me = handle_of(self), key](result<void> outcome) {
                                caf::anon_send(me, artifact_done{key, std::move(outcome)});
                              });
  }
}

void finish_stop(pointer self) {
  auto& st = self->state;
  const bool is_empty = std::all_of(st.node.hosts.begin(), st.node.hosts.end(), [](const auto& each) {
    return each.second.host.phase == host_phase::down;
  });
  if (!st.node.is_stopping || !is_empty || st.stop_promises.empty())
    return;
  send_report(self);
  if (st.is_registered)
    self->send(*st.head, cluster::node_leaves{st.opts.info.id});
  st.has_left = true;
  st.is_registered = false;
  for (auto& promise : st.stop_promises)
    static_cast<caf::response_promise&>(promise).deliver(caf::unit);
  st.stop_promises.clear();
}

void carry_out_all(pointer self, node_actions actions) {
  for (auto& each : actions)
    carry_out(self, std::move(each));
  if (!actions.empty())
    report_soon(self);
  arm_timer(self);
  finish_stop(self);
}

template <class Event>
void on_host_event(pointer self, host_id host, const Event& what) {
  auto& st = self->state;
  auto key = find(st.node, host);
  if (!key)
    return;
  carry_out_all(self, apply_to(st.node, *key, what, now(self)));
}

void look_at_all(pointer self) {
  auto& st = self->state;
  node_actions actions;
  for (auto& [key, entry] : st.node.hosts) {
    std::optional<process_sample> sample;
    if (entry.host.pid > 0)
      sample = st.opts.resources->sample_process(entry.host.pid);
    auto what = measure(entry, sample, self->clock().now());
    for (auto& each : apply_to(st.node, key, what, now(self)))
      actions.push_back(std::move(each));
  }
  carry_out_all(self, std::move(actions));
}

void on_tick(pointer self) {
  auto& st = self->state;
  self->delayed_send(self, tick_interval, tick_atom::value);
  const auto current = self->clock().now();
  note_time(st.node, current);
  look_at_all(self);
  if (st.reported_at && current - *st.reported_at < limits::heartbeat_interval - tick_interval / 2)
    return;
  measure(st.node, st.opts.resources->sample_machine(), current);
  send_report(self);
}

void on_host_report(pointer self, const host::host_report& what) {
  auto& st = self->state;
  auto key = find(st.node, what.host);
  if (!key)
    return;
  auto& replicas = st.node.hosts.at(*key).host.replicas;
  const bool is_news =
    !std::equal(replicas.begin(), replicas.end(), what.replicas.begin(), what.replicas.end(),
                [](const auto& a, const auto& b) {
                  return a.id == b.id && a.phase == b.phase && a.last_error == b.last_error;
                });
  carry_out_all(self, apply_to(st.node, *key, what, now(self)));
  if (is_news)
    report_soon(self);
}

/// Routes are handed on even while the node stops: its ingress may still have requests.
void take_routes(pointer self, const desired_state& wish) {
  auto& st = self->state;
  static const auto none = std::make_shared<const ingress::route_table>();
  const auto& wanted = wish.routes ? wish.routes : none;
  if (!st.opts.routes || wish.revision < st.node.revision || (st.routes && *st.routes == *wanted))
    return;
  st.routes = wanted;
  st.opts.routes(*wanted);
}

void join(pointer self, std::uint64_t head_count) {
  auto& st = self->state;
  if (!st.head || head_count != st.head_count || st.is_registered || st.has_left)
    return;
  self->request(*st.head, register_timeout, cluster::register_node{st.opts.info, handle{handle_of(self)}})
    .then(
      [self, head_count](cluster::registered&) {
        auto& s = self->state;
        if (!s.head || head_count != s.head_count || s.has_left)
          return;
        s.is_registered = true;
        s.node.revision = 0; // a head that was restarted may count anew
        measure(s.node, s.opts.resources->sample_machine(), self->clock().now());
        send_report(self);
      },
      [self, head_count](caf::error& why) {
        if (head_count != self->state.head_count)
          return;
        notice(self, "the head did not register this node: " + from_caf(why).message + "; tries again");
        self->delayed_send(self, register_retry_delay, join_atom::value, head_count);
      });
}

void on_connected(pointer self, host_connected& what) {
  auto& st = self->state;
  if (!find(st.node, what.host))
    return;
  st.links[what.host] = std::move(what.replicas);
  on_host_event(self, what.host, event::connected{what.host});
  report_soon(self);
}

void tell_artifacts(pointer self) {
  auto& st = self->state;
  if (!st.opts.on_artifacts)
    return;
  std::set<artifact_id> needed;
  for (const auto& [key, entry] : st.node.hosts)
    needed.insert(entry.order.artifact);
  if (needed == st.artifacts)
    return;
  st.artifacts = needed;
  st.opts.on_artifacts(std::move(needed));
}

caf::result<log_chunk> read_log(pointer self, const log_request& what) {
  auto promise = self->make_response_promise<log_chunk>();
  if (!self->state.opts.logs)
    return to_caf({errc::unsupported, "this node keeps no logs: its hosts write to its own terminal"});
  self->state.opts.logs->read(what, [me = handle_of(self), promise](result<log_chunk> outcome) {
    caf::anon_send(me, log_read_done{promise, std::move(outcome)});
  });
  return promise;
}

caf::result<log_sources_reply> list_logs(pointer self, const log_sources_request& what) {
  auto promise = self->make_response_promise<log_sources_reply>();
  if (!self->state.opts.logs)
    return log_sources_reply{};
  self->state.opts.logs->sources(what, [me = handle_of(self), promise](result<log_sources_reply> outcome) {
    caf::anon_send(me, log_sources_done{promise, std::move(outcome)});
  });
  return promise;
}

template <class Done>
void deliver(Done& done) {
  if (done.outcome)
    done.promise.deliver(std::move(*done.outcome));
  else
    done.promise.deliver(to_caf(done.outcome.error()));
}

self_type::behavior_type run(pointer self, options opts) {
  auto& st = self->state;
  st.opts = std::move(opts);
  st.node.isolated = st.opts.launcher->isolated();
  st.node.host_memory_bytes_max = st.opts.host_memory_bytes_max;
  self->set_exception_handler([self](std::exception_ptr& what) -> caf::error {
    std::string text = "unknown exception";
    try {
      std::rethrow_exception(what);
    } catch (const std::exception& e) {
      text = e.what();
    } catch (...) {
    }
    notice(self, "the node agent failed: " + text);
    return to_caf({errc::internal, "the node agent failed: " + text});
  });
  self->delayed_send(self, tick_interval, tick_atom::value);
  return {
    [self](const desired_state& wish) {
      auto& s = self->state;
      take_routes(self, wish);
      carry_out_all(self, apply(s.node, wish, now(self)));
      tell_artifacts(self);
    },
    [self](const log_request& what) { return read_log(self, what); },
    [self](const log_sources_request& what) { return list_logs(self, what); },
    [self](const host::host_report& what) { on_host_report(self, what); },
    [self](const host_started& what) {
      on_host_event(self, what.host, event::started{what.host, what.pid});
      report_soon(self);
    },
    [self](host_connected& what) { on_connected(self, what); },
    [self](const host_unreachable& what) {
      on_host_event(self, what.host, event::unreachable{what.host, what.why});
      report_soon(self);
    },
    [self](const launch_failed& what) {
      on_host_event(self, what.host,
                    event::launch_failed{what.host, what.why, self->state.opts.wall_clock()});
      report_soon(self);
    },
    [self](const host_exited& what) { on_host_event(self, what.report.host, event::exited{what.report}); },
    [self](const head_connected& what) {
      auto& s = self->state;
      s.head = what.head;
      s.is_registered = false;
      join(self, ++s.head_count);
    },
    [self](const head_lost&) {
      auto& s = self->state;
      s.head.reset();
      s.is_registered = false;
      ++s.head_count;
    },
    [self](const stop_request&) -> caf::result<void> {
      auto& s = self->state;
      auto promise = self->make_response_promise<void>();
      s.stop_promises.push_back(promise);
      carry_out_all(self, begin_stop(s.node, now(self)));
      return promise;
    },
    [self](tick_atom) { on_tick(self); },
    [self](due_atom) {
      auto& s = self->state;
      if (!s.timer.is_due(self->clock().now()))
        return;
      note_time(s.node, self->clock().now());
      look_at_all(self);
    },
    [self](flush_atom) {
      self->state.flush_is_due = false;
      send_report(self);
    },
    [self](join_atom, std::uint64_t head_count) { join(self, head_count); },
    [self](const artifact_done& what) {
      auto& s = self->state;
      carry_out_all(self, apply_to(s.node, what.key, event::fetched{what.outcome}, now(self)));
      report_soon(self);
    },
    [](log_read_done& what) { deliver(what); },
    [](log_sources_done& what) { deliver(what); },
  };
}

} // namespace

agent_handle spawn(caf::actor_system& sys, options opts) { return sys.spawn(run, std::move(opts)); }

} // namespace sluice::node
