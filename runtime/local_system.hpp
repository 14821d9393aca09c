#pragma once

#include "runtime/local.hpp"
#include "runtime/local_losses.hpp"
#include "runtime/run_actors.hpp"
#include "transport/store/queue_store_thread.hpp"
#include "transport/work/worker_threads.hpp"
#include "actors/collect/collectors.hpp"
#include "actors/host/host_protocol.hpp"
#include "actors/ingress/target_port.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <sluice/core/result.hpp>

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::runtime {

/// The actors of a flow that runs by hand: the embedded queue and one host.
///
/// There is no cluster and no node actor: nothing has to be placed, restarted or fetched, and a list of
/// replicas that never changes until it becomes empty is all that they would come to. The host,
/// its replicas, the queue and its store are those of a cluster.
///
/// Used by one thread. `end` it before it goes.
class local_system {
public:
  /// Opens the queues of `state_dir`. Fails when another process has them, and as `prepare_run_dir` does. With `to_run`,
  /// the flow that is to be started: what its last run died of counts, and `told` gets sentences about it.
  static result<std::unique_ptr<local_system>> open(const std::filesystem::path& state_dir,
                                                    const flow_spec* to_run = nullptr,
                                                    std::vector<std::string>* told = nullptr);
  /// The same for what is there; makes nothing. Fails with `not_found` if nothing has run there.
  static result<std::unique_ptr<local_system>> open_to_look(const std::filesystem::path& state_dir);
  ~local_system();

  /// Starts `num_replicas` replicas of every processor; its batches are at their `run`th run. Wakes who waits for
  /// signals with each report.
  void start(const local_options& opts, std::uint64_t run);

  /// After `start`: its replicas, as they are asked for.
  std::vector<std::pair<processor_name, replica_id>> replicas() const;
  ingress::target_ptr target_of(replica_id replica) const { return targets_->find(replica); }

  /// Takes nothing more.
  void drain();

  /// After `drain`: all replicas are down, and `report` has their last numbers.
  bool is_drained() const;

  /// The newest report, or none before the first.
  std::optional<host::host_report> report() const;
  std::uint64_t report_count() const; ///< how many there were
  result<std::vector<queue::queue_stat>> stats();
  /// The stored position `key`; empty = none.
  result<std::string> position(const std::string& key);
  result<std::vector<std::string>> peek(const queue_name& name, std::uint64_t& after_seq);
  /// Some dead letters behind `after_id`, oldest first; none at the end.
  result<std::vector<queue::dead_letter>> dead_letters(std::uint64_t after_id);
  /// Puts the dead letters of a queue back; returns how many.
  result<std::uint64_t> requeue(const queue_name& name);

  /// Records that became dead letters at the start, for what the last run died of.
  std::size_t buried_count() const noexcept { return buried_count_; }

  /// Of what is in user code; none while nothing is to be run.
  std::shared_ptr<const process::flight_recorder> recorder() const { return recorder_; }
  /// Before the process ends without `end`: a replica has a call that takes longer than `timeout`, which counts an attempt
  /// at the next start. False if it has returned meanwhile.
  bool blame_hung(replica_id replica, std::chrono::milliseconds timeout);
  /// Before the process ends without `end`: what is in user code counts nothing.
  void blame_nobody();

  /// Set when the disk failed: nothing can be settled any more.
  std::optional<failure> broken() const;

  queue::handle queues() const;
  /// Of collectors whose sink is a queue.
  const std::shared_ptr<collect::collectors>& collectors() const noexcept { return collectors_; }
  caf::actor_system& actors() noexcept { return sys_; }

  /// Ends all actors and closes the store. False: a call into user code does not return, and the process
  /// must leave without running destructors.
  bool end();

private:
  local_system(std::unique_ptr<queue::store_port> store, std::shared_ptr<process::flight_recorder> recorder);

  struct shared {
    mutable std::mutex mutex;
    std::optional<host::host_report> report;
    std::uint64_t report_count = 0;
    std::optional<failure> broken;
  };

  template <class Reply, class Request>
  result<Reply> ask(Request request);

  std::shared_ptr<shared> shared_ = std::make_shared<shared>();
  std::shared_ptr<ingress::local_targets> targets_ = std::make_shared<ingress::local_targets>();
  std::shared_ptr<process::flight_recorder> recorder_; ///< none while nothing is to be run
  std::shared_ptr<work::worker_threads> threads_;
  std::shared_ptr<store::queue_store_thread> store_;
  actor_config config_;
  caf::actor_system sys_{config_};
  caf::scoped_actor self_{sys_};
  queue::admin_handle queue_;
  std::shared_ptr<collect::collectors> collectors_; ///< shared with the threads that bring requests
  host::node_handle owner_;
  host::handle host_;
  host::desired_replicas desired_;
  std::size_t buried_count_ = 0;
  bool ended_ = false;
};

} // namespace sluice::runtime
