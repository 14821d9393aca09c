#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace sluice::node {

/// What a process used up to now.
struct process_sample {
  std::uint64_t memory_bytes = 0;       ///< resident
  std::chrono::nanoseconds cpu_time{0}; ///< user and system, since the process began
};

struct machine_sample {
  std::uint64_t memory_used_bytes = 0;
  std::chrono::nanoseconds cpu_time{0}; ///< all cores, not idle, since the machine began
};

/// Measures memory and processors. Called on the agent's actor at each tick, so it
/// must answer from memory (`/proc`), never from a disk.
class resource_port {
public:
  virtual ~resource_port() = default;

  /// Nothing when the process is gone.
  virtual std::optional<process_sample> sample_process(std::int64_t pid) = 0;

  virtual machine_sample sample_machine() = 0;
};

} // namespace sluice::node
