#include "actors/queue/batch_builder.hpp"

#include <algorithm>
#include <utility>

namespace sluice::queue {

batch_builder::open_segment& batch_builder::open(const queue_name& queue, std::uint64_t seq_last) {
  auto [it, added] = open_.try_emplace(queue);
  if (added)
    it->second.first_seq = it->second.seq_next = seq_last + 1;
  return it->second;
}

void batch_builder::add(const queue_name& queue, open_segment& to, std::string_view payload) {
  auto size = payload.size() + record_overhead_bytes;
  if (to.records.count() >= segment_count_max
      || (to.records.count() > 0 && to.records.size_bytes() + size > segment_size_bytes_max))
    close(queue, to);
  to.records.add(to.seq_next++, 0, payload);
}

void batch_builder::close(const queue_name& queue, open_segment& what) {
  if (what.records.count() == 0)
    return;
  batch_.appends.push_back({queue, what.first_seq, what.records.finish(), batch_.now});
  what.first_seq = what.seq_next;
}

void batch_builder::append(const queue_name& queue, std::uint64_t seq_last, const record_block& records) {
  auto& to = open(queue, seq_last);
  auto size = to.records.size_bytes() + records.bytes().size();
  to.records.reserve(std::min(size, segment_size_bytes_max));
  for (auto record : records)
    add(queue, to, record.payload);
}

void batch_builder::append(const queue_name& queue, std::uint64_t seq_last, std::string_view payload) {
  add(queue, open(queue, seq_last), payload);
}

write_batch batch_builder::finish() {
  for (auto& [queue, segment] : open_)
    close(queue, segment);
  open_.clear();
  return std::move(batch_);
}

} // namespace sluice::queue
