#include "actors/queue/queues_state.hpp"

#include <sluice/core/limits.hpp>
#include <sluice/core/name_rule.hpp>

#include <algorithm>
#include <utility>

namespace sluice::queue {

namespace {

// Of the store's size, as one part of so many.
constexpr std::uint64_t producers_leave_free_part = 8;
constexpr std::uint64_t results_leave_free_part = 32;

constexpr std::size_t damage_told_max = 20; ///< of what was found at the opening: who reads it needs no more

} // namespace

queues_state::queues_state(bounds limits, jitter_source jitter, std::function<void(std::string)> report)
  : bounds_(limits), jitter_(std::move(jitter)), report_(std::move(report)) {}

void queues_state::opened(contents found) {
  opened_ = true;
  epoch_ = found.epoch;
  room_ = found.room;
  for (auto& stored : found.queues) {
    use_pinned_ = use_last_;
    auto made = find_or_make(stored.name);
    if (!made) {
      report_("stored queue is left alone: " + made.error().message);
      continue;
    }
    auto& queue = **made;
    queue.seq_last = stored.seq_last;
    queue.depth_count = stored.count;
    queue.dead_count = stored.dead_count;
    queue.damaged_count = stored.damaged_count;
    queue.unread_oldest_at = stored.oldest_at;
    if (stored.count == 0)
      queue.ready.reset(stored.seq_last);
    changed(queue);
  }
  for (auto& mark : found.producers)
    store_producer(mark.producer, {mark.seq, mark.fingerprint});
  for (auto& [key, position] : found.cursors)
    cursors_.emplace(std::move(key), std::move(position));
  for (auto& [key, to] : std::exchange(cursors_asked_, {}))
    cursor(key, std::move(to));
  for (std::size_t i = 0; i < std::min(found.damage.size(), damage_told_max); ++i)
    report_(found.damage[i]);
  if (found.damage.size() > damage_told_max)
    report_("and " + std::to_string(found.damage.size() - damage_told_max)
            + " more places of the queue store are damaged; the head's log has all");
}

// -- requests

queue_entry* queues_state::find(const queue_name& name) const {
  auto it = queues_.find(name);
  return it == queues_.end() ? nullptr : it->second.get();
}

result<queue_entry*> queues_state::find_or_make(const queue_name& name) {
  if (auto* known = find(name)) {
    known->used = ++use_last_;
    return known;
  }
  if (!is_valid_name(name.value))
    return fail(errc::invalid_argument, "queue '" + name.value + "': a name has " + std::string{name_rule});
  auto index = by_index_.size();
  if (queues_.size() >= bounds_.queue_count && opened_) {
    auto* old = forgettable();
    if (old == nullptr)
      return fail(errc::exhausted, "queue '" + name.value + "' cannot be made: there are already "
                                     + std::to_string(queues_.size())
                                     + " queues, and all of them hold records or dead letters or are in use");
    index = forget(*old);
  }
  auto& made = queues_[name];
  made = std::make_unique<entry>();
  made->name = name;
  made->used = ++use_last_;
  made->index = index;
  by_index_.resize(std::max(by_index_.size(), index + 1));
  by_index_[index] = made.get();
  return made.get();
}

/// The queues that something which is on its way to the store names.
std::set<const queue_entry*> queues_state::named_by_requests() const {
  std::set<const entry*> named;
  auto name_all = [&](const pending_request& request) {
    std::visit(
      [&](const auto& what) {
        named.insert(what.queue);
        if constexpr (std::is_same_v<std::decay_t<decltype(what)>, pending_commit>)
          for (const auto& result : what.results)
            named.insert(result.first);
      },
      request);
  };
  for (const auto& waiting : pending_)
    name_all(waiting.first);
  for (const auto& loss : losses_)
    named.insert(loss.first);
  if (flight_) {
    for (const auto& request : flight_->requests)
      name_all(request);
    for (const auto& loss : flight_->losses)
      named.insert(loss.first);
  }
  return named;
}

/// The least recently used queue whose name can be given to oblivion: nothing is in it, nobody waits for it, and
/// nothing that is on its way to the store names it. Looked for only when there is no place left.
queue_entry* queues_state::forgettable() const {
  const auto named = named_by_requests();
  entry* oldest = nullptr;
  for (auto* queue : by_index_)
    if ((oldest == nullptr || queue->used < oldest->used) && queue->used <= use_pinned_ && queue->is_idle()
        && !named.contains(queue))
      oldest = queue;
  return oldest;
}

/// Returns the index that is free now.
std::size_t queues_state::forget(entry& queue) {
  if (queue.event_at)
    events_.erase({*queue.event_at, queue.index});
  std::erase(changed_, &queue);
  memory_bytes_ -= queue.accounted_bytes;
  if (queue.seq_last > 0) // else it was never stored
    to_forget_.insert(queue.name);
  const auto index = queue.index;
  queues_.erase(queues_.find(queue.name));
  return index;
}

/// Takes back the queues that only appends made of which nothing was stored: what is refused leaves nothing behind.
void queues_state::drop_unused(const std::vector<pending_request>& requests) {
  std::set<entry*> unused;
  for (const auto& request : requests)
    if (const auto* append = std::get_if<pending_append>(&request);
        append != nullptr && append->queue->seq_last == 0 && !append->queue->leased_at
        && append->queue->is_idle())
      unused.insert(append->queue);
  if (unused.empty())
    return;
  const auto named = named_by_requests();
  for (auto* queue : unused) {
    if (named.contains(queue))
      continue;
    const auto index = forget(*queue);
    auto* last = by_index_.back(); // takes the place that is free now
    by_index_.pop_back();
    if (index == by_index_.size())
      continue;
    by_index_[index] = last;
    if (last->event_at) {
      events_.erase({*last->event_at, last->index});
      events_.emplace(*last->event_at, index);
    }
    last->index = index;
  }
}

result<void> queues_state::check_room(std::size_t size_bytes) const {
  if (down_)
    return tl::unexpected<failure>{*down_};
  if (pending_.size() >= bounds_.pending_count
      || (!pending_.empty() && pending_bytes_ + size_bytes > bounds_.pending_bytes))
    return fail(errc::overloaded, "the queue store does not keep up: " + std::to_string(pending_.size())
                                    + " requests with " + std::to_string(pending_bytes_)
                                    + " bytes wait for the disk; try again later");
  return {};
}

/// A store that is full to the last byte could not even note what is settled. So new records leave a part of it
/// free for results, and results one for settling: consumers go on when producers cannot.
result<void> queues_state::check_store_room(std::size_t size_bytes, std::uint64_t kept_free_part) const {
  if (room_.bytes_max == 0)
    return {};
  const auto soon = room_.used_bytes + pending_bytes_ + (flight_ ? flight_bytes_ : 0) + size_bytes;
  if (soon <= room_.bytes_max - room_.bytes_max / kept_free_part)
    return {};
  return fail(errc::overloaded,
              "the queues are full: they hold " + std::to_string(room_.used_bytes >> 20) + " MiB of at most "
                + std::to_string(room_.bytes_max >> 20)
                + " MiB (queue-size-max); there is room again when records are consumed or purged");
}

result<queue_entry*> queues_state::check_records(const queue_name& name, const record_block& records) {
  for (auto record : records)
    if (record.payload.size() > limits::record_size_bytes_max)
      return fail(errc::invalid_argument,
                  "queue '" + name.value + "': a record of " + std::to_string(record.payload.size())
                    + " bytes is over the limit of " + std::to_string(limits::record_size_bytes_max));
  auto queue = find_or_make(name);
  if (!queue)
    return queue;
  auto depth = (*queue)->depth_count + (*queue)->pending_count;
  if (depth + records.count() > bounds_.depth_count)
    return fail(errc::overloaded, "queue '" + name.value + "' is full: it holds " + std::to_string(depth)
                                    + " records of at most " + std::to_string(bounds_.depth_count));
  return queue;
}

void queues_state::append(append_request request, answer<append_reply> to) {
  use_pinned_ = use_last_;
  auto size = request.records.bytes().size();
  if (auto room = check_room(size); !room)
    return to(fail(room));
  if (!request.records.empty())
    if (auto room = check_store_room(size, producers_leave_free_part); !room)
      return to(fail(room));
  auto queue = check_records(request.queue, request.records);
  if (!queue)
    return to(fail(queue));
  if (request.records.empty())
    return to(append_reply{0});
  (*queue)->pending_count += request.records.count();
  enqueue(pending_append{*queue, std::move(request), std::move(to)}, size);
}

result<std::size_t> queues_state::check_commit(const commit_request& request) {
  std::size_t size = (request.acks.size() + request.nacks.size()) * sizeof(std::uint64_t);
  for (const auto& nack : request.nacks)
    size += nack.error.size();
  for (const auto& burial : request.burials) {
    size += burial.payload.size() + burial.error.size();
    if (burial.payload.size() > limits::record_size_bytes_max)
      return fail(errc::invalid_argument,
                  "commit: a record to bury of " + std::to_string(burial.payload.size())
                    + " bytes is over the limit of " + std::to_string(limits::record_size_bytes_max));
  }
  for (const auto& part : request.results)
    size += part.records.bytes().size();
  if (request.queue.empty() && !(request.acks.empty() && request.nacks.empty()))
    return fail(errc::invalid_argument,
                "commit: records are settled, but the queue they are from is not named");
  if (auto room = check_room(size); !room)
    return fail(room);
  return size;
}

void queues_state::commit(commit_request request, answer<commit_reply> to) {
  auto size = check_commit(request);
  if (!size)
    return to(fail(size));
  use_pinned_ = use_last_;
  pending_commit what;
  if (!request.queue.empty()) {
    auto queue = find_or_make(request.queue);
    if (!queue)
      return to(fail(queue));
    what.queue = *queue;
  }
  for (const auto& part : request.results) {
    auto queue = check_records(part.queue, part.records);
    if (!queue)
      return to(fail(queue));
    what.results.emplace_back(*queue, part.records);
  }
  if (!request.results.empty())
    if (auto room = check_store_room(*size, results_leave_free_part); !room)
      return to(fail(room));
  for (auto& [queue, records] : what.results)
    queue->pending_count += records.count();
  request.results.clear();
  what.request = std::move(request);
  what.to = std::move(to);
  enqueue(std::move(what), *size);
}

void queues_state::purge_records(queue_name name, answer<count_reply> to) {
  if (auto room = check_room(0); !room)
    return to(fail(room));
  auto* queue = find(name);
  if (queue == nullptr && opened_)
    return to(fail(errc::not_found, "there is no queue '" + name.value + "'"));
  use_pinned_ = use_last_;
  auto made = find_or_make(name);
  if (!made)
    return to(fail(made));
  pending_purge what;
  what.queue = *made;
  what.to = std::move(to);
  enqueue(std::move(what), 0);
}

void queues_state::requeue(requeue_request request, answer<count_reply> to) {
  if (request.queue.empty())
    return to(fail(errc::invalid_argument,
                   "requeue: name a queue; dead letters whose source was no queue have none to go back to"));
  auto size = request.ids.size() * sizeof(std::uint64_t);
  if (auto room = check_room(size); !room)
    return to(fail(room));
  if (opened_ && find(request.queue) == nullptr)
    return to(fail(errc::not_found, "there is no queue '" + request.queue.value + "'"));
  use_pinned_ = use_last_;
  auto made = find_or_make(request.queue);
  if (!made)
    return to(fail(made));
  std::sort(request.ids.begin(), request.ids.end());
  request.ids.erase(std::unique(request.ids.begin(), request.ids.end()),
                    request.ids.end()); // each letter once
  pending_requeue what;
  what.queue = *made;
  what.ids = std::move(request.ids);
  what.to = std::move(to);
  enqueue(std::move(what), size);
}

void queues_state::enqueue(pending_request what, std::size_t size_bytes) {
  pending_.emplace_back(std::move(what), size_bytes);
  pending_bytes_ += size_bytes;
}

void queues_state::cursor(const std::string& key, answer<std::string> to) {
  if (down_)
    return to(tl::unexpected<failure>{*down_});
  if (!opened_) {
    if (cursors_asked_.size() >= bounds_.pending_count)
      return to(fail(errc::overloaded, "the queue store is still being opened; try again later"));
    cursors_asked_.emplace_back(key, std::move(to));
    return;
  }
  auto it = cursors_.find(key);
  to(it == cursors_.end() ? std::string{} : it->second);
}

stats_reply queues_state::stats(wall_time wall_now, time_point now) const {
  stats_reply reply;
  reply.trouble = trouble_;
  reply.queues.reserve(queues_.size());
  for (const auto& [name, queue] : queues_) {
    queue_stat stat;
    stat.name = name;
    stat.depth_count = queue->depth_count;
    stat.leased_count = queue->leases.leased_count();
    stat.delayed_count = queue->leases.not_due_count(now);
    stat.dead_count = queue->dead_count;
    stat.appended_total = queue->seq_last; // every record gets the next seq
    stat.damaged_total = queue->damaged_count + queue->missing_count;
    stat.settled_total = queue->seq_last - std::min(queue->seq_last, queue->depth_count + stat.damaged_total);
    stat.retried_total = queue->retried_total;
    std::optional<wall_time> oldest;
    if (auto held = queue->leases.oldest())
      oldest = held->second;
    else if (auto ready = queue->ready.oldest_at())
      oldest = ready;
    else if (queue->depth_count > 0)
      oldest = queue->unread_oldest_at;
    if (oldest && *oldest < wall_now)
      stat.oldest_age = std::chrono::duration_cast<std::chrono::milliseconds>(wall_now - *oldest);
    reply.queues.push_back(std::move(stat));
  }
  return reply;
}

// -- news from the store

void queues_state::apply(const std::vector<recount>& recounts) {
  for (const auto& counted : recounts) {
    auto* queue = find(counted.queue);
    if (queue == nullptr)
      continue;
    queue->depth_count = counted.count;
    queue->dead_count = counted.dead_count;
    if (counted.damaged_count > queue->damaged_count)
      report_(
        "queue '" + queue->name.value + "': " + std::to_string(counted.damaged_count - queue->damaged_count)
        + " records are damaged on the disk; they are not handed out, and kept in the table 'damaged' of "
          "the queue store; the head's log says which");
    queue->damaged_count = std::max(queue->damaged_count, counted.damaged_count);
  }
}

void queues_state::letters_purged(const queue_name& name, std::uint64_t count) {
  room_.used_bytes = 0; // less than before: the next write tells
  if (auto* queue = find(name))
    queue->dead_count -= std::min(queue->dead_count, count);
}

void queues_state::shut_down(const failure& why) {
  if (!down_)
    down_ = why;
  auto dropped = std::exchange(pending_, {});
  pending_bytes_ = 0;
  for (auto& [request, size] : dropped)
    std::visit([&](auto& what) { what.to(tl::unexpected<failure>{why}); }, request);
  for (auto& [key, to] : std::exchange(cursors_asked_, {}))
    to(tl::unexpected<failure>{why});
  for (auto* queue : by_index_) {
    queue->pending_count = 0;
    while (!queue->waiters.empty())
      answer_waiter(*queue, queue->waiters.begin(), tl::unexpected<failure>{why});
  }
}

} // namespace sluice::queue
