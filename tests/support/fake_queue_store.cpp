#include "tests/support/fake_queue_store.hpp"

#include <algorithm>

namespace sluice::testing {

namespace {

std::optional<failure> next_of(std::deque<failure>& failures) {
  if (failures.empty())
    return std::nullopt;
  auto out = failures.front();
  failures.pop_front();
  return out;
}

} // namespace

result<queue::contents> fake_queue_store::load() {
  if (broken_)
    return tl::unexpected<failure>{*broken_};
  queue::contents out;
  out.epoch = ++epoch_;
  for (auto& [name, one] : queues_for_test) {
    auto dead = std::count_if(letters_for_test.begin(), letters_for_test.end(),
                              [&](const auto& letter) { return letter.second.queue == name; });
    std::optional<queue::wall_time> oldest;
    if (!one.records.empty())
      oldest = one.records.begin()->second.appended_at;
    out.queues.push_back({name, one.records.size(), static_cast<std::uint64_t>(dead), one.seq_last, oldest});
  }
  for (const auto& name : producer_use_)
    out.producers.push_back(producers_[name]);
  out.cursors.assign(cursors_for_test.begin(), cursors_for_test.end());
  out.room = room();
  return out;
}

queue::store_room fake_queue_store::room() const {
  queue::store_room out{0, bytes_max_for_test};
  for (const auto& [name, one] : queues_for_test)
    for (const auto& [seq, record] : one.records)
      out.used_bytes += record.payload.size();
  for (const auto& [id, letter] : letters_for_test)
    out.used_bytes += letter.payload.size();
  return out;
}

result<queue::write_outcome> fake_queue_store::write(const queue::write_batch& batch) {
  ++writes_for_test;
  if (broken_)
    return tl::unexpected<failure>{*broken_};
  if (auto why = next_of(write_failures_for_test))
    return tl::unexpected<failure>{*why};
  for (const auto& name : batch.queues_forgotten) {
    const auto it = queues_for_test.find(name);
    if (it != queues_for_test.end() && it->second.records.empty()
        && std::none_of(letters_for_test.begin(), letters_for_test.end(),
                        [&](const auto& letter) { return letter.second.queue == name; }))
      queues_for_test.erase(it);
  }
  for (const auto& segment : batch.appends) {
    auto& one = queues_for_test[segment.queue];
    auto seq = segment.first_seq;
    for (auto record : segment.records) {
      if (record.seq != seq || seq <= one.seq_last)
        return fail(errc::internal, "seqs of a segment do not run on");
      one.records[seq] = {std::string{record.payload}, 0, segment.appended_at};
      one.seq_last = seq++;
    }
  }
  for (const auto& settled : batch.settled)
    for (auto range : settled.ranges) {
      auto& records = queues_for_test[settled.queue].records;
      records.erase(records.lower_bound(range.first), records.upper_bound(range.last));
    }
  for (const auto& update : batch.attempts) {
    auto& records = queues_for_test[update.queue].records;
    for (auto it = records.lower_bound(update.where.first); it != records.upper_bound(update.where.last);
         ++it)
      it->second.attempts = update.attempts;
  }
  for (const auto& grave : batch.graves) {
    auto payload = grave.payload;
    if (!grave.queue.empty()) {
      auto& records = queues_for_test[grave.queue].records;
      auto it = records.find(grave.seq);
      if (it == records.end())
        return fail(errc::internal, "a record is buried that is not there");
      payload = it->second.payload;
      records.erase(it);
    }
    auto id = ++letter_last_;
    letters_for_test[id] = {id, grave.queue, grave.consumer, grave.attempts, grave.error, batch.now, payload};
  }
  for (const auto& cursor : batch.cursors)
    cursors_for_test[cursor.key] = cursor.next;
  for (const auto& mark : batch.producers) {
    producers_[mark.producer] = mark;
    std::erase(producer_use_, mark.producer);
    producer_use_.push_back(mark.producer);
  }
  for (const auto& name : batch.producers_forgotten) {
    producers_.erase(name);
    std::erase(producer_use_, name);
  }
  return queue::write_outcome{{}, room()};
}

result<queue::read_outcome> fake_queue_store::read(const queue_name& name, std::uint64_t after_seq,
                                                   std::size_t count_max, std::size_t size_bytes_max) {
  ++reads_for_test;
  if (broken_)
    return tl::unexpected<failure>{*broken_};
  if (auto why = next_of(read_failures_for_test))
    return tl::unexpected<failure>{*why};
  queue::read_outcome out;
  out.seq_last = after_seq;
  auto& records = queues_for_test[name].records;
  record_block_builder some;
  std::size_t count = 0;
  auto it = records.upper_bound(after_seq);
  for (std::size_t size = 0;
       it != records.end() && count < count_max && (count == 0 || size < size_bytes_max); ++it, ++count) {
    some.add(it->first, it->second.attempts, it->second.payload);
    size += it->second.payload.size();
    out.seq_last = it->first;
    if (std::next(it) == records.end() || std::next(it)->second.appended_at != it->second.appended_at)
      out.parts.push_back({some.finish(), it->second.appended_at});
  }
  if (some.count() > 0)
    out.parts.push_back({some.finish(), std::prev(it)->second.appended_at});
  out.at_end = it == records.end();
  return out;
}

result<queue::read_outcome> fake_queue_store::read(const queue_name& name,
                                                   const std::vector<std::uint64_t>& seqs,
                                                   std::size_t size_bytes_max) {
  ++reads_for_test;
  if (broken_)
    return tl::unexpected<failure>{*broken_};
  if (auto why = next_of(read_failures_for_test))
    return tl::unexpected<failure>{*why};
  queue::read_outcome out;
  auto& records = queues_for_test[name].records;
  std::size_t size = 0;
  for (auto seq : seqs) {
    if (size > 0 && size >= size_bytes_max)
      break;
    out.seq_last = seq;
    auto it = records.find(seq);
    if (it == records.end())
      continue;
    record_block_builder one;
    one.add(seq, it->second.attempts, it->second.payload);
    size += it->second.payload.size();
    out.parts.push_back({one.finish(), it->second.appended_at});
  }
  return out;
}

result<queue::letters_outcome> fake_queue_store::dead_letters(const queue_name& name, std::uint64_t after_id,
                                                              std::size_t count_max,
                                                              std::size_t size_bytes_max) {
  if (broken_)
    return tl::unexpected<failure>{*broken_};
  queue::letters_outcome out;
  std::size_t size = 0;
  for (auto it = letters_for_test.upper_bound(after_id); it != letters_for_test.end(); ++it) {
    if (!name.empty() && it->second.queue != name)
      continue;
    if (out.letters.size() >= count_max || (size > 0 && size >= size_bytes_max))
      break;
    size += it->second.payload.size();
    out.letters.push_back(it->second);
  }
  return out;
}

result<queue::requeue_outcome> fake_queue_store::requeue(const queue::requeue_step& what) {
  if (broken_)
    return tl::unexpected<failure>{*broken_};
  if (auto why = next_of(write_failures_for_test))
    return tl::unexpected<failure>{*why};
  queue::requeue_outcome out;
  out.id_last = what.after_id;
  out.id_max = what.id_max != 0 ? what.id_max : letter_last_;
  auto& one = queues_for_test[what.queue];
  for (auto it = letters_for_test.upper_bound(what.after_id);
       it != letters_for_test.end() && it->first <= out.id_max && out.count < 3;) {
    auto& [id, letter] = *it;
    bool is_meant = letter.queue == what.queue
                    && (what.ids.empty() || std::count(what.ids.begin(), what.ids.end(), id) > 0);
    if (!is_meant) {
      ++it;
      continue;
    }
    one.seq_last = what.first_seq + out.count++;
    one.records[one.seq_last] = {letter.payload, 0, what.now};
    out.id_last = id;
    it = letters_for_test.erase(it);
  }
  return out;
}

result<std::uint64_t> fake_queue_store::purge_dead_letters(const queue_name& name) {
  if (broken_)
    return tl::unexpected<failure>{*broken_};
  return std::erase_if(letters_for_test, [&](const auto& letter) { return letter.second.queue == name; });
}

} // namespace sluice::testing
