// The links of `sim_cluster`, and its questions to the head and to the world.

#include "tests/support/sim_cluster.hpp"
#include "actors/queue/queue.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace sluice::testing {

using namespace std::chrono_literals;

namespace {

/// Answers take effect inside the proxy that was asked: CAF delivers a promise only there.
struct in_proxy {
  using actor_message = void;
  std::function<void()> run;
};
struct link_lost {
  using actor_message = void;
};

using queue_proxy = queue::handle::extend<caf::reacts_to<in_proxy>, caf::reacts_to<link_lost>>;

struct queue_proxy_state {
  std::map<std::uint64_t, std::function<void(const failure&)>> open; ///< how each request is refused
  std::uint64_t number_last = 0;
};

} // namespace

/// Takes a message along the link, if that is open and stays so.
void sim_cluster::carry(std::size_t index, bool to_head, work deliver) {
  auto& node = nodes_[index];
  if (!node.is_open)
    return;
  if (node.is_cut) {
    node.held.emplace_back(to_head, std::move(deliver));
    return;
  }
  auto& last = to_head ? node.last_up : node.last_down;
  last = std::max(last, now_ + draw_delay());
  at(last, [this, index, to_head, epoch = node.epoch, deliver = std::move(deliver)] {
    auto& link = nodes_[index];
    if (link.epoch != epoch)
      return;
    if (link.is_cut) {
      link.held.emplace_back(to_head, deliver);
      return;
    }
    auto& where = to_head ? static_cast<end&>(head_) : link;
    note(to_head ? "up" : "down", index, sequence_);
    if (!where.is_paused)
      sync(where);
    deliver();
    settle(where);
  });
}

void sim_cluster::cut(std::size_t index) {
  note("cut", index);
  nodes_[index].is_cut = true;
  begin_stall(index);
}

void sim_cluster::heal(std::size_t index) {
  auto& node = nodes_[index];
  note("heal", index);
  node.is_cut = false;
  ++node.stall;
  auto held = std::exchange(node.held, {});
  for (auto& [to_head, deliver] : held)
    carry(index, to_head, std::move(deliver));
}

/// Silence that lasts closes the link on both sides.
void sim_cluster::begin_stall(std::size_t index) {
  auto& node = nodes_[index];
  const auto stall = ++node.stall;
  at(now_ + limits::silence_timeout, [this, index, stall] {
    if (nodes_[index].stall == stall && nodes_[index].is_open)
      close(index, 0ns);
  });
}

void sim_cluster::close(std::size_t index, duration head_learns_after) {
  auto& node = nodes_[index];
  if (!node.is_open)
    return;
  note("close", index);
  node.is_open = false;
  ++node.epoch;
  node.held.clear();
  if (node.process) {
    caf::anon_send(node.agent, node::head_lost{});
    caf::anon_send(caf::actor_cast<queue_proxy>(node.queues), link_lost{});
    if (!node.is_paused)
      sync(node);
    settle(node);
  }
  at(now_ + head_learns_after, [this, index, started = node.started] {
    if (!head_.process || !head_.cluster)
      return;
    if (!head_.is_paused)
      sync(head_);
    caf::anon_send(head_.cluster, cluster::node_unreachable{id_of(index), started});
    settle(head_);
  });
  if (node.process)
    connect_later(index);
}

void sim_cluster::connect_later(std::size_t index) {
  auto& node = nodes_[index];
  if (node.is_connecting)
    return;
  node.is_connecting = true;
  at(now_ + std::chrono::milliseconds{100 + draw(900)}, [this, index] {
    nodes_[index].is_connecting = false;
    connect(index);
  });
}

void sim_cluster::connect(std::size_t index) {
  auto& node = nodes_[index];
  if (!node.process || node.is_open)
    return;
  if (!head_.process || head_.is_paused || node.is_paused || node.is_cut) {
    connect_later(index);
    return;
  }
  note("open", index);
  node.is_open = true;
  ++node.epoch;
  node.last_up = node.last_down = now_;
  sync(node);
  caf::anon_send(node.agent, node::head_connected{make_head_proxy(index, node.epoch)});
  settle(node);
}

