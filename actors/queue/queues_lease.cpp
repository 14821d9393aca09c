#include "actors/queue/queues_state.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <utility>

namespace sluice::queue {

namespace {

/// A consumer that asked within this time is worth reading ahead for.
constexpr auto consumer_memory = std::chrono::minutes{1};

/// How long a failed read is not tried again.
constexpr auto read_retry_delay = std::chrono::seconds{1};

/// Who does not want to wait still gets what one read of the store brings.
constexpr auto hasty_wait = std::chrono::seconds{5};

bool is_hasty(const lease_waiter& waiter) {
  return waiter.request.wait_max <= std::chrono::milliseconds::zero();
}

} // namespace

// -- leases

void queues_state::lease(lease_request request, answer<lease_reply> to, time_point now) {
  if (down_)
    return to(tl::unexpected<failure>{*down_});
  use_pinned_ = use_last_;
  auto found = find_or_make(request.queue);
  if (!found)
    return to(fail(found));
  auto& queue = **found;
  if (queue.waiters.size() >= bounds_.waiting_count)
    return to(fail(errc::overloaded, "queue '" + queue.name.value
                                       + "': " + std::to_string(queue.waiters.size())
                                       + " lease requests wait already; try again later"));
  request.count_max = std::clamp<std::uint32_t>(request.count_max, 1, limits::block_count_max);
  request.size_bytes_max = std::min<std::uint32_t>(request.size_bytes_max, limits::block_size_bytes_max);
  request.attempts_max = std::max(request.attempts_max, 1U);
  queue.leased_at = now;
  auto id = ++waiter_last_;
  std::chrono::milliseconds wait = hasty_wait;
  if (request.wait_max > std::chrono::milliseconds::zero())
    wait = std::min(request.wait_max, bounds_.wait_max);
  auto until = deadlines_.emplace(now + wait, std::pair{&queue, id});
  queue.waiters.emplace(id, lease_waiter{std::move(request), std::move(to), until});
  serve(queue, now);
  changed(queue);
}

void queues_state::answer_waiter(entry& queue, std::map<std::uint64_t, lease_waiter>::iterator which,
                                 result<lease_reply> reply) {
  auto waiter = std::move(which->second);
  deadlines_.erase(waiter.deadline);
  queue.waiters.erase(which);
  waiter.to(std::move(reply));
}

void queues_state::serve(entry& queue, time_point now) {
  if (!opened_)
    return;
  while (!queue.waiters.empty()) {
    auto first = queue.waiters.begin();
    auto got = take_for(queue, first->second.request, now);
    if (got.records.empty())
      break;
    answer_waiter(queue, first, lease_reply{epoch_, std::move(got.records)});
  }
  account(queue);
}

taken queues_state::take_for(entry& queue, const lease_request& request, time_point now) {
  lease_terms terms{request.owner, request.consumer, request.attempts_max};
  if (queue.leases.has_fetched()) {
    auto got = queue.leases.grant_retries(terms, {request.count_max, request.size_bytes_max}, now);
    if (!got.records.empty())
      return got;
  }
  if (queue.leases.leased_count() + queue.leases.delayed_count() >= bounds_.outstanding_count)
    return {};
  // Those that wait together share what is there.
  auto waiting = queue.waiters.size();
  auto share = std::max<std::size_t>(1, (queue.ready.count() + waiting - 1) / waiting);
  auto got = queue.ready.take(std::min<std::size_t>(request.count_max, share), request.size_bytes_max);
  if (!got.runs.empty())
    queue.leases.grant(terms, got.runs, now);
  return got;
}

count_reply queues_state::renew(const owner_id& owner, time_point now) {
  count_reply reply;
  for (auto* queue : by_index_)
    reply.count += queue->leases.renew(owner, now) ? 1 : 0;
  return reply;
}

count_reply queues_state::release(const release_request& request, time_point now) {
  count_reply reply;
  auto one = [&](entry& queue) {
    auto change =
      queue.leases.release(request.owner, request.seqs, request.failed, request.error, now, jitter_);
    reply.count += change.count;
    absorb(queue, std::move(change));
    serve(queue, now);
    changed(queue);
  };
  if (!request.seqs.empty()) {
    if (auto* queue = find(request.queue))
      one(*queue);
    return reply;
  }
  drop_waiters(request.owner);
  for (auto* queue : by_index_)
    one(*queue);
  return reply;
}

/// Whoever is gone must not be given records any more.
void queues_state::drop_waiters(const owner_id& pattern) {
  for (auto* queue : by_index_) {
    for (auto it = queue->waiters.begin(); it != queue->waiters.end();) {
      auto which = it++;
      if (matches(pattern, which->second.request.owner))
        answer_empty(*queue, which);
    }
  }
}

void queues_state::absorb(entry& queue, lease_state::given_back change) {
  for (const auto& counted :
       change.attempts) // what is given back unharmed is not tried again, but for the first time
    queue.retried_total += counted.where.count();
  if (!change.attempts.empty() || !change.buried.empty())
    losses_.emplace_back(&queue, std::move(change));
}

// -- the window in memory

void queues_state::account(entry& queue) {
  memory_bytes_ += queue.ready.size_bytes() - queue.accounted_bytes;
  queue.accounted_bytes = queue.ready.size_bytes();
}

void queues_state::add_ready(entry& queue, record_block records, std::uint64_t last, wall_time appended_at) {
  queue.ready.add(std::move(records), last, appended_at);
  account(queue);
}

/// Makes others forget what they hold for nobody. Returns whether `size_bytes` fit now.
bool queues_state::make_room(const entry& queue, std::size_t size_bytes) {
  while (memory_bytes_ + size_bytes > bounds_.memory_bytes) {
    entry* largest = nullptr;
    for (auto* other : by_index_)
      if (other != &queue && other->accounted_bytes > 0
          && (largest == nullptr || other->accounted_bytes > largest->accounted_bytes))
        largest = other;
    if (largest == nullptr)
      return false;
    auto excess = memory_bytes_ + size_bytes - bounds_.memory_bytes;
    auto held = largest->ready.size_bytes();
    auto oldest = largest->ready.oldest_at();
    largest->ready.shrink(held > excess ? held - excess : 0);
    if (largest->ready.count() == 0 || !largest->unread_oldest_at)
      largest->unread_oldest_at = oldest;
    account(*largest);
  }
  return true;
}

/// Somebody waits, or has asked lately and will again. While there is a backlog nobody has to wait.
bool queues_state::has_consumer(const entry& queue, time_point now) {
  return !queue.waiters.empty() || (queue.leased_at && now - *queue.leased_at < consumer_memory);
}

bool queues_state::wants_window(const entry& queue, time_point now) const {
  if (!opened_ || down_ || queue.reading || queue.ready.known_to() >= queue.seq_last
      || queue.ready.size_bytes() >= bounds_.read_bytes / 2)
    return false;
  if (queue.read_not_before && now < *queue.read_not_before)
    return false;
  return has_consumer(queue, now);
}

std::vector<queues_state::wanted_read> queues_state::wanted_reads(time_point now) {
  std::vector<wanted_read> reads;
  for (auto* queue : std::exchange(changed_, {})) {
    queue->is_changed = false;
    if (wants_window(*queue, now)) {
      auto size = bounds_.read_bytes;
      while (size > segment_size_bytes_max && !make_room(*queue, size))
        size /= 2;
      queue->reading = true;
      reads.push_back({queue->name, {}, queue->ready.known_to(), size});
    }
    // Retries do not wait for the end of the backlog: what is fetched goes before it.
    if (opened_ && !down_ && !queue->fetching && has_consumer(*queue, now)) {
      auto seqs = queue->leases.fetch(now, limits::block_count_max);
      if (!seqs.empty()) {
        queue->fetching = true;
        reads.push_back({queue->name, std::move(seqs), 0, bounds_.read_bytes});
      }
    }
    answer_hasty(*queue);
    reschedule(*queue, now);
  }
  return reads;
}

/// Ends the waits of those who wanted none, once no read can bring them anything.
void queues_state::answer_hasty(entry& queue) {
  if (!opened_ || queue.reading || queue.fetching)
    return;
  for (auto it = queue.waiters.begin(); it != queue.waiters.end();) {
    auto which = it++;
    if (is_hasty(which->second))
      answer_empty(queue, which);
  }
}

void queues_state::answer_empty(entry& queue, std::map<std::uint64_t, lease_waiter>::iterator which) {
  const bool is_read = queue.ready.count() == 0 && queue.ready.known_to() >= queue.seq_last;
  const bool none_out = queue.leases.settling_count() == 0 && queue.leases.delayed_count() == 0
                        && !queue.leases.holds_any(which->second.request.consumer);
  answer_waiter(queue, which, lease_reply{epoch_, {}, !(is_read && none_out)});
}

void queues_state::read_done(const wanted_read& what, result<read_outcome> outcome, time_point now) {
  auto* queue = find(what.queue);
  if (queue == nullptr)
    return;
  if (!outcome) {
    // A consumer hears of it; nothing is forgotten, and the next try is a little later.
    while (!queue->waiters.empty())
      answer_waiter(*queue, queue->waiters.begin(), fail(outcome));
  }
  if (what.seqs.empty())
    window_read(*queue, what, std::move(outcome), now);
  else
    retries_read(*queue, what, std::move(outcome), now);
  serve(*queue, now);
  changed(*queue);
}

void queues_state::window_read(entry& queue, const wanted_read& what, result<read_outcome> outcome,
                               time_point now) {
  queue.reading = false;
  if (!outcome) {
    queue.read_not_before = now + read_retry_delay;
    return;
  }
  queue.read_not_before.reset();
  apply(outcome->recounts);
  if (what.after_seq != queue.ready.known_to())
    return; // purged or forgotten meanwhile: it is read again from where the window ends now
  for (auto& part : outcome->parts)
    add_ready(queue, std::move(part.records), 0, part.appended_at);
  add_ready(queue, {}, outcome->at_end ? std::max(outcome->seq_last, queue.seq_last) : outcome->seq_last, {});
  if (queue.ready.known_to() < queue.seq_last)
    return;
  queue.unread_oldest_at.reset();
  if (queue.ready.count() < queue.ready_count()) {
    auto missing = queue.ready_count() - queue.ready.count();
    queue.depth_count -= missing;
    queue.missing_count += missing;
    report_("queue '" + queue.name.value + "': " + std::to_string(missing)
            + " records are counted but not found; the store was damaged");
  }
}

void queues_state::retries_read(entry& queue, const wanted_read& what, result<read_outcome> outcome,
                                time_point now) {
  queue.fetching = false;
  if (!outcome) {
    queue.leases.fetch_failed(what.seqs, now + read_retry_delay);
    return;
  }
  std::vector<record_block> found;
  for (auto& part : outcome->parts)
    found.push_back(std::move(part.records));
  auto gone = queue.leases.fetched(what.seqs, found, outcome->seq_last, now);
  if (gone > 0 && outcome->recounts.empty()) {
    queue.depth_count -= std::min<std::uint64_t>(queue.depth_count, gone);
    queue.missing_count += gone;
    report_("queue '" + queue.name.value + "': " + std::to_string(gone)
            + " records that wait for another attempt are not found; the store was damaged");
  }
  apply(outcome->recounts);
}

// -- time

void queues_state::changed(entry& queue) {
  if (queue.is_changed)
    return;
  queue.is_changed = true;
  changed_.push_back(&queue);
}

void queues_state::reschedule(entry& queue, time_point now) {
  auto next = queue.leases.next_expiry();
  auto sooner = [&](std::optional<time_point> at) {
    if (at && (!next || *at < *next))
      next = at;
  };
  if (has_consumer(queue, now) && !queue.fetching)
    sooner(queue.leases.next_due());
  if (!queue.waiters.empty() && !queue.reading)
    sooner(queue.read_not_before);
  if (next == queue.event_at)
    return;
  if (queue.event_at)
    events_.erase({*queue.event_at, queue.index});
  if (next)
    events_.emplace(*next, queue.index);
  queue.event_at = next;
}

void queues_state::tick(time_point now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    auto [queue, id] = deadlines_.begin()->second;
    answer_empty(*queue, queue->waiters.find(id));
    changed(*queue);
  }
  while (!events_.empty() && events_.begin()->first <= now) {
    auto& queue = *by_index_[events_.begin()->second];
    events_.erase(events_.begin());
    queue.event_at.reset();
    if (queue.read_not_before && *queue.read_not_before <= now)
      queue.read_not_before.reset();
    absorb(queue, queue.leases.expire(now, jitter_));
    serve(queue, now);
    changed(queue);
  }
}

std::optional<time_point> queues_state::next_event() const {
  std::optional<time_point> next;
  if (!deadlines_.empty())
    next = deadlines_.begin()->first;
  if (!events_.empty() && (!next || events_.begin()->first < *next))
    next = events_.begin()->first;
  return next;
}

} // namespace sluice::queue
