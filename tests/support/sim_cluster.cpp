#include "tests/support/sim_cluster.hpp"

#include "tests/support/sim_host.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <csignal>
#include <stdexcept>

namespace sluice::testing {

using namespace std::chrono_literals;

namespace {

class no_artifacts final : public node::artifact_port {
public:
  void ensure(const artifact_id&, std::uint64_t, std::function<void(result<void>)> done) override {
    done({});
  }
};

class no_resources final : public node::resource_port {
public:
  std::optional<node::process_sample> sample_process(std::int64_t) override { return std::nullopt; }
  node::machine_sample sample_machine() override { return {}; }
};

} // namespace

// ---- hosts ---------------------------------------------------------------------------

class sim_cluster::launcher final : public node::host_launcher_port {
public:
  launcher(sim_cluster& world, std::size_t index) : world_(world), index_(index) {}

  bool isolated() const noexcept override { return true; }

  void launch(node::launch_order order, node::host_observer to) override {
    auto host = std::make_unique<sim_host>();
    host->node = world_.id_of(index_);
    host->id = order.host;
    host->flow = order.flow.flow;
    host->version = order.flow.version;
    ++world_.hosts_started_count_;
    world_.note("launch", index_, order.flow.version.value);
    running_[order.host] = {to, {}};
    auto has = [&](const char* word) {
      return std::ranges::find(order.flow.args, word) != order.flow.args.end();
    };
    const auto flow = order.flow;
    caf::anon_send(
      to, node::host_started{order.host, static_cast<std::int64_t>(1000 + world_.hosts_started_count_)});
    const auto id = order.host;
    if (has("exit")) {
      later(5ms, [this, id] { end(id, 3, 0, "exited with code 3"); });
      return;
    }
    auto script = std::make_shared<sim_host_script>();
    script->host = host.get();
    script->to = to;
    script->fails = has("fail");
    script->between = [this](int low, int high) {
      return std::chrono::milliseconds{
        low + static_cast<int>(world_.draw(static_cast<std::uint64_t>(high - low)))};
    };
    script->on_running = [] {};
    if (has("crash"))
      script->on_running = [this, id] {
        later(50ms, [this, id] { end(id, 0, SIGSEGV, "killed by SIGSEGV"); });
      };
    world_.hosts_[id] = std::move(host);
    later(std::chrono::milliseconds{10 + world_.draw(100)}, [this, id, script, flow] {
      auto found = running_.find(id);
      if (found == running_.end())
        return;
      auto& system = world_.nodes_[index_].process->system;
      found->second.actor = system.own(world_.make_host_ ? make_real(id, flow, found->second.to)
                                                         : spawn_sim_host(system.sys, script));
      caf::anon_send(found->second.to, node::host_connected{id, found->second.actor});
    });
  }

  void terminate(host_id host) override {
    later(5ms, [this, host] { end(host, 0, 0, "exited with code 0"); });
  }

  void kill(host_id host, std::chrono::milliseconds, const std::string&) override {
    later(5ms, [this, host] { end(host, 0, SIGKILL, "killed by SIGKILL"); });
  }

  std::vector<host_id> running() const {
    std::vector<host_id> ids;
    for (const auto& [id, entry] : running_)
      ids.push_back(id);
    return ids;
  }

  void end(host_id host, int exit_code, int signal, std::string reason) {
    auto found = running_.find(host);
    if (found == running_.end())
      return;
    auto entry = found->second;
    running_.erase(found);
    if (entry.actor)
      caf::anon_send_exit(entry.actor, caf::exit_reason::kill);
    world_.hosts_.erase(host);
    world_.note("host ends", index_, static_cast<std::uint64_t>(signal));
    node::crash_report report;
    report.host = host;
    report.exit_code = exit_code;
    report.signal = signal;
    report.reason = std::move(reason);
    caf::anon_send(entry.to, node::host_exited{std::move(report)});
  }

  /// They die with their node.
  void drop_all() {
    for (const auto& [id, entry] : running_)
      world_.hosts_.erase(id);
    running_.clear();
    is_dropped_ = true;
  }

  /// Does something in the node's process; while that is paused, it waits.
  void later(duration delay, work what) {
    auto mine = world_.nodes_[index_].hosts;
    world_.at(world_.now_ + delay, [this, mine, what = std::move(what)] {
      if (is_dropped_)
        return;
      auto& node = world_.nodes_[index_];
      if (node.is_paused) {
        later(10ms, what);
        return;
      }
      world_.sync(node);
      what();
      world_.settle(node);
    });
  }

private:
  struct entry {
    node::host_observer to;
    host::handle actor;
  };

