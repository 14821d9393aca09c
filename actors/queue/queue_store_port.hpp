#pragma once

#include "actors/queue/queue_protocol.hpp"

#include <sluice/core/result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::queue {

/// Display time. Leases and retries never use it.
using wall_time = std::chrono::system_clock::time_point;

/// Seqs `first` to `last` of one queue, both included.
struct seq_range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  std::uint64_t count() const noexcept { return last - first + 1; }
  friend bool operator==(const seq_range&, const seq_range&) = default;
};

/// A segment is stored and later forgotten as one row, so its size bounds what one
/// record that waits for a retry can hold on disk, and what is read to get it back.
/// One larger record has a segment to itself.
constexpr std::size_t segment_size_bytes_max = 256u << 10;
constexpr std::size_t segment_count_max = 4096;

/// Records that are stored together. Their seqs run on from `first_seq` without a
/// gap and stand in the block as well.
struct segment {
  queue_name queue;
  std::uint64_t first_seq = 0;
  record_block records;
  wall_time appended_at;
};

/// Records to forget. `ranges` are sorted and apart; seqs that are gone are no error.
struct settlement {
  queue_name queue;
  std::vector<seq_range> ranges;
};

/// Attempts of records that stay: they survive a restart.
struct attempt_update {
  queue_name queue;
  seq_range where;
  std::uint32_t attempts = 0;
};

/// One record moved to the dead letters. With a `queue`, the store moves record
/// `seq` and forgets it there; without, the record is `payload`.
struct grave {
  queue_name queue;
  std::uint64_t seq = 0;
  consumer_id consumer;
  std::uint32_t attempts = 0;
  std::string error;
  std::string payload;
};

/// The last request stored for a producer.
struct producer_mark {
  std::string producer;
  std::uint64_t seq = 0;
  std::uint64_t fingerprint = 0; ///< of request `seq`; 0 = it had none
};

/// A set of changes that are stored together or not at all. The queue actor has
/// decided all of them; the store decides nothing. A queue is made by its first segment.
struct write_batch {
  wall_time now;
  std::vector<segment> appends;
  std::vector<settlement> settled;
  std::vector<attempt_update> attempts;
  std::vector<grave> graves;
  std::vector<cursor_move> cursors; ///< already compared with the stored position
  std::vector<producer_mark> producers;
  std::vector<std::string> producers_forgotten;
  std::vector<queue_name> queues_forgotten; ///< before `appends`; one that is not empty after all stays
};

/// How many records and dead letters a queue holds, counted anew because stored
/// bytes failed their check and were set aside.
struct recount {
  queue_name queue;
  std::uint64_t count = 0;
  std::uint64_t dead_count = 0;
  std::uint64_t damaged_count = 0; ///< set aside since the queue was made; letters, too
};

/// How full the store is. `bytes_max` 0 = as large as the disk allows, and `used_bytes` is not known.
struct store_room {
  std::uint64_t used_bytes = 0;
  std::uint64_t bytes_max = 0;
};

struct write_outcome {
  std::vector<recount> recounts;
  store_room room = {}; ///< after the write
};

/// What a read found, oldest first. Settled records are left out, attempts are filled in.
struct read_outcome {
  struct part {
    record_block records;
    wall_time appended_at;
  };
  std::vector<part> parts;
  std::uint64_t seq_last = 0; ///< everything up to here was looked at
  bool at_end = false;        ///< nothing is stored above `seq_last`
  std::vector<recount> recounts;
};

struct letters_outcome {
  std::vector<dead_letter> letters;
  std::vector<recount> recounts;
};

/// One step of moving letters back to their queue: those above `after_id`, up to `id_max`.
struct requeue_step {
  queue_name queue;
  std::vector<std::uint64_t> ids; ///< only these, ascending; empty = all of the queue
  std::uint64_t after_id = 0;
  std::uint64_t id_max = 0; ///< 0 = the newest letter of the queue as it is now
  std::uint64_t first_seq = 0;
  wall_time now;
};

/// Letters that went back to their queue.
struct requeue_outcome {
  std::uint64_t count = 0;
  std::uint64_t id_last = 0; ///< go on above this letter, up to `id_max`
  std::uint64_t id_max = 0;  ///< as asked for, or found
  std::vector<recount> recounts;
};

struct stored_queue {
  queue_name name;
  std::uint64_t count = 0;
  std::uint64_t dead_count = 0;
  std::uint64_t seq_last = 0; ///< the highest ever given
  std::optional<wall_time> oldest_at;
  std::uint64_t damaged_count = 0;
};

/// What the queue actor keeps in memory about the store.
struct contents {
  std::uint64_t epoch = 0; ///< counts openings of the store
  std::vector<stored_queue> queues;
  std::vector<producer_mark> producers; ///< least recently used first
  std::vector<std::pair<std::string, std::string>> cursors;
  store_room room = {};
  std::vector<std::string> damage = {}; ///< found while it was opened: a sentence each
};

/// Durable memory of the queues. Implemented by SQLite (`transport/store`) and by a
/// fake in memory.
///
/// Called by one thread at a time; every call may block on the disk, so the queue
/// actor calls it through `store_runner_port`. A failed call changed nothing. After
/// a failed sync nobody can know what is on disk: the store is `broken`, refuses
/// everything from then on, and the process has to be started anew.
///
/// Stored bytes that fail their check are moved aside, reported by the store's own
/// means and never handed out; the rest stays usable.
class store_port {
public:
  virtual ~store_port() = default;

  virtual result<contents> load() = 0;

  /// Stores the batch and syncs it to disk.
  virtual result<write_outcome> write(const write_batch& batch) = 0;

  /// Reads whole segments from the first record with seq > `after_seq` on, until
  /// `count_max` records or `size_bytes_max` bytes are reached (at least one record).
  virtual result<read_outcome> read(const queue_name& queue, std::uint64_t after_seq, std::size_t count_max,
                                    std::size_t size_bytes_max) = 0;

  /// Reads single records; `seqs` ascend. Those that are gone are left out, and so
  /// are the last ones once `size_bytes_max` is reached (at least one is read):
  /// `seq_last` says how far it came.
  virtual result<read_outcome> read(const queue_name& queue, const std::vector<std::uint64_t>& seqs,
                                    std::size_t size_bytes_max) = 0;

  /// Letters of `queue` (empty = all) with id > `after_id`.
  virtual result<letters_outcome> dead_letters(const queue_name& queue, std::uint64_t after_id,
                                               std::size_t count_max, std::size_t size_bytes_max) = 0;

  /// Moves letters to records from `first_seq` on, at most one segment's worth. Ids grow, so
  /// a letter that is buried again meanwhile has one above `id_max`. A step that moves none is the last.
  virtual result<requeue_outcome> requeue(const requeue_step& what) = 0;

  /// Forgets all letters of `queue`; returns how many.
  virtual result<std::uint64_t> purge_dead_letters(const queue_name& queue) = 0;

  /// Why everything is refused, once it is.
  virtual std::optional<failure> broken() const = 0;
};

/// Runs blocking store work off the actor scheduler, in order, one at a time.
/// Production: one thread. Tests: at once, on the caller.
class store_runner_port {
public:
  virtual ~store_runner_port() = default;
  virtual void run(std::function<void(store_port&)> work) = 0;
  /// Whether some has not begun. By the work itself.
  virtual bool has_work() const = 0;
};

} // namespace sluice::queue
