#pragma once

#include "transport/store/queue_store_rows.hpp"
#include "transport/store/queue_store_segments.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace sluice::store {

/// What the small tables do not say yet, because the segments of the last writes do.
///
/// A write that only appends stores its segments and nothing else: one page to sync instead of three, which is most of what a
/// small one costs. The rows of its queues and the marks of its producers, which its first segment carries meanwhile, are stored
/// with the next write of another kind, and after some writes at the latest. A row therefore counts what stands up to
/// its `seq_last`, and all segments above are whole: who opens the store counts those, and reads the marks in them.
class row_lag {
public:
  row_lag(row_table& rows, segment_table& segments) : rows_(rows), segments_(segments) {}

  /// Whether the tables need not be touched for it.
  bool may_take(const queue::write_batch& batch) const;
  /// What the first segment of such a write carries.
  std::string marks_of(const queue::write_batch& batch) const;
  /// It is on disk.
  void take(const queue::write_batch& batch);

  /// In a transaction of another kind, before its own changes: all that lags goes with it.
  void store(std::uint64_t& producer_use);
  /// That is on disk.
  void clear();

  /// When the store is opened: brings the rows in memory up to date, and finds the marks. Returns a segment that fails
  /// its check, and was passed over.
  std::optional<damaged_segment> find();

  /// Puts the marks of the last writes in the places of those that the table has, behind all others.
  void add_producers(std::vector<queue::producer_mark>& to) const;

  /// Whether `find` has met marks that fail their check.
  bool has_lost_marks() const noexcept { return has_lost_marks_; }

private:
  row_table& rows_;
  segment_table& segments_;
  std::set<std::int64_t> queues_;
  std::vector<queue::producer_mark> producers_; ///< of each the newest comes last
  std::size_t writes_ = 0;
  bool has_lost_marks_ = false;
};

} // namespace sluice::store
