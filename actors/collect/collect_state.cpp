#include "actors/collect/collect_state.hpp"

#include "actors/replica/replica_policy.hpp"
#include "actors/replica/replica_state.hpp"

#include <algorithm>
#include <utility>

namespace sluice::collect {

namespace {

/// A write that is out may be repeated for as long as its clients wait, so soon.
constexpr std::chrono::milliseconds store_backoff_max{1000};

} // namespace

collect_state::collect_state(bool keyed, std::uint64_t seed) : keyed_(keyed), random_(seed) {}

void collect_state::add(std::uint64_t call, record_block records, idempotency sent, time_point deadline) {
  size_bytes_ += records.bytes().size();
  waiting_.push_back({call, std::move(records), keyed_ ? std::move(sent) : idempotency{}, deadline});
}

// A key's write is its own, whatever else waits: the repeat of a client must meet the same one.
void collect_state::cut_keyed() {
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    if (at->sent.key.empty()) {
      ++at;
      continue;
    }
    collect_group made;
    made.seq = 1;
    made.key = std::move(at->sent.key);
    made.fingerprint = at->sent.fingerprint;
    made.records = std::move(at->records);
    made.calls = {at->call};
    groups_.emplace(next_group_++, std::move(made));
    at = waiting_.erase(at);
  }
}

void collect_state::cut() {
  collect_group made;
  std::size_t count = 0;
  std::size_t size_bytes = 0;
  auto end = waiting_.begin();
  for (; end != waiting_.end(); ++end) {
    const bool fits = count + end->records.count() <= replica::group_count_max
                      && size_bytes + end->records.bytes().size() <= replica::group_bytes_max;
    if (!fits && count > 0)
      break;
    count += end->records.count();
    size_bytes += end->records.bytes().size();
    made.calls.push_back(end->call);
  }
  made.seq = ++seq_last_;
  if (made.calls.size() == 1)
    made.records = std::move(waiting_.front().records);
  else {
    record_block_builder all;
    all.reserve(size_bytes);
    for (auto at = waiting_.begin(); at != end; ++at)
      all.add(at->records);
    made.records = all.finish();
  }
  waiting_.erase(waiting_.begin(), end);
  groups_.emplace(next_group_++, std::move(made));
}

std::vector<std::uint64_t> collect_state::next(time_point now) {
  cut_keyed();
  const bool has_one =
    std::any_of(groups_.begin(), groups_.end(), [](const auto& each) { return each.second.key.empty(); });
  if (!has_one && !waiting_.empty())
    cut();
  std::vector<std::uint64_t> due;
  for (auto& [id, group] : groups_) {
    if (group.waiting || now < group.not_before)
      continue;
    group.waiting = true;
    group.sent = now;
    ++group.tries;
    due.push_back(id);
  }
  return due;
}

collect_outcome collect_state::on_stored(std::uint64_t id, const result<void>& outcome, time_point now) {
  collect_outcome out;
  auto found = groups_.find(id);
  if (found == groups_.end())
    return out;
  auto& group = found->second;
  group.waiting = false;
  const bool is_reused = !outcome && !group.key.empty() && outcome.error().code == errc::conflict;
  if (!outcome && !is_reused && replica::is_transient(outcome.error().code)) {
    group.not_before = now
                       + replica::backoff_delay(group.tries, replica::next_random(random_),
                                                replica::backoff_min, store_backoff_max);
    return out;
  }
  if (outcome)
    out.stored = std::move(group.calls);
  else {
    out.failed = std::move(group.calls);
    out.why = outcome.error();
    if (is_reused)
      out.reused_key = std::move(group.key);
  }
  size_bytes_ -= std::min(size_bytes_, group.records.bytes().size());
  groups_.erase(found);
  return out;
}

std::vector<std::uint64_t> collect_state::unanswered(time_point now,
                                                     std::chrono::nanoseconds wait_max) const {
  std::vector<std::uint64_t> late;
  for (const auto& [id, group] : groups_)
    if (group.waiting && now - group.sent >= wait_max)
      late.push_back(id);
  return late;
}

bool collect_state::is_out() const noexcept {
  return std::any_of(groups_.begin(), groups_.end(),
                     [](const auto& each) { return each.second.waiting && each.second.key.empty(); });
}

bool collect_state::is_retrying() const noexcept {
  return std::any_of(groups_.begin(), groups_.end(),
                     [](const auto& each) { return each.second.tries > (each.second.waiting ? 1u : 0u); });
}

std::vector<std::uint64_t> collect_state::take_late(time_point now) {
  std::vector<std::uint64_t> late;
  std::erase_if(waiting_, [&](const waiting_call& each) {
    if (now < each.deadline)
      return false;
    late.push_back(each.call);
    size_bytes_ -= std::min(size_bytes_, each.records.bytes().size());
    return true;
  });
  return late;
}

} // namespace sluice::collect
