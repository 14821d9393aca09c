#include "actors/queue/queues_state.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sluice::queue {

namespace {

/// Adds the records of `block` whose input is in `acked`.
void append_accepted(const record_block& block, const std::vector<seq_range>& acked, queue_entry& to,
                     batch_builder& into) {
  seq_range here{1, 0}; // results come in the order of their inputs, so the last range is the best guess
  auto is_accepted = [&](std::uint64_t seq) {
    if (seq >= here.first && seq <= here.last)
      return true;
    auto it = std::upper_bound(acked.begin(), acked.end(), seq,
                               [](std::uint64_t s, const seq_range& r) { return s < r.first; });
    if (it == acked.begin() || std::prev(it)->last < seq)
      return false;
    here = *std::prev(it);
    return true;
  };
  for (auto record : block)
    if (is_accepted(record.seq))
      into.append(to.name, to.seq_last, record.payload);
}

bool all_accepted(const record_block& block, const std::vector<seq_range>& acked) {
  if (acked.size() != 1)
    return false;
  for (auto record : block)
    if (record.seq < acked.front().first || record.seq > acked.front().last)
      return false;
  return true;
}

bool holds_purge(const std::vector<pending_request>& requests) {
  return !requests.empty() && std::holds_alternative<pending_purge>(requests.front());
}

} // namespace

// -- launch

bool queues_state::wants_launch() const noexcept {
  return opened_ && !down_ && !flight_ && !(pending_.empty() && losses_.empty());
}

std::shared_ptr<queues_state::flight> queues_state::launch(wall_time now) {
  if (!wants_launch())
    return nullptr;
  flight_.emplace();
  flight_bytes_ = 0;
  flight_->work = std::make_shared<flight>();
  if (!pending_.empty()) {
    if (auto* requeue = std::get_if<pending_requeue>(&pending_.front().first)) {
      auto what = std::move(*requeue);
      pending_bytes_ -= pending_.front().second;
      pending_.pop_front();
      return launch_requeue(std::move(what), now);
    }
  }
  batch_builder builder{now};
  prepare_losses(builder);
  for (std::size_t size = 0; !pending_.empty(); pending_.pop_front()) {
    auto& [request, request_size] = pending_.front();
    // A purge goes alone: a full disk that takes nothing more may still take that.
    const bool is_purge = std::holds_alternative<pending_purge>(request);
    if (std::holds_alternative<pending_requeue>(request) || (is_purge && !flight_->requests.empty())
        || holds_purge(flight_->requests) || (size > 0 && size + request_size > bounds_.batch_bytes))
      break;
    size += request_size;
    flight_bytes_ = size;
    pending_bytes_ -= request_size;
    flight_->requests.push_back(std::move(request));
    std::visit(
      [&](auto& what) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(what)>, pending_requeue>)
          prepare(what, builder);
      },
      flight_->requests.back());
  }
  std::size_t added = 0;
  for (const auto& [name, last] : flight_->producers) {
    builder.batch().producers.push_back({name, last.seq, last.fingerprint});
    added += producers_.contains(name) ? 0 : 1;
  }
  forget_producers(builder, added);
  flight_->work->batch = builder.finish();
  flight_->work->batch.queues_forgotten.assign(to_forget_.begin(), to_forget_.end());
  return flight_->work;
}

std::shared_ptr<queues_state::flight> queues_state::launch_requeue(pending_requeue what, wall_time now) {
  auto& queue = *what.queue;
  flight_->work->requeue =
    requeue_step{queue.name, what.ids, what.after_id, what.id_max, queue.seq_last + 1, now};
  flight_->requests.emplace_back(std::move(what));
  return flight_->work;
}

void queues_state::prepare_losses(batch_builder& into) {
  flight_->losses = std::exchange(losses_, {});
  for (const auto& [queue, change] : flight_->losses) {
    for (auto update : change.attempts) {
      update.queue = queue->name;
      into.batch().attempts.push_back(std::move(update));
    }
    bury(*queue, change.buried, into);
  }
}

