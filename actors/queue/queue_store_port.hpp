#pragma once

#include "actors/queue/queue_protocol.hpp"

#include <sluice/core/result.hpp>

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

namespace sluice::queue {

/// One record taken off a queue: forgotten, or moved to the dead letters.
struct removal {
  queue_name queue;
  std::uint64_t seq = 0;
};

/// One record that will be tried again: its attempts survive a restart.
struct attempt_update {
  queue_name queue;
  std::uint64_t seq = 0;
  std::uint32_t attempts = 0;
};

/// One record moved to the dead letters; `payload` only where `queue` is empty,
/// otherwise the store moves the stored one.
struct grave {
  removal where;
  consumer_id consumer;
  std::uint32_t attempts = 0;
  std::string error;
  std::string payload;
};

/// A set of changes that are stored together or not at all. The queue actor has
/// decided all of them; the store decides nothing but the two checks named here.
struct write_batch {
  struct append {
    queue_name queue;
    record_block records;
    std::string producer;           ///< with `producer_seq` != 0: skipped when not above the stored one
    std::uint64_t producer_seq = 0;
  };
  std::vector<append> appends;
  std::vector<removal> removals;
  std::vector<attempt_update> attempts;
  std::vector<grave> graves;
  std::vector<cursor_move> cursors; ///< already checked against `cursor()`
};

/// What a stored batch did.
struct write_outcome {
  /// Per entry of `appends`: the records as stored, with their new seq (the
  /// payload shares nothing with the input), or none when it was a repeat.
  std::vector<std::uint64_t> first_seqs; ///< 0 = repeat, nothing stored
};

struct stored_queue {
  queue_name name;
  std::uint64_t count = 0;
  std::uint64_t dead_count = 0;
  std::uint64_t seq_last = 0;
};

/// Durable memory of the queues. Seqs grow by one within a queue and are never
/// used twice. Implemented by SQLite (`transport/store`) and by a fake in memory.
///
/// Called by one thread at a time; every call may block on the disk, so the queue
/// actor calls it through `store_runner_port`.
class store_port {
public:
  virtual ~store_port() = default;

  /// Counts one more opening and returns it: the epoch of all leases until the next.
  virtual std::uint64_t epoch() const = 0;

  virtual std::vector<stored_queue> queues() = 0;

  /// Stores the batch and syncs it to disk. On failure nothing of it is stored.
  virtual result<write_outcome> write(const write_batch& batch) = 0;

  /// Reads up to `count_max` records or `size_bytes_max` bytes (at least one) with
  /// seq > `after_seq`, in order.
  virtual result<record_block> read(const queue_name& queue, std::uint64_t after_seq,
                                    std::uint32_t count_max, std::uint32_t size_bytes_max) = 0;

  /// Reads single records by seq; those that are gone are left out.
  virtual result<record_block> read(const queue_name& queue,
                                    const std::vector<std::uint64_t>& seqs) = 0;

  /// When the oldest record with seq >= `seq` was appended, wall clock.
  virtual std::optional<std::chrono::system_clock::time_point>
  appended_at(const queue_name& queue, std::uint64_t seq) = 0;

  virtual result<std::string> cursor(const std::string& key) = 0;

  virtual result<std::vector<dead_letter>> dead_letters(const queue_name& queue, std::uint64_t after_id,
                                                        std::uint32_t count_max) = 0;
  /// Returns how many letters went back and to which seqs' end.
  virtual result<std::uint64_t> requeue(const queue_name& queue, const std::vector<std::uint64_t>& ids) = 0;
  virtual result<std::uint64_t> purge_dead_letters(const queue_name& queue) = 0;

  /// Forgets all records with seq <= `seq_max` but those in `keep`.
  virtual result<std::uint64_t> purge(const queue_name& queue, std::uint64_t seq_max,
                                      const std::vector<std::uint64_t>& keep) = 0;
};

/// Runs blocking store work off the actor scheduler, in order, one at a time.
/// Production: one thread. Tests: at once, on the caller.
class store_runner_port {
public:
  virtual ~store_runner_port() = default;
  virtual void run(std::function<void(store_port&)> work) = 0;
};

} // namespace sluice::queue
