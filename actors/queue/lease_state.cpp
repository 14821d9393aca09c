#include "actors/queue/lease_state.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <limits>

namespace sluice::queue {

/// One owner's terms and the last sign of life on them.
struct lease_state::holder {
  lease_terms terms;
  time_point renewed_at;
  std::uint64_t count = 0; ///< records leased on these terms

  time_point deadline(const piece& part) const {
    return std::max(part.granted_at, renewed_at) + limits::lease_visibility;
  }
};

std::chrono::nanoseconds retry_delay(std::uint32_t attempts, double jitter) noexcept {
  using ns = std::chrono::nanoseconds;
  auto doublings = std::min(attempts > 0 ? attempts - 1 : 0U, 20U);
  auto longest = std::min<ns>(ns{limits::retry_delay_min} * (1 << doublings), limits::retry_delay_max);
  return ns{static_cast<ns::rep>(static_cast<double>(longest.count()) * std::clamp(jitter, 0.0, 1.0))};
}

bool matches(const owner_id& pattern, const owner_id& owner) noexcept {
  return (pattern.node.empty() || pattern.node == owner.node) && (!pattern.host || pattern.host == owner.host)
         && (!pattern.replica || pattern.replica == owner.replica);
}

std::vector<seq_range> to_ranges(std::vector<std::uint64_t> seqs) {
  if (!std::is_sorted(seqs.begin(), seqs.end()))
    std::sort(seqs.begin(), seqs.end());
  std::vector<seq_range> ranges;
  for (auto seq : seqs) {
    if (ranges.empty() || seq > ranges.back().last + 1)
      ranges.push_back({seq, seq});
    else
      ranges.back().last = seq;
  }
  return ranges;
}

bool contains(const std::vector<seq_range>& ranges, std::uint64_t seq) noexcept {
  auto it = std::upper_bound(ranges.begin(), ranges.end(), seq,
                             [](std::uint64_t s, const seq_range& r) { return s < r.first; });
  return it != ranges.begin() && std::prev(it)->last >= seq;
}

namespace {

std::string cut_error(const std::string& text) {
  return text.size() <= limits::error_text_bytes_max ? text : text.substr(0, limits::error_text_bytes_max);
}

/// How many records a lease may hold that contains this one.
std::size_t company(bool suspect, std::uint32_t attempts, std::uint32_t attempts_max,
                    std::size_t count_max) noexcept {
  if (!suspect || attempts == 0)
    return count_max;
  if (attempts * 2 >= attempts_max)
    return 1;
  return std::max<std::size_t>(1, count_max >> std::min(3 * attempts, 63U));
}

} // namespace

// -- the map of leases

std::shared_ptr<lease_state::holder> lease_state::holder_of(const lease_terms& terms) {
  auto [it, added] = holders_.try_emplace(terms);
  if (added)
    it->second = std::make_shared<holder>(holder{terms, time_point::min(), 0});
  return it->second;
}

void lease_state::insert(piece part) {
  if (part.by->count == 0) // it may have been forgotten meanwhile
    part.by = holders_.try_emplace(part.by->terms, part.by).first->second;
  part.by->count += part.where.count();
  leased_count_ += part.where.count();
  auto first = part.where.first;
  [[maybe_unused]] auto added = leases_.emplace(first, std::move(part)).second;
  assert(added);
}

void lease_state::forget(const piece& part, std::uint64_t count) {
  leased_count_ -= count;
  part.by->count -= count;
  if (part.by->count == 0)
    holders_.erase(part.by->terms);
}

/// Takes what is `wanted` within `where` out of the leases; `missed` gets the rest of it.
template <class Wanted>
void lease_state::cut(seq_range where, Wanted wanted, std::vector<piece>& out,
                      std::vector<std::uint64_t>* missed) {
  auto next = where.first;
  auto miss_until = [&](std::uint64_t end) {
    for (; missed && next < end; ++next)
      missed->push_back(next);
    next = end;
  };
  auto it = leases_.upper_bound(where.first);
  if (it != leases_.begin() && std::prev(it)->second.where.last >= where.first)
    --it;
  while (it != leases_.end() && it->first <= where.last) {
    if (!wanted(it->second)) {
      ++it;
      continue;
    }
    auto old = it->second.where;
    seq_range taken{std::max(old.first, where.first), std::min(old.last, where.last)};
    miss_until(taken.first);
    next = taken.last + 1;
    auto part = it->second;
    part.where = taken;
    forget(part, taken.count());
    auto right = part;
    right.where = {taken.last + 1, old.last};
    if (taken.first > old.first) {
      it->second.where.last = taken.first - 1;
      ++it;
    } else {
      it = leases_.erase(it);
    }
    if (taken.last < old.last) {
      it = leases_.emplace_hint(it, right.where.first, std::move(right));
      ++it;
    }
    out.push_back(std::move(part));
  }
  miss_until(where.last + 1);
}

// -- leasing

void lease_state::grant(const lease_terms& terms, const std::vector<run>& runs, time_point now) {
  auto by = holder_of(terms);
  for (const auto& run : runs) {
    insert({run.where, run.attempts, false, now, run.appended_at, by});
    push_check(now + limits::lease_visibility, run.where);
  }
  if (by->count == 0)
    holders_.erase(terms);
}

taken lease_state::grant_retries(const lease_terms& terms, retry_limits at_most, time_point now) {
  taken out;
  record_block_builder builder;
  std::vector<piece> parts;
  auto count_max = at_most.count_max;
  std::size_t size = 0;
  while (!fetched_.empty() && parts.size() < count_max) {
    auto it = delayed_.find(fetched_.front());
    if (it == delayed_.end() || it->second.at != stage::fetched) {
      fetched_.pop_front(); // purged meanwhile
      continue;
    }
    auto& [seq, record] = *it;
    auto allowed = company(record.suspect, record.attempts, terms.attempts_max, at_most.count_max);
    if (!parts.empty() && (allowed <= parts.size() || size + record.payload.size() > at_most.size_bytes_max))
      break;
    count_max = std::min(count_max, allowed);
    size += record.payload.size();
    builder.add(seq, record.attempts, record.payload);
    extend(out.runs, seq, record.attempts, record.appended_at);
    parts.push_back({{seq, seq}, record.attempts, record.suspect, now, record.appended_at, nullptr});
    delayed_.erase(it);
    fetched_.pop_front();
  }
  out.records = builder.finish();
  if (parts.empty())
    return out;
  auto by = holder_of(terms);
  for (auto& part : parts) {
    part.by = by;
    push_check(now + limits::lease_visibility, part.where);
    insert(std::move(part));
  }
  return out;
}

bool lease_state::renew(const owner_id& owner, time_point now) {
  bool any = false;
  auto it = holders_.lower_bound(lease_terms{owner, {}, 0});
  for (; it != holders_.end() && it->first.owner == owner; ++it) {
    it->second->renewed_at = now;
    any = true;
  }
  return any;
}

bool lease_state::holds(const owner_id& owner, const std::vector<std::uint64_t>& seqs) const {
  for (auto range : to_ranges(seqs))
    for (auto next = range.first; next <= range.last;) {
      auto it = leases_.upper_bound(next);
      if (it == leases_.begin())
        return false;
      const auto& part = std::prev(it)->second;
      if (part.where.last < next || part.by->terms.owner != owner)
        return false;
      next = part.where.last + 1;
    }
  return true;
}

// -- settling

lease_state::verdict lease_state::begin_settle(const owner_id& owner, const std::vector<std::uint64_t>& acks,
                                               const std::vector<nack>& nacks, std::uint32_t attempts_max) {
  verdict out;
  auto is_owners = [&](const piece& part) { return part.by->terms.owner == owner; };
  for (auto range : to_ranges(acks))
    cut(range, is_owners, out.held, &out.stale);
  for (const auto& part : out.held) {
    if (!out.acked.empty() && out.acked.back().last + 1 == part.where.first)
      out.acked.back().last = part.where.last;
    else
      out.acked.push_back(part.where);
  }
  for (const auto& nack : nacks) {
    auto before = out.held.size();
    const auto is_meant = [&](const piece& part) {
      return is_owners(part) && (!nack.attempts || *nack.attempts == part.attempts);
    };
    cut({nack.seq, nack.seq}, is_meant, out.held, &out.stale);
    if (out.held.size() == before)
      continue;
    const auto& part = out.held.back();
    auto attempts = part.attempts + 1;
    auto& to = nack.retry && attempts < attempts_max ? out.retried : out.buried;
    to.push_back(
      {nack.seq, attempts, part.by->terms.consumer, cut_error(nack.error), part.appended_at, part.suspect});
  }
  for (const auto& part : out.held)
    settling_count_ += part.where.count();
  std::sort(out.stale.begin(), out.stale.end());
  out.stale.erase(std::unique(out.stale.begin(), out.stale.end()), out.stale.end());
  return out;
}

void lease_state::settled(const verdict& done, time_point now, const jitter_source& jitter) {
  for (const auto& part : done.held)
    settling_count_ -= part.where.count();
  for (const auto& record : done.retried)
    delay(record.seq, {record.attempts,
                       stage::waiting,
                       record.suspect,
                       now + retry_delay(record.attempts, jitter()),
                       record.appended_at,
                       {}});
}

void lease_state::unsettle(const verdict& undone, time_point now) {
  for (auto part : undone.held) {
    settling_count_ -= part.where.count();
    part.granted_at = now;
    push_check(now + limits::lease_visibility, part.where);
    insert(std::move(part));
  }
}

// -- giving back

lease_state::given_back lease_state::release(const owner_id& pattern, const std::vector<std::uint64_t>& seqs,
                                             bool failed, const std::string& error, time_point now,
                                             const jitter_source& jitter) {
  std::vector<piece> parts;
  auto is_meant = [&](const piece& part) { return matches(pattern, part.by->terms.owner); };
  if (!seqs.empty())
    for (auto range : to_ranges(seqs))
      cut(range, is_meant, parts, nullptr);
  else if (!leases_.empty())
    cut({leases_.begin()->first, leases_.rbegin()->second.where.last}, is_meant, parts, nullptr);
  return give_back(std::move(parts), failed, error, now, jitter);
}

lease_state::given_back lease_state::expire(time_point now, const jitter_source& jitter) {
  std::vector<piece> parts;
  while (!checks_.empty() && checks_.front().at <= now) {
    auto where = checks_.front().where;
    std::pop_heap(checks_.begin(), checks_.end(), std::greater<>{});
    checks_.pop_back();
    cut(
      where, [&](const piece& part) { return part.by->deadline(part) <= now; }, parts, nullptr);
    std::optional<check> again;
    auto it = leases_.upper_bound(where.first);
    if (it != leases_.begin() && std::prev(it)->second.where.last >= where.first)
      --it;
    for (; it != leases_.end() && it->first <= where.last; ++it) {
      auto at = it->second.by->deadline(it->second);
      if (!again)
        again = check{at, {std::max(it->first, where.first), 0}};
      again->at = std::min(again->at, at);
      again->where.last = std::min(it->second.where.last, where.last);
    }
    if (again)
      push_check(again->at, again->where);
  }
  return give_back(std::move(parts), true,
                   "the lease ran out: its owner gave no sign of life for "
                     + std::to_string(std::chrono::seconds{limits::lease_visibility}.count()) + " s",
                   now, jitter);
}

lease_state::given_back lease_state::give_back(std::vector<piece> parts, bool failed,
                                               const std::string& error, time_point now,
                                               const jitter_source& jitter) {
  given_back out;
  for (auto& part : parts) {
    out.count += part.where.count();
    auto attempts = part.attempts + (failed ? 1 : 0);
    bool dead = failed && attempts >= part.by->terms.attempts_max;
    if (failed && !dead)
      out.attempts.push_back({{}, part.where, attempts});
    for (auto seq = part.where.first; seq <= part.where.last; ++seq) {
      if (dead)
        out.buried.push_back(
          {seq, attempts, part.by->terms.consumer, cut_error(error), part.appended_at, true});
      else
        delay(seq, {attempts,
                    stage::waiting,
                    part.suspect || failed,
                    failed ? now + retry_delay(attempts, jitter()) : now,
                    part.appended_at,
                    {}});
    }
    if (dead) {
      settling_count_ += part.where.count();
      out.held.push_back(std::move(part));
    }
  }
  return out;
}

void lease_state::buried(const given_back& done) { settling_count_ -= done.buried.size(); }

void lease_state::unbury(const given_back& undone, time_point now) {
  settling_count_ -= undone.buried.size();
  for (const auto& record : undone.buried)
    delay(record.seq,
          {record.attempts - 1, stage::waiting, true, now + limits::retry_delay_max, record.appended_at, {}});
}

// -- retries

void lease_state::delay(std::uint64_t seq, delayed record) {
  due_.emplace(record.due, seq);
  [[maybe_unused]] auto added = delayed_.emplace(seq, std::move(record)).second;
  assert(added);
}

std::vector<std::uint64_t> lease_state::fetch(time_point now, std::size_t count_max) {
  std::vector<std::uint64_t> seqs;
  if (!fetched_.empty())
    return seqs;
  while (!due_.empty() && due_.begin()->first <= now && seqs.size() < count_max) {
    seqs.push_back(due_.begin()->second);
    delayed_.find(seqs.back())->second.at = stage::fetching;
    due_.erase(due_.begin());
  }
  std::sort(seqs.begin(), seqs.end());
  return seqs;
}

std::size_t lease_state::fetched(const std::vector<std::uint64_t>& asked,
                                 const std::vector<record_block>& found, std::uint64_t seq_last,
                                 time_point now) {
  for (const auto& block : found) {
    for (auto record : block) {
      auto it = delayed_.find(record.seq);
      if (it == delayed_.end() || it->second.at != stage::fetching)
        continue; // purged meanwhile
      it->second.at = stage::fetched;
      it->second.payload = std::string{record.payload};
      fetched_.push_back(record.seq);
    }
  }
  std::size_t gone = 0;
  for (auto seq : asked) {
    auto it = delayed_.find(seq);
    if (it == delayed_.end() || it->second.at != stage::fetching)
      continue;
    if (seq > seq_last) {
      it->second.at = stage::waiting;
      it->second.due = now;
      due_.emplace(now, seq);
    } else {
      delayed_.erase(it);
      ++gone;
    }
  }
  return gone;
}

void lease_state::fetch_failed(const std::vector<std::uint64_t>& asked, time_point retry_at) {
  for (auto seq : asked) {
    auto it = delayed_.find(seq);
    if (it == delayed_.end() || it->second.at != stage::fetching)
      continue;
    it->second.at = stage::waiting;
    it->second.due = retry_at;
    due_.emplace(retry_at, seq);
  }
}

std::vector<run> lease_state::take_delayed() {
  std::vector<run> runs;
  for (const auto& [seq, record] : delayed_)
    extend(runs, seq, record.attempts, record.appended_at);
  delayed_.clear();
  due_.clear();
  fetched_.clear();
  return runs;
}

void lease_state::put_delayed(const std::vector<run>& runs, time_point due) {
  for (const auto& run : runs)
    for (auto seq = run.where.first; seq <= run.where.last; ++seq)
      delay(seq, {run.attempts, stage::waiting, false, due, run.appended_at, {}});
}

// -- looking

std::size_t lease_state::not_due_count(time_point now) const noexcept {
  const auto first = due_.upper_bound({now, std::numeric_limits<std::uint64_t>::max()});
  return static_cast<std::size_t>(std::distance(first, due_.end()));
}

bool lease_state::holds_any(const consumer_id& consumer) const noexcept {
  return std::any_of(holders_.begin(), holders_.end(),
                     [&](const auto& each) { return each.first.consumer == consumer; });
}

std::optional<std::pair<std::uint64_t, wall_time>> lease_state::oldest() const {
  std::optional<std::pair<std::uint64_t, wall_time>> found;
  if (!leases_.empty())
    found = {leases_.begin()->first, leases_.begin()->second.appended_at};
  if (!delayed_.empty() && (!found || delayed_.begin()->first < found->first))
    found = {delayed_.begin()->first, delayed_.begin()->second.appended_at};
  return found;
}

std::optional<time_point> lease_state::next_expiry() const {
  if (checks_.empty())
    return std::nullopt;
  return checks_.front().at;
}

std::optional<time_point> lease_state::next_due() const {
  if (due_.empty() || !fetched_.empty())
    return std::nullopt;
  return due_.begin()->first;
}

void lease_state::push_check(time_point at, seq_range where) {
  // Most leases are settled long before they run out; their checks must not pile up.
  if (checks_.size() > 2 * leases_.size() + 1024) {
    checks_.clear();
    for (const auto& [first, part] : leases_)
      checks_.push_back({part.by->deadline(part), part.where});
    std::make_heap(checks_.begin(), checks_.end(), std::greater<>{});
  }
  checks_.push_back({at, where});
  std::push_heap(checks_.begin(), checks_.end(), std::greater<>{});
}

std::vector<std::pair<seq_range, owner_id>> lease_state::leases_for_test() const {
  std::vector<std::pair<seq_range, owner_id>> all;
  for (const auto& [first, part] : leases_)
    all.emplace_back(part.where, part.by->terms.owner);
  return all;
}

} // namespace sluice::queue