void queues_state::bury(const entry& queue, const std::vector<lease_state::failed_record>& records,
                        batch_builder& into) {
  for (const auto& record : records)
    into.batch().graves.push_back(
      {queue.name, record.seq, record.consumer, record.attempts, record.error, {}});
}

void queues_state::prepare(pending_append& what, batch_builder& into) {
  const auto& request = what.request;
  what.queue->pending_count -= request.records.count();
  if (request.producer_seq != 0 && !request.producer.empty())
    note_producer(what);
  if (!what.repeat && !what.refused)
    into.append(what.queue->name, what.queue->seq_last, request.records);
}

void queues_state::note_producer(pending_append& what) {
  const auto& request = what.request;
  auto stored = producers_.find(request.producer);
  auto [found, added] = flight_->producers.try_emplace(
    request.producer, stored == producers_.end() ? last_request{} : stored->second.last);
  auto& last = found->second;
  if (request.producer_seq > last.seq) {
    last = {request.producer_seq, request.fingerprint};
    return;
  }
  const bool comparable = request.fingerprint != 0 && last.fingerprint != 0;
  if (comparable && request.producer_seq < last.seq)
    what.refused = failure{errc::conflict, "producer '" + request.producer + "' has gone on to request "
                                             + std::to_string(last.seq) + " already"};
  else if (comparable && request.fingerprint != last.fingerprint)
    what.refused =
      failure{errc::conflict, "producer '" + request.producer + "' has used this number for another request"};
  else
    what.repeat = true;
}

void queues_state::prepare(pending_commit& what, batch_builder& into) {
  auto& request = what.request;
  for (auto& [queue, records] : what.results)
    queue->pending_count -= records.count();
  if (request.cursor && what.queue != nullptr
      && (request.epoch != epoch_ || !what.queue->leases.holds(request.owner, request.acks))) {
    what.refused =
      failure{errc::conflict, "position '" + request.cursor->key
                                + "' is not moved: records that go with it are no longer leased"};
    return;
  }
  if (request.cursor) {
    const auto& move = *request.cursor;
    auto known = cursors_.find(move.key);
    auto moved = flight_->cursors.find(move.key);
    auto stored = moved != flight_->cursors.end() ? moved->second
                  : known != cursors_.end()       ? known->second
                                                  : std::string{};
    if (stored != move.expected)
      what.refused = failure{errc::stale, "position '" + move.key + "' has moved: it is '" + stored
                                            + "', not '" + move.expected + "' as expected"};
    else if (known == cursors_.end() && cursors_.size() + flight_->cursors.size() >= bounds_.cursor_count)
      what.refused =
        failure{errc::exhausted, "position '" + move.key + "' cannot be stored: there are already "
                                   + std::to_string(cursors_.size())};
    if (what.refused)
      return;
    flight_->cursors[move.key] = move.next;
    into.batch().cursors.push_back(move);
  }
  if (what.queue != nullptr) {
    auto& queue = *what.queue;
    if (request.epoch != epoch_) { // leased before a restart: nothing of it is the owner's any more
      what.verdict.stale = request.acks;
      for (const auto& nack : request.nacks)
        what.verdict.stale.push_back(nack.seq);
      std::sort(what.verdict.stale.begin(), what.verdict.stale.end());
    } else {
      what.verdict =
        queue.leases.begin_settle(request.owner, request.acks, request.nacks, request.attempts_max);
    }
    const auto& verdict = what.verdict;
    if (!verdict.acked.empty())
      into.batch().settled.push_back({queue.name, verdict.acked});
    for (const auto& record : verdict.retried)
      into.batch().attempts.push_back({queue.name, {record.seq, record.seq}, record.attempts});
    bury(queue, verdict.buried, into);
  }
  for (auto& [queue, records] : what.results) {
    if (what.queue == nullptr || all_accepted(records, what.verdict.acked))
      into.append(queue->name, queue->seq_last, records);
    else
      append_accepted(records, what.verdict.acked, *queue, into);
  }
  for (auto& burial : request.burials)
    into.batch().graves.push_back(
      {{}, 0, request.consumer, burial.attempts, std::move(burial.error), std::move(burial.payload)});
}

