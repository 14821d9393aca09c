#pragma once

#include "tests/support/deterministic_system.hpp"
#include "tests/support/fake_cluster_store.hpp"
#include "tests/support/fake_queue_store.hpp"
#include "tests/support/sim_host.hpp"
#include "actors/cluster/cluster.hpp"
#include "actors/node/node.hpp"

#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace sluice::testing {

/// What the simulated world does to messages and processes.
struct sim_settings {
  std::uint64_t seed = 1;
  std::chrono::microseconds delay_min{100}; ///< of one message
  std::chrono::microseconds delay_max{5000};
  double node_cpus = 4;
};

/// Many machines on one thread: a real cluster actor, real queues, real node agents, hosts that are simulated
/// unless a test brings real ones, processes that are killed, paused and started again, and links that delay, stall and
/// close. Each process has an actor system and a clock of its own.
///
/// One seed decides all that chance would: which actor of a process runs next, how long each
/// message takes, when a reconnect is tried. The same seed and the same calls give
/// the same `trace()`. Nothing sleeps: the loop runs what is runnable and then moves
/// the clocks to what comes next.
///
/// A link is like TCP: in order, nothing lost while it is open. A cut holds what is sent; after
/// `limits::silence_timeout` it is closed on both sides and both are told, as when one end
/// dies. Whoever was closed tries again every 100 to 1000 ms.
class sim_cluster {
public:
  using duration = std::chrono::nanoseconds;
  using time_point = deterministic_system::time_point;

  explicit sim_cluster(sim_settings settings);
  ~sim_cluster();
  sim_cluster(const sim_cluster&) = delete;
  sim_cluster& operator=(const sim_cluster&) = delete;

  // ---- the head; its store outlives it

  void start_head();
  void kill_head();
  void pause_head();
  void resume_head();
  bool head_is_up() const { return head_.process != nullptr; }

  // ---- nodes, by index from 0

  std::size_t add_node(double cpus = 0);
  std::size_t node_count() const { return nodes_.size(); }
  void kill_node(std::size_t index);
  void restart_node(std::size_t index); ///< the same id, another incarnation
  void pause_node(std::size_t index);
  void resume_node(std::size_t index);
  void stop_node(std::size_t index); ///< as SIGTERM does: drains, leaves
  void cut(std::size_t index);
  void heal(std::size_t index);
  bool is_up(std::size_t index) const { return nodes_[index].process != nullptr; }
  bool is_paused(std::size_t index) const { return nodes_[index].is_paused; }
  bool is_cut(std::size_t index) const { return nodes_[index].is_cut; }
  node_id id_of(std::size_t index) const;

  /// Kills one running host of the node, if it has any.
  void kill_host(std::size_t index);

  /// Called with each table of routes that a node's agent hands on, on the node's thread. For nodes
  /// that are started afterwards.
  void on_routes(std::function<void(std::size_t, const ingress::route_table&)> take) {
    on_routes_ = std::move(take);
  }

  /// What a host is started with, in the process of its node.
  struct host_start {
    std::size_t index = 0; ///< of the node
    caf::actor_system& system;
    host_id id;
    node::flow_order flow;
    queue::handle queue; ///< the head's, over the node's link; what was asked fails when that closes
    host::node_handle owner;
  };
  /// Real hosts: what `make` returns ends as a process does. For hosts that are started afterwards.
  void on_host(std::function<host::handle(const host_start&)> make) { make_host_ = std::move(make); }
  bool is_alive(host_id host) const { return hosts_.contains(host); }

  /// Does something in the process of a node after `delay`; not while that stands still, nor once it is gone.
  void call_on(std::size_t index, duration delay, std::function<void()> what);

  std::uint64_t starts_of(std::size_t index) const { return nodes_[index].starts; } ///< of the node's process
  std::uint64_t seed() const { return settings_.seed; }

  // ---- time

  /// Does something of a test's own after `delay`.
  void call_in(duration delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }

  time_point now() const { return now_; }
  void run_for(duration length);

  /// Runs until `done` holds, looked at every 50 ms; returns how long that took, or
  /// nothing when it did not come to hold within `most`.
  std::optional<duration> run_until(const std::function<bool()>& done, duration most);

  // ---- what a person asks of the head

  /// Asks and runs the world until the answer is there.
  template <class Reply, class Request>
  result<Reply> ask(Request request) {
    if (!head_.process)
      return fail(errc::unavailable, "the head is down");
    sync(head_);
    auto cell = head_.process->system.template ask_later<Reply>(head_.cluster, std::move(request));
    settle(head_);
    if (!run_until([&] { return cell->has_value(); }, std::chrono::seconds{30}))
      return fail(errc::timeout, "no answer within 30 s");
    return std::move(**cell);
  }

