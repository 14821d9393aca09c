#include "actors/replica/settle_state.hpp"

#include "actors/replica/replica_policy.hpp"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace sluice::replica {

namespace {

std::size_t size_of(const queue::burial& burial) { return burial.payload.size() + burial.error.size(); }

} // namespace

settle_group leased_settle::cut() {
  assert(!ready_.empty());
  settle_group group;
  std::size_t size_bytes = 0;
  do {
    auto& chunk = ready_.front();
    size_bytes += chunk.results.bytes().size();
    group.acks.insert(group.acks.end(), chunk.acks.begin(), chunk.acks.end());
    std::move(chunk.nacks.begin(), chunk.nacks.end(), std::back_inserter(group.nacks));
    if (!chunk.results.empty())
      group.results.push_back(std::move(chunk.results));
    ready_.pop_front();
  } while (!ready_.empty() && group.count() + ready_.front().count() <= group_count_max
           && size_bytes + ready_.front().results.bytes().size() <= group_bytes_max);
  return group;
}

void ordered_settle::taken(const record_block& records, const std::vector<refused_record>& refused,
                           std::string mark) {
  auto next = refused.begin();
  for (auto record : records) {
    for (; next != refused.end() && next->seq < record.seq; ++next)
      open_.push_back(next->seq);
    open_.push_back(record.seq);
  }
  if (!records.empty()) {
    blocks_.push_back({records, open_.back()});
    held_bytes_ += records.bytes().size();
  }
  for (; next != refused.end(); ++next)
    open_.push_back(next->seq);
  if (!records.empty() || !refused.empty())
    marks_.push_back({open_.back(), std::move(mark)});
}

void ordered_settle::add(const work_done& chunk) {
  auto at = chunk.results.begin();
  const auto end = chunk.results.end();
  for (auto seq : chunk.acks) {
    outcome found{chunk.results, at, 0, std::nullopt};
    for (; at != end && (*at).seq == seq; ++at)
      ++found.count;
    done_.insert_or_assign(seq, std::move(found));
  }
}

void ordered_settle::bury(std::uint64_t seq, queue::burial why) {
  held_bytes_ += size_of(why);
  done_.insert_or_assign(seq, outcome{{}, {}, 0, std::move(why)});
}

std::string_view ordered_settle::payload_of(std::uint64_t seq) const {
  for (const auto& block : blocks_) {
    if (seq <= block.seq_last)
      return find_payload({block.records}, seq);
  }
  return {};
}

/// Finds the sizes of records in the order in which they are given out, in one walk over the blocks.
class ordered_settle::input_cursor {
public:
  explicit input_cursor(const std::deque<kept_block>& blocks) : block_(blocks.begin()), end_(blocks.end()) {
    enter();
  }

  /// 0 for a record that is in no block. @pre seq is not below that of the last call
  std::size_t size_of(std::uint64_t seq) {
    for (; block_ != end_ && block_->seq_last < seq; enter())
      ++block_;
    if (block_ == end_)
      return 0;
    while (at_ != block_->records.end() && (*at_).seq < seq)
      ++at_;
    return at_ != block_->records.end() && (*at_).seq == seq ? (*at_).payload.size() : 0;
  }

private:
  void enter() {
    if (block_ != end_)
      at_ = block_->records.begin();
  }

  std::deque<kept_block>::const_iterator block_;
  std::deque<kept_block>::const_iterator end_;
  record_block::iterator at_;
};

settle_group ordered_settle::cut() {
  settle_group group;
  record_block_builder results;
  input_cursor inputs{blocks_};
  std::size_t burials_bytes = 0;
  std::size_t refusable_bytes = 0; // inputs, buried in place of their results if the sink refuses these
  for (auto at = done_.begin();
       !open_.empty() && at != done_.end() && at->first == open_.front() && group.count() < group_count_max
       && burials_bytes + std::max(results.size_bytes(), refusable_bytes) < group_bytes_max;
       at = done_.erase(at)) {
    auto& found = at->second;
    if (found.burial) {
      burials_bytes += size_of(*found.burial);
      group.burials.push_back(std::move(*found.burial));
    } else
      group.acks.push_back(at->first);
    if (found.count > 0)
      refusable_bytes += inputs.size_of(at->first);
    for (auto record = found.first; found.count > 0; --found.count, ++record)
      results.add((*record).seq, 0, (*record).payload);
    group.position = at->first;
    open_.pop_front();
  }
  while (group.position && marks_.front().seq_last < *group.position)
    marks_.pop_front();
  if (group.position)
    group.mark = marks_.front().mark;
  if (results.count() > 0)
    group.results.push_back(results.finish());
  for (const auto& block : blocks_) {
    if (!group.position || (*block.records.begin()).seq > *group.position)
      break;
    group.inputs.push_back(block.records);
  }
  group.freed_bytes = burials_bytes;
  for (; !blocks_.empty() && group.position && blocks_.front().seq_last <= *group.position;
       blocks_.pop_front())
    group.freed_bytes += blocks_.front().records.bytes().size();
  held_bytes_ -= group.freed_bytes;
  return group;
}

std::string_view find_payload(const std::vector<record_block>& blocks, std::uint64_t seq) {
  for (const auto& block : blocks) {
    for (auto record : block) {
      if (record.seq == seq)
        return record.payload;
    }
  }
  return {};
}

std::optional<queue::burial> retry_state::failed(const queue::nack& why, std::string_view payload,
                                                 time_point now, std::uint32_t random) {
  auto& record = records_[why.seq];
  ++record.attempts;
  if (!why.retry || record.attempts >= attempts_max_) {
    queue::burial burial{std::string{payload}, why.error, record.attempts};
    records_.erase(why.seq);
    return burial;
  }
  record.waiting = true;
  record.due = now + backoff_delay(record.attempts, random, limits::retry_delay_min, limits::retry_delay_max);
  record.payload.assign(payload);
  return std::nullopt;
}

record_block retry_state::due(time_point now) {
  record_block_builder found;
  for (auto& [seq, record] : records_) {
    if (record.waiting && record.due <= now) {
      record.waiting = false;
      found.add(seq, record.attempts, record.payload);
    }
  }
  return found.finish();
}

} // namespace sluice::replica