void queues_state::prepare(pending_purge& what, batch_builder& into) {
  auto& queue = *what.queue;
  what.taken_to = queue.ready.taken_to();
  what.count = queue.ready_count() + queue.leases.delayed_count();
  what.delayed = queue.leases.take_delayed();
  queue.ready.reset(queue.seq_last);
  account(queue);
  settlement all{queue.name, {}};
  for (const auto& run : what.delayed)
    all.ranges.push_back(run.where);
  if (what.taken_to < queue.seq_last)
    all.ranges.push_back({what.taken_to + 1, queue.seq_last});
  if (!all.ranges.empty())
    into.batch().settled.push_back(std::move(all));
}

void queues_state::forget_producers(batch_builder& into, std::size_t added) const {
  auto total = producers_.size() + added;
  for (const auto& name : producer_use_) {
    if (total <= bounds_.producer_count)
      break;
    if (flight_->producers.contains(name))
      continue;
    into.batch().producers_forgotten.push_back(name);
    --total;
  }
}

// -- landing

void queues_state::landed(result<write_outcome> outcome, time_point now) {
  assert(flight_ && !flight_->work->requeue);
  auto done = std::move(*flight_);
  flight_.reset();
  const bool adds = !done.work->batch.appends.empty();
  if (!outcome) {
    note_failed(outcome.error(), adds);
    undo(done, outcome.error(), now);
    return;
  }
  note_written(adds || holds_purge(done.requests));
  room_ = outcome->room;
  land(done, now);
  apply(outcome->recounts);
}

/// A store says that it is full with `overloaded`; without a bound of its own it is the disk.
void queues_state::note_failed(const failure& why, bool adds) {
  const bool is_disk_full = why.code == errc::overloaded && room_.bytes_max == 0;
  trouble_ = (is_disk_full ? "disk full: " : "") + why.message;
  is_adding_failing_ |= adds;
}

/// That records can be taken out says nothing of putting some in, which has failed for want of room.
void queues_state::note_written(bool adds) {
  if (is_adding_failing_ && !adds)
    return;
  trouble_.clear();
  is_adding_failing_ = false;
}

void queues_state::land(in_flight& done, time_point now) {
  std::vector<entry*> grown;
  for (auto& stored : done.work->batch.appends) {
    auto& queue = *find(stored.queue);
    auto count = stored.records.count();
    auto last = stored.first_seq + count - 1;
    auto size = stored.records.bytes().size();
    queue.depth_count += count;
    queue.seq_last = last;
    bool follows = !queue.reading && queue.ready.known_to() + 1 == stored.first_seq;
    bool fits =
      queue.ready.size_bytes() + size <= bounds_.window_bytes
      && (memory_bytes_ + size <= bounds_.memory_bytes || (!queue.waiters.empty() && make_room(queue, size)));
    if (follows && fits)
      add_ready(queue, std::move(stored.records), last, stored.appended_at);
    else if (!queue.unread_oldest_at)
      queue.unread_oldest_at = stored.appended_at;
    grown.push_back(&queue);
  }
  for (auto& [queue, change] : done.losses) {
    queue->leases.buried(change);
    queue->depth_count -= std::min<std::uint64_t>(queue->depth_count, change.buried.size());
    queue->dead_count += change.buried.size();
  }
  for (auto& [key, position] : done.cursors)
    cursors_[key] = std::move(position);
  for (const auto& name : done.work->batch.queues_forgotten)
    to_forget_.erase(name);
  for (const auto& name : done.work->batch.producers_forgotten) {
    auto it = producers_.find(name);
    producer_use_.erase(it->second.use);
    producers_.erase(it);
  }
  for (const auto& [name, last] : done.producers)
    store_producer(name, last);
  for (auto& request : done.requests)
    std::visit(
      [&](auto& what) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(what)>, pending_requeue>)
          land(what, now);
      },
      request);
  for (auto* queue : grown) {
    serve(*queue, now);
    changed(*queue);
  }
  drop_unused(done.requests);
}

