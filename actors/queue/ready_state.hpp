#pragma once

#include "actors/queue/queue_store_port.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace sluice::queue {

/// Neighbouring records of one history.
struct run {
  seq_range where;
  std::uint32_t attempts = 0;
  wall_time appended_at;

  friend bool operator==(const run&, const run&) = default;
};

/// Records taken off a queue together; `runs` says the same as `records` in short.
struct taken {
  record_block records;
  std::vector<run> runs;
};

/// The front of a queue in memory: a position and the blocks that come after it.
///
/// A backlog may be larger than memory, so only a window of it is held:
///
///     settled or leased | blocks held here | stored, not held | appended next
///                     taken_to          known_to           seq_last
///
/// Everything above `taken_to` is ready. What is appended stays in memory only while
/// the window reaches the end of the queue; otherwise it is read again when the
/// window gets there. Pure: no clock, no store.
class ready_state {
public:
  std::uint64_t taken_to() const noexcept { return taken_to_; }
  std::uint64_t known_to() const noexcept { return known_to_; }
  std::size_t count() const noexcept { return count_; }
  std::size_t size_bytes() const noexcept { return size_bytes_; }

  /// When the first held record was appended; nothing if none is held.
  std::optional<wall_time> oldest_at() const;

  /// Adds records that follow `known_to`, which becomes `last`. The block may be
  /// empty: then everything up to `last` is known to be gone.
  void add(record_block records, std::uint64_t last, wall_time appended_at);

  /// Takes at most `count_max` records and `size_bytes_max` payload bytes, but at
  /// least one record if any is held. @pre `count_max > 0`
  taken take(std::size_t count_max, std::size_t size_bytes_max);

  /// Forgets blocks from the far end until at most `size_bytes_max` bytes are held.
  /// They will have to be read again.
  void shrink(std::size_t size_bytes_max);

  /// Forgets everything held and continues after `seq`.
  void reset(std::uint64_t seq);

private:
  struct held {
    record_block records;
    record_block::iterator at;
    std::size_t count = 0;      ///< from `at` on
    std::size_t size_bytes = 0; ///< from `at` on
    wall_time appended_at;
  };

  void move_out(held& from, std::size_t count_max, std::size_t& size_left, record_block_builder& to,
                std::vector<run>& runs);

  std::deque<held> blocks_;
  std::uint64_t taken_to_ = 0;
  std::uint64_t known_to_ = 0;
  std::size_t count_ = 0;
  std::size_t size_bytes_ = 0;
};

/// Adds one record to `runs`, joined to the last one where it fits.
void extend(std::vector<run>& runs, std::uint64_t seq, std::uint32_t attempts, wall_time appended_at);

} // namespace sluice::queue
