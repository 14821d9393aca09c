#pragma once

#include "actors/batch/batch_port.hpp"

#include <sluice/core/result.hpp>
#include <sluice/log.hpp>
#include <sluice/processor/body.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace sluice::batch {

/// What the threads of one replica share with it while they work.
struct split_signals {
  std::atomic<bool> stop{false}; ///< leave at the next record
  std::atomic<std::uint64_t> records{0};
  std::atomic<std::uint64_t> failed_attempts{0};
};

/// How one thread works on one split.
struct split_settings {
  std::shared_ptr<processor_body> body;
  std::shared_ptr<files_port> files;
  std::shared_ptr<environment_port> environment;
  std::shared_ptr<split_signals> signals;
  log::speaker who;                     ///< in whose name the thread writes to the log
  replica::flight_slot* slot = nullptr; ///< the thread's own
  std::uint64_t seq = 0;                ///< of the split in its queue: what a crash is blamed on
  std::uint32_t attempts_max = 1;       ///< of a record
  std::uint32_t num_concurrency = 1;    ///< records at once, of an async body
  std::chrono::milliseconds timeout{0}; ///< per record, of an async body; 0 = none
  std::uint64_t rejected_max = 0;       ///< one more is a failure
};

/// A split whose results are in their place.
struct split_result {
  split_outcome counts;
  std::vector<record_block> results; ///< for a sink that is a queue
};

/// Reads, processes and writes one split on the calling thread, which it keeps until the end. A record that
/// throws is tried again, after a pause that doubles; after `attempts_max` times, or at once if it does not
/// decode, it is rejected.
///
/// Fails with `shutting_down` when stopped, with `invalid_argument` when more records are rejected than may be,
/// which no repeat can help, and otherwise with what may go better another time.
result<split_result> run_split(const split& which, const split_settings& with);

} // namespace sluice::batch
