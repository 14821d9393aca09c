#pragma once

#include "transport/process/flight_recorder.hpp"
#include "transport/process/log_collector.hpp"
#include "transport/process/log_store.hpp"
#include "transport/process/oom_watch.hpp"
#include "transport/process/supervisor.hpp"
#include "transport/process/work_thread.hpp"
#include "actors/node/host_launcher_port.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace sluice::process {

struct launcher_options {
  /// Opens the artifact for reading after checking every byte of it against its hash.
  /// Called on a thread that may block; the bytes behind this descriptor are what runs.
  std::function<result<unique_fd>(const artifact_id&)> open_program;

  /// Serves our end of the link to a host that just started: it owns the socket, and
  /// tells `to` of `host_connected`, reports, and `host_unreachable`. Called on the
  /// supervisor's thread; must not block.
  std::function<void(const node::launch_order& order, unique_fd socket, const node::host_observer& to)>
    connect;

  std::filesystem::path work_dir; ///< a host's working directory is `<work_dir>/<flow>`
  std::vector<std::string> env;   ///< "NAME=value", besides the scrubbed environment; no secrets
  int nice = 5;                   ///< so that user load does not delay the node's heartbeats
  int oom_score_adj = 500;
};

/// Runs hosts as child processes; `spawn.hpp` says how they are confined.
///
/// Destroy it before the actor system: it kills every host and still tells their ends.
class process_launcher final : public node::host_launcher_port {
public:
  /// `logs` must outlive the launcher.
  process_launcher(launcher_options options, log_directory& logs);
  ~process_launcher() override;

  bool isolated() const noexcept override { return true; }
  void launch(node::launch_order order, node::host_observer to) override;
  void terminate(host_id host) override;
  void kill(host_id host, std::chrono::milliseconds hung_after, const std::string& why) override;

private:
  struct entry;
  using entry_ptr = std::shared_ptr<entry>;

  void prepare(const entry_ptr& which);
  void on_started(const entry_ptr& which, unique_fd socket, const result<pid_t>& pid);
  void on_exited(const entry_ptr& which, const exit_status& how);
  void give_up(const entry_ptr& which, failure why);
  void forget(const entry_ptr& which);

  launcher_options options_;
  log_directory& logs_;
  std::mutex mutex_; ///< guards `hosts_` and the flags of entries
  std::map<host_id, entry_ptr> hosts_;
  oom_watch oom_watch_{find_oom_counter()}; ///< on the supervisor's thread
  // In this order: the first to go prepares no more, the next kills and reaps, the last
  // has then read every word.
  std::unique_ptr<log_collector> collector_;
  std::unique_ptr<supervisor> supervisor_;
  std::unique_ptr<work_thread> preparer_;
};

} // namespace sluice::process