/// Stands for the agent in the head's process.
node::handle sim_cluster::make_agent_proxy(std::size_t index, std::uint64_t epoch) {
  auto& system = head_.process->system;
  // The unused arguments of behaviors: see `deterministic_system::ask_later`.
  auto behavior = [this, index, epoch](node::handle::pointer, int) -> node::handle::behavior_type {
    return {
      [this, index, epoch](const node::desired_state& order) {
        if (nodes_[index].epoch == epoch)
          carry(index, false, [this, index, order] {
            if (nodes_[index].process)
              caf::anon_send(nodes_[index].agent, order);
          });
      },
      [](const node::log_request&) { return node::log_chunk{}; },
      [](const node::log_sources_request&) { return node::log_sources_reply{}; },
    };
  };
  return system.own(system.sys.spawn(behavior, 0));
}

namespace {

/// The head's answer on its way back. It takes effect inside the proxy: CAF delivers a promise only there.
struct enrolment {
  using actor_message = void;
  std::uint64_t number = 0;
  result<cluster::registered> outcome;
};

using proxy_type = cluster::node_facing_handle::extend<caf::reacts_to<enrolment>>;

struct proxy_state {
  std::map<std::uint64_t, caf::typed_response_promise<cluster::registered>> open;
  std::uint64_t number_last = 0;
};

} // namespace

/// Stands for the cluster actor in a node's process.
cluster::node_facing_handle sim_cluster::make_head_proxy(std::size_t index, std::uint64_t epoch) {
  auto forward = [this, index, epoch](auto message) {
    if (nodes_[index].epoch == epoch)
      carry(index, true, [this, message = std::move(message)] {
        if (head_.cluster)
          caf::anon_send(head_.cluster, message);
      });
  };
  auto behavior = [this, index, epoch, forward](proxy_type::stateful_pointer<proxy_state> self,
                                                int) -> proxy_type::behavior_type {
    return {
      [this, self, index, epoch](const cluster::register_node& what) -> caf::result<cluster::registered> {
        auto promise = self->make_response_promise<cluster::registered>();
        const auto number = ++self->state.number_last;
        self->state.open.emplace(number, promise);
        enrol(index, epoch, what.info, [to = proxy_type{self}, number](result<cluster::registered> outcome) {
          caf::anon_send(to, enrolment{number, std::move(outcome)});
        });
        return promise;
      },
      [forward](const node::node_report& what) { forward(what); },
      [forward](const cluster::node_leaves& what) { forward(what); },
      [forward](const cluster::node_unreachable& what) { forward(what); },
      [forward](const cluster::host_ended& what) { forward(what); },
      [self](enrolment& what) {
        auto found = self->state.open.find(what.number);
        if (what.outcome)
          found->second.deliver(std::move(*what.outcome));
        else
          found->second.deliver(to_caf(what.outcome.error()));
        self->state.open.erase(found);
      },
    };
  };
  auto& system = nodes_[index].process->system;
  return caf::actor_cast<cluster::node_facing_handle>(system.own(system.sys.spawn(behavior, 0)));
}

/// Carries a registration to the head and its answer back.
void sim_cluster::enrol(std::size_t index, std::uint64_t epoch, const node::node_info& info,
                        std::function<void(result<cluster::registered>)> answer) {
  if (nodes_[index].epoch != epoch)
    return;
  carry(index, true, [this, index, epoch, info, answer = std::move(answer)] {
    if (!head_.cluster)
      return;
    const cluster::register_node request{info, make_agent_proxy(index, epoch)};
    auto back = [this, index, epoch, answer](result<cluster::registered> outcome) {
      if (nodes_[index].epoch == epoch)
        carry(index, false, [answer, outcome] { answer(outcome); });
    };
    head_.process->system.sys.spawn<caf::hidden>(
      [to = head_.cluster, request, back](caf::event_based_actor* self, int) {
        self->request(to, 10s, request)
          .then([back](cluster::registered& reply) { back(std::move(reply)); },
                [back](caf::error& why) { back(tl::unexpected<failure>{from_caf(why)}); });
      },
      0);
  });
}

// ---- queues ------------------------------------------------------------------------------

