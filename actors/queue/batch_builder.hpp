#pragma once

#include "actors/queue/queue_store_port.hpp"

#include <cstdint>
#include <map>
#include <string_view>

namespace sluice::queue {

/// Collects the records of many requests into few segments, giving out their seqs.
///
/// Requests of all sizes come together in one write; what goes to one queue is laid
/// end to end, in the order it was added. Pure; used once.
class batch_builder {
public:
  explicit batch_builder(wall_time now) { batch_.now = now; }

  /// Adds all `records` to the end of a queue whose last seq is `seq_last`, which is
  /// believed the first time a queue is named.
  void append(const queue_name& queue, std::uint64_t seq_last, const record_block& records);

  /// The same for one record.
  void append(const queue_name& queue, std::uint64_t seq_last, std::string_view payload);

  /// The write so far, for everything that is not an append.
  write_batch& batch() noexcept { return batch_; }

  /// Returns the whole write.
  write_batch finish();

private:
  struct open_segment {
    std::uint64_t first_seq = 1;
    std::uint64_t seq_next = 1;
    record_block_builder records;
  };

  open_segment& open(const queue_name& queue, std::uint64_t seq_last);
  void add(const queue_name& queue, open_segment& to, std::string_view payload);
  void close(const queue_name& queue, open_segment& what);

  write_batch batch_;
  std::map<queue_name, open_segment> open_;
};

} // namespace sluice::queue