  std::shared_ptr<const cluster::cluster_view> view();
  const cluster::flow_view* flow(const std::string& name); ///< of a view kept until the next call; or null

  result<cluster::submit_reply> submit(const std::string& flow, std::uint32_t replicas, double cpus = 1,
                                       std::vector<std::string> args = {});

  // ---- what is really there

  std::vector<const sim_host*> hosts() const; ///< living ones, on nodes that are up
  std::size_t count(const std::string& flow, std::uint64_t version, host::replica_phase phase) const;
  std::size_t hosts_started_count() const { return hosts_started_count_; }

  /// Compares what the head wants with what runs; says what differs, empty if nothing does.
  std::string difference();

  /// A replica id that two processes run, empty if there is none.
  std::string double_owner() const;

  const std::vector<queue::release_request>& releases() const { return releases_; }
  fake_cluster_store& store() { return *store_; }
  fake_queue_store& queue_store() { return *queue_store_; }

  /// Digest of all that happened so far.
  std::uint64_t trace() const { return trace_; }

private:
  class launcher;
  friend class launcher;

  struct process_box {
    deterministic_system system;
  };
  struct end {
    std::unique_ptr<process_box> process;
    bool is_paused = false;
    std::optional<time_point> due; ///< as filed in `due_`
    std::size_t number = 0;        ///< 0 = head, nodes from 1
  };
  struct head_end : end {
    cluster::handle cluster;
    queue::handle queues;
  };
  struct node_end : end {
    double cpus = 0;
    incarnation started;
    std::uint64_t starts = 0;
    node::agent_handle agent;
    std::shared_ptr<launcher> hosts;
    queue::handle queues; ///< stands for the head's
    // its link to the head
    bool is_open = false;
    bool is_cut = false;
    std::uint64_t epoch = 0;
    std::uint64_t stall = 0; ///< counts cuts and pauses
    time_point last_up;      ///< keeps the order of what is under way to the head
    time_point last_down;
    std::vector<std::pair<bool, std::function<void()>>> held;
    bool is_connecting = false;
  };

  using work = std::function<void()>;

  std::uint64_t draw(std::uint64_t below);
  duration draw_delay();
  void note(std::string_view what, std::uint64_t a = 0, std::uint64_t b = 0);

  void at(time_point when, work what);
  void sync(end& where);
  void settle(end& where); ///< runs what is runnable there and files its next timer
  void step(time_point until);
  bool step_one(time_point until);

  void carry(std::size_t index, bool to_head, work deliver);
  void connect(std::size_t index);
  void connect_later(std::size_t index);
  void close(std::size_t index, duration head_learns_after);
  void begin_stall(std::size_t index);
  void enrol(std::size_t index, std::uint64_t epoch, const node::node_info& info,
             std::function<void(result<cluster::registered>)> answer);
  void bury(end& where);

  node::handle make_agent_proxy(std::size_t index, std::uint64_t epoch);
  cluster::node_facing_handle make_head_proxy(std::size_t index, std::uint64_t epoch);
  queue::handle make_queue_proxy(std::size_t index);
  void start_queues();
  template <class Reply, class Self, class Request>
  caf::typed_response_promise<Reply> relay(Self self, std::size_t index, const Request& request);

  sim_settings settings_;
  std::mt19937_64 random_;
  time_point now_{};
  std::uint64_t sequence_ = 0;
  std::map<std::pair<time_point, std::uint64_t>, work> agenda_;
  std::set<std::pair<time_point, std::size_t>> due_; ///< next timer of each process
  std::shared_ptr<fake_cluster_store> store_ = std::make_shared<fake_cluster_store>();
  std::shared_ptr<fake_queue_store> queue_store_ = std::make_shared<fake_queue_store>();
  std::vector<queue::release_request> releases_;
  std::vector<std::unique_ptr<process_box>> graveyard_; ///< promises and proxies may still point there
  head_end head_;
  std::vector<node_end> nodes_;
  std::map<host_id, std::unique_ptr<sim_host>> hosts_;
  std::size_t hosts_started_count_ = 0;
  std::function<void(std::size_t, const ingress::route_table&)> on_routes_;
  std::function<host::handle(const host_start&)> make_host_;
  std::uint64_t trace_ = 14695981039346656037ull;
  std::shared_ptr<const cluster::cluster_view> last_view_;
};

} // namespace sluice::testing