void queues_state::land(pending_append& done, time_point) {
  if (done.refused)
    return done.to(tl::unexpected<failure>{*done.refused});
  done.to(append_reply{done.request.records.count()});
}

void queues_state::land(pending_commit& done, time_point now) {
  if (done.refused)
    return done.to(tl::unexpected<failure>{*done.refused});
  if (done.queue != nullptr) {
    auto& queue = *done.queue;
    auto& verdict = done.verdict;
    std::uint64_t acked = 0;
    for (auto range : verdict.acked)
      acked += range.count();
    queue.leases.settled(verdict, now, jitter_);
    queue.retried_total += verdict.retried.size();
    queue.dead_count += verdict.buried.size();
    queue.depth_count -= std::min<std::uint64_t>(queue.depth_count, acked + verdict.buried.size());
    serve(queue, now); // room below `outstanding_count`
    changed(queue);
  }
  done.to(commit_reply{std::move(done.verdict.stale)});
}

void queues_state::land(pending_purge& done, time_point) {
  auto& queue = *done.queue;
  queue.depth_count -= std::min(queue.depth_count, done.count);
  queue.unread_oldest_at.reset();
  changed(queue);
  done.to(count_reply{done.count});
}

void queues_state::undo(in_flight& undone, const failure& why, time_point now) {
  for (auto& [queue, change] : undone.losses) {
    queue->leases.unbury(change, now);
    changed(*queue);
  }
  for (auto& request : undone.requests)
    std::visit(
      [&](auto& what) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(what)>, pending_requeue>)
          undo(what, why, now);
      },
      request);
  drop_unused(undone.requests);
}

void queues_state::undo(pending_append& undone, const failure& why, time_point) {
  undone.to(tl::unexpected<failure>{why});
}

void queues_state::undo(pending_commit& undone, const failure& why, time_point now) {
  if (undone.queue != nullptr) {
    undone.queue->leases.unsettle(undone.verdict, now);
    changed(*undone.queue);
  }
  undone.to(tl::unexpected<failure>{undone.refused ? *undone.refused : why});
}

void queues_state::undo(pending_purge& undone, const failure& why, time_point now) {
  auto& queue = *undone.queue;
  queue.leases.put_delayed(undone.delayed, now);
  queue.ready.reset(undone.taken_to);
  account(queue);
  changed(queue);
  auto told = why;
  if (told.code == errc::overloaded)
    told.message +=
      "; forgetting records takes a little room itself: free a few MiB on that disk, and ask again";
  undone.to(tl::unexpected<failure>{std::move(told)});
}

void queues_state::landed(result<requeue_outcome> outcome, time_point now) {
  assert(flight_ && flight_->work->requeue);
  auto what = std::move(std::get<pending_requeue>(flight_->requests.front()));
  auto moved_at = flight_->work->requeue->now;
  flight_.reset();
  if (!outcome) {
    note_failed(outcome.error(), true);
    return what.to(fail(outcome));
  }
  note_written(true);
  room_.used_bytes = 0; // not told; the next write does
  auto& queue = *what.queue;
  if (outcome->count > 0 && !queue.unread_oldest_at)
    queue.unread_oldest_at = moved_at;
  queue.seq_last += outcome->count;
  queue.depth_count += outcome->count;
  queue.dead_count -= std::min(queue.dead_count, outcome->count);
  what.count += outcome->count;
  what.after_id = outcome->id_last;
  what.id_max = outcome->id_max;
  apply(outcome->recounts);
  changed(queue);
  serve(queue, now);
  if (outcome->count == 0 || what.after_id >= what.id_max)
    return what.to(count_reply{what.count});
  pending_.emplace_back(std::move(what), 0); // behind the others: a long requeue holds up nobody
}

void queues_state::store_producer(const std::string& name, const last_request& last) {
  auto [it, added] = producers_.try_emplace(name);
  it->second.last = last;
  if (added)
    it->second.use = producer_use_.insert(producer_use_.end(), name);
  else
    producer_use_.splice(producer_use_.end(), producer_use_, it->second.use);
}

} // namespace sluice::queue
