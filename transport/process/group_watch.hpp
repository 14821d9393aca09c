#pragma once

#include "transport/process/unique_fd.hpp"

#include <memory>
#include <sys/types.h>

namespace sluice::process {

/// Kills the process groups it was told of when this process ends without having done so.
///
/// The kernel kills a host with its node, but not what the host has started itself: that lives on
/// under init. So a small process of its own keeps the list and reads from a pipe whose other end only
/// this process has; when that closes, for whatever reason, all groups on the list are killed. It
/// inherits nothing else and takes no notice of Ctrl-C. What left its group by setsid is not found.
class group_watch {
public:
  /// Returns none where no process can be made; the node does without it then.
  static std::unique_ptr<group_watch> start();

  /// Kills what is still on the list and waits for the watcher's end.
  ~group_watch();
  group_watch(const group_watch&) = delete;
  group_watch& operator=(const group_watch&) = delete;

  /// Never block. One thread at a time.
  void add(pid_t group) noexcept;
  void remove(pid_t group) noexcept; ///< before the group's id can belong to another

private:
  group_watch(pid_t watcher, unique_fd to) : watcher_(watcher), to_(std::move(to)) {}

  pid_t watcher_;
  unique_fd to_;
};

} // namespace sluice::process
