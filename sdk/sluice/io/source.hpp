#pragma once

#include <sluice/core/record_block.hpp>
#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// What stands at the origin and is no record: it goes to the dead letters, user code never sees it.
struct refused_record {
  std::uint64_t seq = 0; ///< among those of the records
  std::string payload;
  std::string why; ///< in the words of the source: where it stands and which rule it breaks
};

/// What one pull brought. `end` = the source is exhausted and will give no more.
struct pulled {
  record_block records;
  bool end = false;
  std::vector<refused_record> refused = {}; ///< ascending, as the records are
  std::string mark = {};                    ///< of the seqs of this pull; see `source_position`
};

/// Where reading goes on. `mark` is the source's own text, without blanks, by which it knows that what it finds is still that which
/// it read; it is stored with the seq of a record and comes with it. Empty = nothing to compare.
struct source_position {
  source_position(std::uint64_t at = 0, std::string known_by = {}) // NOLINT(google-explicit-constructor)
    : seq(at), mark(std::move(known_by)) {}

  std::uint64_t seq; ///< of the last record that is settled; 0 = from the beginning
  std::string mark;
};

/// Where a processor's records come from when it is not the built-in queue.
/// Delivery is at least once.
///
/// One replica owns one source and calls it from one thread; an implementation
/// needs no locks. Every record carries a `seq` that grows and from which reading
/// can resume; the replica stores the highest seq below which everything is settled, with the mark of its pull,
/// and gives both to `open` after a restart.
class source {
public:
  virtual ~source() = default;

  /// Called first, and again while it fails.
  virtual result<void> open(const source_position& after) = 0;

  /// Waits at most `wait_max` for at most `count_max` records. An empty block is no
  /// failure. A failure means "try again later" unless its code is
  /// `invalid_argument` or `not_found`, which end the replica.
  virtual result<pulled> pull(std::uint32_t count_max, std::chrono::milliseconds wait_max) = 0;

  /// Whether reading can resume at a stored seq. A source without a position, for
  /// example a timer, still gives every record a seq of its own.
  virtual bool has_position() const noexcept { return true; }

  /// Everything up to `seq` is settled and its position stored.
  virtual void settled(std::uint64_t /*seq*/) {}

  /// Records waiting at the origin, or nullopt where it cannot tell.
  virtual std::optional<std::uint64_t> backlog_count() { return std::nullopt; }
};

} // namespace sluice