  /// A host of the test's, whose reports are noted on their way.
  host::handle make_real(host_id id, const node::flow_order& flow, const node::host_observer& to) {
    auto& node = world_.nodes_[index_];
    auto& system = node.process->system;
    // The unused arguments of behaviors: see `deterministic_system::ask_later`.
    auto behavior = [world = &world_, id, to](host::node_handle::pointer,
                                              int) -> host::node_handle::behavior_type {
      return {[world, id, to](const host::host_report& report) {
        if (auto found = world->hosts_.find(id); found != world->hosts_.end()) {
          found->second->replicas.clear();
          for (const auto& each : report.replicas)
            found->second->replicas[each.id] = each;
        }
        caf::anon_send(to, report);
      }};
    };
    auto owner = system.own(system.sys.spawn(behavior, 0));
    return world_.make_host_({index_, system.sys, id, flow, node.queues, owner});
  }

  sim_cluster& world_;
  std::size_t index_;
  std::map<host_id, entry> running_;
  bool is_dropped_ = false;
};

// ---- the loop --------------------------------------------------------------------------

sim_cluster::sim_cluster(sim_settings settings) : settings_(settings), random_(settings.seed) {}

sim_cluster::~sim_cluster() {
  agenda_.clear();
  for (auto& node : nodes_)
    if (node.process) {
      node.agent = nullptr;
      node.queues = nullptr;
      bury(node);
      node.hosts->drop_all();
    }
  head_.cluster = nullptr;
  head_.queues = nullptr;
  if (head_.process)
    bury(head_);
}

std::uint64_t sim_cluster::draw(std::uint64_t below) { return below == 0 ? 0 : random_() % below; }

sim_cluster::duration sim_cluster::draw_delay() {
  const auto spread = static_cast<std::uint64_t>((settings_.delay_max - settings_.delay_min).count());
  return settings_.delay_min + std::chrono::microseconds{static_cast<std::int64_t>(draw(spread + 1))};
}

void sim_cluster::note(std::string_view what, std::uint64_t a, std::uint64_t b) {
  auto mix = [this](std::uint64_t value) { trace_ = (trace_ ^ value) * 1099511628211ull; };
  mix(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  for (char c : what)
    mix(static_cast<unsigned char>(c));
  mix(a);
  mix(b);
}

void sim_cluster::at(time_point when, work what) {
  agenda_.emplace(std::pair{std::max(when, now_), sequence_++}, std::move(what));
}

void sim_cluster::sync(end& where) {
  if (where.process && where.process->system.now() < now_)
    where.process->system.jump(now_ - where.process->system.now());
}

void sim_cluster::settle(end& where) {
  if (where.due)
    due_.erase({*where.due, where.number});
  where.due.reset();
  if (!where.process || where.is_paused)
    return;
  auto& jobs = where.process->system.sched.jobs;
  while (!jobs.empty()) {
    if (jobs.size() > 1)
      std::swap(jobs.front(), jobs[draw(jobs.size())]);
    where.process->system.sched.run_once();
  }
  where.due = where.process->system.next_due();
  if (where.due)
    due_.emplace(*where.due, where.number);
}

bool sim_cluster::step_one(time_point until) {
  const bool has_work =
    !agenda_.empty() && (due_.empty() || agenda_.begin()->first.first <= due_.begin()->first);
  if (!has_work && due_.empty())
    return false;
  const auto next = has_work ? agenda_.begin()->first.first : due_.begin()->first;
  if (next > until)
    return false;
  now_ = std::max(now_, next);
  if (has_work) {
    auto what = std::move(agenda_.begin()->second);
    agenda_.erase(agenda_.begin());
    what();
    return true;
  }
  const auto number = due_.begin()->second;
  auto& where = number == 0 ? static_cast<end&>(head_) : nodes_[number - 1];
  due_.erase(due_.begin());
  where.due.reset();
  sync(where);
  where.process->system.sched.clock().advance_time(0ns);
  settle(where);
  return true;
}

void sim_cluster::run_for(duration length) {
  const auto until = now_ + length;
  while (step_one(until)) {
  }
  now_ = until;
}

std::optional<sim_cluster::duration> sim_cluster::run_until(const std::function<bool()>& done,
                                                            duration most) {
  const auto begin = now_;
  while (!done()) {
    if (now_ - begin >= most)
      return std::nullopt;
    run_for(50ms);
  }
  return now_ - begin;
}

void sim_cluster::bury(end& where) {
  if (where.due)
    due_.erase({*where.due, where.number});
  where.due.reset();
  where.is_paused = false;
  where.process->system.end_owned();
  graveyard_.push_back(std::move(where.process));
}

void sim_cluster::call_on(std::size_t index, duration delay, std::function<void()> what) {
  nodes_[index].hosts->later(delay, std::move(what));
}

// ---- processes -------------------------------------------------------------------------

void sim_cluster::start_head() {
  note("head starts");
  head_.process = std::make_unique<process_box>();
  sync(head_);
  start_queues();
  auto& system = head_.process->system;
  cluster::options opts;
  opts.cluster_id = "sim";
  opts.wall_clock = [this] {
    return std::chrono::system_clock::time_point{
      std::chrono::duration_cast<std::chrono::system_clock::duration>(now_.time_since_epoch())};
  };
  auto spawned = cluster::spawn(system.sys, opts, store_, head_.queues);
  if (!spawned)
    throw std::runtime_error("the head does not start: " + spawned.error().message);
  head_.cluster = system.own(*spawned);
  settle(head_);
}

void sim_cluster::kill_head() {
  note("head killed");
  for (std::size_t index = 0; index < nodes_.size(); ++index)
    close(index, 0ns);
  head_.cluster = nullptr;
  head_.queues = nullptr;
  bury(head_);
}

void sim_cluster::pause_head() {
  note("head paused");
  settle(head_);
  head_.is_paused = true;
  if (head_.due)
    due_.erase({*head_.due, head_.number});
  head_.due.reset();
  for (std::size_t index = 0; index < nodes_.size(); ++index)
    begin_stall(index);
}

void sim_cluster::resume_head() {
  note("head resumed");
  head_.is_paused = false;
  for (auto& node : nodes_)
    ++node.stall;
  sync(head_);
  settle(head_);
}

node_id sim_cluster::id_of(std::size_t index) const {
  auto text = std::to_string(index);
  return node_id{"node-" + std::string(3 - std::min<std::size_t>(3, text.size()), '0') + text};
}

std::size_t sim_cluster::add_node(double cpus) {
  auto& node = nodes_.emplace_back();
  node.number = nodes_.size();
  node.cpus = cpus == 0 ? settings_.node_cpus : cpus;
  restart_node(nodes_.size() - 1);
  return nodes_.size() - 1;
}

void sim_cluster::restart_node(std::size_t index) {
  note("node starts", index);
  auto& node = nodes_[index];
  node.process = std::make_unique<process_box>();
  sync(node);
  node.started = incarnation{{draw(~0ull), 1}};
  ++node.starts;
  node.hosts = std::make_shared<launcher>(*this, index);
  node::options opts;
  opts.info.id = id_of(index);
  opts.info.started = node.started;
  opts.info.address = "10.0.0." + std::to_string(index) + ":7410";
  opts.info.cpus = node.cpus;
  opts.info.memory_bytes = 8ull << 30;
  opts.launcher = node.hosts;
  opts.artifacts = std::make_shared<no_artifacts>();
  opts.resources = std::make_shared<no_resources>();
  opts.wall_clock = [] { return std::chrono::system_clock::time_point{}; };
  opts.random = [this] { return random_(); };
  if (on_routes_)
    opts.routes = [this, index](const ingress::route_table& table) { on_routes_(index, table); };
  auto& system = node.process->system;
  node.queues = make_queue_proxy(index);
  node.agent = system.own(node::spawn(system.sys, std::move(opts)));
  settle(node);
  connect_later(index);
}

void sim_cluster::kill_node(std::size_t index) {
  auto& node = nodes_[index];
  if (!node.process)
    return;
  note("node killed", index);
  const bool is_cut = node.is_cut;
  node.agent = nullptr;
  node.queues = nullptr;
  bury(node);
  node.hosts->drop_all();
  close(index, is_cut ? limits::silence_timeout : draw_delay());
}

void sim_cluster::pause_node(std::size_t index) {
  auto& node = nodes_[index];
  note("node paused", index);
  settle(node);
  node.is_paused = true;
  if (node.due)
    due_.erase({*node.due, node.number});
  node.due.reset();
  begin_stall(index);
}

void sim_cluster::resume_node(std::size_t index) {
  auto& node = nodes_[index];
  note("node resumed", index);
  node.is_paused = false;
  ++node.stall;
  sync(node);
  settle(node);
}

void sim_cluster::stop_node(std::size_t index) {
  auto& node = nodes_[index];
  note("node stops", index);
  sync(node);
  auto stopped = node.process->system.ask_later<void>(node.agent, node::stop_request{});
  settle(node);
  run_until([&] { return stopped->has_value(); }, 60s);
  run_for(100ms); // its last words arrive
  kill_node(index);
}

void sim_cluster::kill_host(std::size_t index) {
  auto& node = nodes_[index];
  auto ids = node.hosts->running();
  if (ids.empty())
    return;
  sync(node);
  node.hosts->end(ids[draw(ids.size())], 0, SIGKILL, "killed by SIGKILL");
  settle(node);
}

} // namespace sluice::testing
