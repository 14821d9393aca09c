#pragma once

#include "runtime/run_options.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <sluice/core/result.hpp>

#include <caf/actor_system.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace sluice::runtime {

/// Puts files into queues, on a thread of its own, block by block; each waits until the one before is on disk.
///
/// Blank lines are no records. Destroying it stops it at the next block or line.
class local_feed {
public:
  local_feed(caf::actor_system& sys, queue::handle to, std::vector<queue_feed> feeds);
  ~local_feed();
  local_feed(const local_feed&) = delete;
  local_feed& operator=(const local_feed&) = delete;

  bool is_done() const noexcept { return shared_->done.load(); }
  std::uint64_t count() const noexcept { return shared_->count.load(); }

  /// Why it ended before its time. Only once it is done.
  const std::optional<failure>& error() const noexcept { return shared_->error; }

  /// Takes nothing more. A read from a terminal or pipe may still be under way.
  void stop() noexcept { shared_->stopped = true; }

private:
  struct shared {
    std::atomic<bool> done{false};
    std::atomic<bool> stopped{false};
    std::atomic<std::uint64_t> count{0};
    std::optional<failure> error;
  };
  std::shared_ptr<shared> shared_;
  std::thread thread_;
};

} // namespace sluice::runtime