/// The head's real queues, and in front of them what notes who gives leases back.
void sim_cluster::start_queues() {
  queue::options opts;
  opts.store = std::make_shared<fake_store_runner>(queue_store_);
  opts.wall_clock = [this] {
    return queue::wall_time{std::chrono::duration_cast<queue::wall_time::duration>(now_.time_since_epoch())};
  };
  opts.jitter = [this] { return static_cast<double>(draw(1000)) / 1000; };
  auto& system = head_.process->system;
  auto real = caf::actor_cast<queue::handle>(system.own(queue::spawn(system.sys, std::move(opts))));
  auto behavior = [this, real](queue::handle::pointer self, int) -> queue::handle::behavior_type {
    return {
      [self, real](const queue::append_request& what) { return self->delegate(real, what); },
      [self, real](const queue::lease_request& what) { return self->delegate(real, what); },
      [self, real](const queue::commit_request& what) { return self->delegate(real, what); },
      [self, real](const queue::renew_request& what) { return self->delegate(real, what); },
      [this, self, real](const queue::release_request& what) {
        releases_.push_back(what);
        return self->delegate(real, what);
      },
      [self, real](const queue::cursor_request& what) { return self->delegate(real, what); },
    };
  };
  head_.queues = system.own(system.sys.spawn(behavior, 0));
}

/// Carries a request to the head's queues and the answer back.
template <class Reply, class Self, class Request>
caf::typed_response_promise<Reply> sim_cluster::relay(Self self, std::size_t index, const Request& request) {
  auto promise = self->template make_response_promise<Reply>();
  if (!nodes_[index].is_open) {
    promise.deliver(to_caf({errc::unavailable, "there is no link to the head"}));
    return promise;
  }
  const auto number = ++self->state.number_last;
  self->state.open.emplace(number, [promise](const failure& why) mutable { promise.deliver(to_caf(why)); });
  auto answer = [self, number, promise](const result<Reply>& outcome) mutable {
    if (self->state.open.erase(number) == 0)
      return; // the link was lost meanwhile
    if (outcome)
      promise.deliver(Reply{*outcome});
    else
      promise.deliver(to_caf(outcome.error()));
  };
  auto back = [this, index, epoch = nodes_[index].epoch,
               to = caf::actor_cast<queue_proxy>(nodes_[index].queues), answer](result<Reply> outcome) {
    if (nodes_[index].epoch == epoch)
      carry(index, false, [to, answer, outcome] {
        caf::anon_send(to, in_proxy{[answer, outcome]() mutable { answer(outcome); }});
      });
  };
  carry(index, true, [this, request, back] {
    if (!head_.queues)
      return;
    head_.process->system.sys.spawn<caf::hidden>(
      [to = head_.queues, request, back](caf::event_based_actor* asker, int) {
        asker->request(to, 60s, request)
          .then([back](Reply& reply) { back(std::move(reply)); },
                [back](caf::error& why) { back(tl::unexpected<failure>{from_caf(why)}); });
      },
      0);
  });
  return promise;
}

queue::handle sim_cluster::make_queue_proxy(std::size_t index) {
  auto behavior = [this, index](queue_proxy::stateful_pointer<queue_proxy_state> self,
                                int) -> queue_proxy::behavior_type {
    return {
      [this, self, index](const queue::append_request& what) {
        return relay<queue::append_reply>(self, index, what);
      },
      [this, self, index](const queue::lease_request& what) {
        return relay<queue::lease_reply>(self, index, what);
      },
      [this, self, index](const queue::commit_request& what) {
        return relay<queue::commit_reply>(self, index, what);
      },
      [this, self, index](const queue::renew_request& what) {
        return relay<queue::count_reply>(self, index, what);
      },
      [this, self, index](const queue::release_request& what) {
        return relay<queue::count_reply>(self, index, what);
      },
      [this, self, index](const queue::cursor_request& what) {
        return relay<std::string>(self, index, what);
      },
      [](in_proxy& what) { what.run(); },
      [self](link_lost) {
        for (auto& [number, refuse] : std::exchange(self->state.open, {}))
          refuse({errc::unavailable, "the link to the head was lost"});
      },
    };
  };
  auto& system = nodes_[index].process->system;
  return caf::actor_cast<queue::handle>(system.own(system.sys.spawn(behavior, 0)));
}

