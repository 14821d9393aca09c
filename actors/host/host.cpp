#include "actors/host/host.hpp"

#include "actors/batch/batch_replica.hpp"
#include "actors/host/replica_set_state.hpp"
#include "actors/replica/replica.hpp"
#include "actors/replica/request_replica.hpp"

#include <sluice/core/limits.hpp>
#include <sluice/io/distinct_files.hpp>

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
  result<replica::handle> spawn_replica(const replica_order& order);
  result<replica::handle> spawn_consumer(const replica_order& order, const processor_spec& spec,
                                         const body_factory& make_body);
  result<replica::handle> spawn_for_requests(const replica_order& order, const processor_spec& spec,
                                             const request_body_factory& make_body);
  result<replica::handle> spawn_batch(const replica_order& order, const processor_spec& spec,
                                      const body_factory& make_body);
  result<std::shared_ptr<sink>> sink_for(const processor_spec& spec);
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
  auto made = [&]() -> result<replica::handle> {
    try {
      return spawn_replica(order);
    } catch (const std::exception& e) {
      return fail(errc::internal, e.what());
    }
  }();
  if (!made) {
    set_.on_lost(order.id, made.error().message);
    return;
  }
  self_->monitor(*made);
  running_.emplace(order.id, std::move(*made));
}

result<replica::handle> host_actor::spawn_replica(const replica_order& order) {
  const auto& all = opts_.flow.processors;
  auto spec =
    std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.name == order.processor; });
  auto code = opts_.bodies.find(order.processor);
  if (spec == all.end() || code == opts_.bodies.end())
    return fail(errc::not_found,
                "flow '" + opts_.flow.name.value + "' has no processor '" + order.processor.value + "'");
  const auto* for_records = std::get_if<body_factory>(&code->second);
  const auto* for_requests = std::get_if<request_body_factory>(&code->second);
  if (spec->kind == pattern::consumer && for_records != nullptr)
    return spawn_consumer(order, *spec, *for_records);
  if (spec->kind == pattern::batch && for_records != nullptr && opts_.batch.environment)
    return spawn_batch(order, *spec, *for_records);
  if (spec->http && for_requests != nullptr)
    return spawn_for_requests(order, *spec, *for_requests);
  return fail(errc::unsupported, "processor '" + spec->name.value + "': this version does not run it as a "
                                   + std::string{to_string(spec->kind)});
}

result<replica::handle> host_actor::spawn_consumer(const replica_order& order, const processor_spec& spec,
                                                   const body_factory& make_body) {
  if (auto fine = check_distinct_files(spec); !fine)
    return fail(fine);
  replica::options out;
  out.processor = spec;
  out.consumer = {opts_.flow.name, spec.name};
  out.owner = {opts_.node, opts_.id, order.id};
  out.queue = opts_.queue;
  out.make_body = make_body;
  out.threads = opts_.threads;
  out.recorder = opts_.recorder;
  out.owner_actor = caf::actor_cast<replica::owner_handle>(self_);
  if (spec.source.kind != "queue") {
    auto made = opts_.connectors->source_of(spec.source);
    if (!made)
      return fail(made);
    out.from = std::move(*made);
  }
  auto to = sink_for(spec);
  if (!to)
    return fail(to);
  out.to = std::move(*to);
  return replica::spawn(self_->system(), std::move(out));
}

result<replica::handle> host_actor::spawn_for_requests(const replica_order& order, const processor_spec& spec,
                                                       const request_body_factory& make_body) {
  replica::request_options out;
  out.processor = spec;
  out.consumer = {opts_.flow.name, spec.name};
  out.owner = {opts_.node, opts_.id, order.id};
  out.make_body = make_body;
  out.threads = opts_.threads;
  out.targets = opts_.targets;
  out.owner_actor = caf::actor_cast<replica::owner_handle>(self_);
  auto to = sink_for(spec);
  if (!to)
    return fail(to);
  out.to = std::move(*to);
  return replica::spawn(self_->system(), std::move(out));
}

result<replica::handle> host_actor::spawn_batch(const replica_order& order, const processor_spec& spec,
                                                const body_factory& make_body) {
  auto files = opts_.batch.environment->make_files(opts_.flow.name, spec);
  if (!files)
    return fail(files);
  batch::options out;
  out.processor = spec;
  out.consumer = {opts_.flow.name, spec.name};
  out.owner = {opts_.node, opts_.id, order.id};
  out.queue = opts_.queue;
  out.run = opts_.batch.run;
  out.takes_up_failed = opts_.batch.takes_up_failed;
  out.make_body = make_body;
  out.files = std::move(*files);
  out.environment = opts_.batch.environment;
  out.threads = opts_.threads;
  out.recorder = opts_.recorder;
  out.owner_actor = caf::actor_cast<replica::owner_handle>(self_);
  return batch::spawn(self_->system(), std::move(out));
}

// None where the sink is a queue, which the replica writes to by itself, or "empty": results that go
// nowhere need no thread to go there.
result<std::shared_ptr<sink>> host_actor::sink_for(const processor_spec& spec) {
  if (spec.sink.kind == "queue" || spec.sink.kind == "empty" || spec.sink.kind.empty())
    return std::shared_ptr<sink>{};
  auto made = opts_.connectors->sink_of(spec.sink);
  if (!made)
    return fail(made);
  return std::shared_ptr<sink>{std::move(*made)};
}

self_type::behavior_type run(self_type::stateful_pointer<host_actor> self, options opts) {
  return self->state.start(self, std::move(opts));
}

} // namespace

handle spawn(caf::actor_system& sys, options opts) { return sys.spawn(run, std::move(opts)); }

} // namespace sluice::host
