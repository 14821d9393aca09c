#pragma once

#include "transport/process/exit_report.hpp"
#include "transport/process/group_watch.hpp"
#include "transport/process/spawn.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

namespace sluice::process {

/// Starts children and learns of their end at once, through a pidfd.
///
/// All are started from one thread that lives as long as the supervisor: the kernel kills
/// them when that thread ends, however it does. Each leads a process group, and what it started
/// itself ends with it (`group_watch`). So a node that is killed leaves none.
class supervisor {
public:
  struct order {
    spawn_options options;
    std::vector<unique_fd> owned; ///< descriptors that `options` names; closed once the child has them
    std::function<void(const result<pid_t>&)> on_started;
    std::function<void(const exit_status&)> on_exited; ///< once, if it started
  };

  supervisor() : supervisor(std::chrono::milliseconds{0}, nullptr) {}
  /// @param on_tick runs on the supervisor's thread every `interval`; none = nothing does
  supervisor(std::chrono::milliseconds interval, std::function<void()> on_tick);

  /// Kills all children and waits for their ends, which are still told.
  ~supervisor();
  supervisor(const supervisor&) = delete;
  supervisor& operator=(const supervisor&) = delete;

  /// Callbacks run on the supervisor's thread and must not block. Any thread.
  void start(std::uint64_t key, order what);

  /// Takes effect after an earlier `start`; nothing if the child is gone. Any thread.
  void signal(std::uint64_t key, int number);

private:
  struct entry;

  void start_now(std::uint64_t key, order& what);
  void reap(std::uint64_t key);
  void wait_for_tick();
  void stop();

  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::map<std::uint64_t, std::unique_ptr<entry>> children_; ///< on the thread only
  bool stopping_ = false;
  std::chrono::milliseconds interval_;
  std::function<void()> on_tick_;
  boost::asio::steady_timer ticks_{io_};
  std::unique_ptr<group_watch> watch_; ///< none where it could not be made
  std::thread thread_;
};

} // namespace sluice::process