// ---- questions ---------------------------------------------------------------------------

std::shared_ptr<const cluster::cluster_view> sim_cluster::view() {
  auto reply = ask<cluster::view_reply>(cluster::view_request{});
  if (!reply)
    throw std::runtime_error("no view: " + reply.error().message);
  last_view_ = reply->view;
  return last_view_;
}

const cluster::flow_view* sim_cluster::flow(const std::string& name) {
  const auto shown = view();
  auto found = std::ranges::find(shown->flows, flow_name{name}, &cluster::flow_view::name);
  return found == shown->flows.end() ? nullptr : &*found;
}

result<cluster::submit_reply> sim_cluster::submit(const std::string& flow, std::uint32_t replicas,
                                                  double cpus, std::vector<std::string> args) {
  cluster::submit_request request;
  request.artifact = artifact_id{std::string(64, 'a')};
  request.args = std::move(args);
  request.spec.name = flow_name{flow};
  request.spec.sluice_version = "0.1.0";
  processor_spec work;
  work.name = processor_name{"work"};
  work.source = {"queue", {{"name", flow + "-in"}}};
  work.sink = {"queue", {{"name", flow + "-out"}}};
  work.num_replicas = replicas;
  work.max_replicas = limits::replicas_max;
  work.min_replicas = 0;
  work.max_replicas = 1000;
  work.num_cpus = cpus;
  request.spec.processors.push_back(work);
  return ask<cluster::submit_reply>(request);
}

std::vector<const sim_host*> sim_cluster::hosts() const {
  std::vector<const sim_host*> all;
  for (const auto& [id, host] : hosts_)
    all.push_back(host.get());
  return all;
}

std::size_t sim_cluster::count(const std::string& flow, std::uint64_t version,
                               host::replica_phase phase) const {
  std::size_t sum = 0;
  for (const auto& [id, host] : hosts_)
    if (host->flow.value == flow && host->version.value == version)
      sum += static_cast<std::size_t>(
        std::ranges::count_if(host->replicas, [&](const auto& it) { return it.second.phase == phase; }));
  return sum;
}

std::string sim_cluster::difference() {
  const auto shown = view();
  using key = std::tuple<std::string, std::uint64_t, std::uint64_t, std::string>;
  std::set<key> wanted;
  std::map<std::string, std::size_t> counts;
  for (const auto& replica : shown->replicas) {
    if (replica.node.empty())
      return replica.flow.value + ": " + replica.detail;
    wanted.insert({replica.flow.value, replica.version.value, replica.id.value, replica.node.value});
    ++counts[replica.flow.value];
  }
  std::set<key> actual;
  for (const auto& [id, host] : hosts_)
    for (const auto& [replica, it] : host->replicas)
      if (it.phase == host::replica_phase::running)
        actual.insert({host->flow.value, host->version.value, replica.value, host->node.value});
      else
        return "replica " + std::to_string(replica.value) + " is "
               + std::to_string(static_cast<int>(it.phase));
  if (wanted != actual)
    return std::to_string(wanted.size()) + " wanted, " + std::to_string(actual.size())
           + " running, not the same";
  for (const auto& flow : shown->flows) {
    std::size_t desired = 0;
    for (const auto& processor : flow.processors)
      desired += processor.replicas_desired;
    if (counts[flow.name.value] != desired)
      return flow.name.value + ": " + std::to_string(desired) + " desired, "
             + std::to_string(counts[flow.name.value]) + " there";
    if (flow.phase != cluster::flow_phase::running && flow.phase != cluster::flow_phase::drained)
      return flow.name.value + " is " + std::string{cluster::to_string(flow.phase)} + ": " + flow.detail;
  }
  return {};
}

std::string sim_cluster::double_owner() const {
  std::map<replica_id, host_id> owners;
  for (const auto& [id, host] : hosts_)
    for (const auto& [replica, it] : host->replicas) {
      if (it.phase == host::replica_phase::down || it.phase == host::replica_phase::failed)
        continue;
      if (!owners.emplace(replica, id).second)
        return "replica " + std::to_string(replica.value) + " runs twice";
    }
  return {};
}

} // namespace sluice::testing
