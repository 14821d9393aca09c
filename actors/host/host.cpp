#include "actors/host/host.hpp"

#include "actors/host/replica_set_state.hpp"
#include "actors/replica/replica.hpp"

#include <sluice/core/limits.hpp>

#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace sluice::host {

namespace {

using tick_atom = caf::atom_constant<caf::atom("tick")>;

/// The public interface plus what its replicas and it itself send.
using self_type = handle::extend<caf::reacts_to<replica::status>, caf::reacts_to<tick_atom>>;

class host_actor {
public:
  static inline const char* name = "host"; // shown in logs and metrics

  ~host_actor() {
    for (const auto& [id, each] : running_)
      caf::anon_send_exit(each, caf::exit_reason::kill);
  }

  self_type::behavior_type start(self_type::pointer self, options opts);

private:
  void apply(const replica_set_actions& todo);
  void start_replica(const replica_order& order);
  result<replica::options> options_for(const replica_order& order);
  void send_report() { self_->send(opts_.owner, host_report{opts_.id, set_.revision(), set_.reports()}); }

  self_type::pointer self_ = nullptr;
  options opts_;
  replica_set_state set_;
  std::map<replica_id, replica::handle> running_;
};

self_type::behavior_type host_actor::start(self_type::pointer self, options opts) {
  self_ = self;
  opts_ = std::move(opts);
  self->set_down_handler([this](caf::down_msg& down) {
    auto found = std::find_if(running_.begin(), running_.end(),
                              [&](const auto& each) { return each.second.address() == down.source; });
    if (found == running_.end())
      return;
    set_.on_lost(found->first, "the replica ended without a word: " + self_->system().render(down.reason));
    running_.erase(found);
    send_report();
  });
  self->delayed_send(self, limits::heartbeat_interval, tick_atom::value);
  send_report();
  return {
    [this](const desired_replicas& desired) {
      apply(set_.on_desired(desired));
      send_report();
    },
    [this](const replica::status& status) {
      if (set_.on_report(status.report))
        send_report();
    },
    [this](tick_atom) {
      self_->delayed_send(self_, limits::heartbeat_interval, tick_atom::value);
      send_report();
    },
  };
}

void host_actor::apply(const replica_set_actions& todo) {
  for (const auto& id : todo.drain) {
    if (auto found = running_.find(id); found != running_.end())
      self_->send(found->second, replica::drain{});
  }
  for (const auto& order : todo.start)
    start_replica(order);
}

void host_actor::start_replica(const replica_order& order) {
  auto made = [&]() -> result<replica::options> {
    try {
      return options_for(order);
    } catch (const std::exception& e) {
      return fail(errc::internal, e.what());
    }
  }();
  if (!made) {
    set_.on_lost(order.id, made.error().message);
    return;
  }
  auto replica = replica::spawn(self_->system(), std::move(*made));
  self_->monitor(replica);
  running_.emplace(order.id, std::move(replica));
}

result<replica::options> host_actor::options_for(const replica_order& order) {
  const auto& all = opts_.flow.processors;
  auto spec =
    std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.name == order.processor; });
  auto body = opts_.bodies.find(order.processor);
  if (spec == all.end() || body == opts_.bodies.end())
    return fail(errc::not_found,
                "flow '" + opts_.flow.name.value + "' has no processor '" + order.processor.value + "'");
  if (spec->kind != pattern::consumer)
    return fail(errc::unsupported, "processor '" + spec->name.value + "': this version runs consumers, not "
                                     + std::string{to_string(spec->kind)} + "s");
  const auto* make_body = std::get_if<body_factory>(&body->second);
  if (make_body == nullptr)
    return fail(errc::internal, "processor '" + spec->name.value + "': its code takes requests, not records");
  replica::options out;
  out.processor = *spec;
  out.consumer = {opts_.flow.name, spec->name};
  out.owner = {opts_.node, opts_.id, order.id};
  out.queue = opts_.queue;
  out.make_body = *make_body;
  out.threads = opts_.threads;
  out.recorder = opts_.recorder;
  out.owner_actor = caf::actor_cast<replica::owner_handle>(self_);
  if (spec->source.kind != "queue") {
    auto made = opts_.connectors->source_of(spec->source);
    if (!made)
      return fail(made);
    out.from = std::move(*made);
  }
  // "empty" needs no connector: results that go nowhere need no thread to go there.
  if (spec->sink.kind != "queue" && spec->sink.kind != "empty" && !spec->sink.kind.empty()) {
    auto made = opts_.connectors->sink_of(spec->sink);
    if (!made)
      return fail(made);
    out.to = std::move(*made);
  }
  return out;
}

self_type::behavior_type run(self_type::stateful_pointer<host_actor> self, options opts) {
  return self->state.start(self, std::move(opts));
}

} // namespace

handle spawn(caf::actor_system& sys, options opts) { return sys.spawn(run, std::move(opts)); }

} // namespace sluice::host
