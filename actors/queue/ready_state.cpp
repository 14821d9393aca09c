#include "actors/queue/ready_state.hpp"

#include <algorithm>
#include <utility>

namespace sluice::queue {

namespace {

std::size_t stored_size(const record_view& record) noexcept {
  return record.payload.size() + record_overhead_bytes;
}

} // namespace

void extend(std::vector<run>& runs, std::uint64_t seq, std::uint32_t attempts, wall_time appended_at) {
  if (!runs.empty()) {
    auto& last = runs.back();
    if (last.where.last + 1 == seq && last.attempts == attempts && last.appended_at == appended_at) {
      last.where.last = seq;
      return;
    }
  }
  runs.push_back({{seq, seq}, attempts, appended_at});
}

std::optional<wall_time> ready_state::oldest_at() const {
  if (blocks_.empty())
    return std::nullopt;
  return blocks_.front().appended_at;
}

void ready_state::add(record_block records, std::uint64_t last, wall_time appended_at) {
  known_to_ = std::max(known_to_, last);
  if (records.empty())
    return;
  auto size = records.bytes().size();
  auto count = records.count();
  blocks_.push_back({std::move(records), {}, count, size, appended_at});
  blocks_.back().at = blocks_.back().records.begin();
  count_ += count;
  size_bytes_ += size;
}

taken ready_state::take(std::size_t count_max, std::size_t size_bytes_max) {
  taken out;
  if (blocks_.empty())
    return out;
  auto& front = blocks_.front();
  const bool untouched = front.count == front.records.count();
  const bool whole = untouched && front.count <= count_max
                     && front.size_bytes <= size_bytes_max + front.count * record_overhead_bytes
                     && (front.count == count_max || blocks_.size() == 1);
  if (whole) { // the block is handed on as it is
    for (auto record : front.records)
      extend(out.runs, record.seq, record.attempts, front.appended_at);
    out.records = std::move(front.records);
    count_ -= front.count;
    size_bytes_ -= front.size_bytes;
    blocks_.pop_front();
  } else {
    record_block_builder builder;
    auto size_left = size_bytes_max;
    builder.reserve(std::min(size_bytes_, std::min(size_bytes_max, front.size_bytes)));
    while (!blocks_.empty() && builder.count() < count_max) {
      auto before = builder.count();
      move_out(blocks_.front(), count_max, size_left, builder, out.runs);
      if (blocks_.front().count == 0)
        blocks_.pop_front();
      else if (builder.count() == before || size_left == 0)
        break;
    }
    out.records = builder.finish();
  }
  taken_to_ = blocks_.empty() ? known_to_ : out.runs.back().where.last;
  return out;
}

void ready_state::move_out(held& from, std::size_t count_max, std::size_t& size_left,
                           record_block_builder& to, std::vector<run>& runs) {
  while (from.count > 0 && to.count() < count_max) {
    auto record = *from.at;
    if (to.count() > 0 && record.payload.size() > size_left) {
      size_left = 0;
      return;
    }
    to.add(record.seq, record.attempts, record.payload);
    extend(runs, record.seq, record.attempts, from.appended_at);
    size_left -= std::min(size_left, record.payload.size());
    auto size = stored_size(record);
    ++from.at;
    --from.count;
    from.size_bytes -= size;
    --count_;
    size_bytes_ -= size;
  }
}

void ready_state::shrink(std::size_t size_bytes_max) {
  while (!blocks_.empty() && size_bytes_ > size_bytes_max) {
    auto& last = blocks_.back();
    known_to_ = (*last.at).seq - 1;
    count_ -= last.count;
    size_bytes_ -= last.size_bytes;
    blocks_.pop_back();
  }
}

void ready_state::reset(std::uint64_t seq) {
  blocks_.clear();
  taken_to_ = known_to_ = seq;
  count_ = size_bytes_ = 0;
}

} // namespace sluice::queue
