#include "transport/store/queue_store_lag.hpp"

#include "transport/store/queue_store_checksum.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <string_view>

namespace sluice::store {

namespace {

constexpr std::size_t writes_max = 64; ///< and so many segments are looked at when the store is opened
constexpr std::size_t producers_max = 256;

void put_number(std::string& to, std::uint64_t value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Takes the next number off; 0 if there is none.
std::uint64_t take_number(std::string_view& from) {
  std::uint64_t value = 0;
  if (from.size() < sizeof value)
    from = {};
  else {
    std::memcpy(&value, from.data(), sizeof value);
    from.remove_prefix(sizeof value);
  }
  return value;
}

/// Nothing if the bytes fail their check.
std::optional<std::vector<queue::producer_mark>> marks_in(std::int64_t segment, std::string_view bytes) {
  const auto sum = static_cast<std::int64_t>(take_number(bytes));
  if (sum != checksum{}.add(segment).add(bytes).value())
    return std::nullopt;
  std::vector<queue::producer_mark> all;
  while (!bytes.empty()) {
    queue::producer_mark mark;
    mark.seq = take_number(bytes);
    mark.fingerprint = take_number(bytes);
    const auto length = std::min<std::size_t>(take_number(bytes), bytes.size());
    mark.producer = bytes.substr(0, length);
    bytes.remove_prefix(length);
    all.push_back(std::move(mark));
  }
  return all;
}

} // namespace

bool row_lag::may_take(const queue::write_batch& batch) const {
  const bool only_appends = !batch.appends.empty() && batch.settled.empty() && batch.attempts.empty()
                            && batch.graves.empty() && batch.cursors.empty()
                            && batch.producers_forgotten.empty() && batch.queues_forgotten.empty();
  return only_appends && writes_ < writes_max && producers_.size() + batch.producers.size() <= producers_max
         && std::all_of(batch.appends.begin(), batch.appends.end(), [this](const queue::segment& each) {
              const auto* row = rows_.find(each.queue); // above all that it counts
              return row != nullptr && each.first_seq > row->seq_last;
            });
}

std::string row_lag::marks_of(const queue::write_batch& batch) const {
  if (batch.producers.empty())
    return {};
  const auto& carrier = batch.appends.front();
  const auto segment = record_key(rows_.find(carrier.queue)->id, carrier.first_seq);
  constexpr auto sum_bytes = sizeof(std::uint64_t);
  std::string out(sum_bytes, '\0');
  out.reserve(128);
  for (const auto& mark : batch.producers) {
    put_number(out, mark.seq);
    put_number(out, mark.fingerprint);
    put_number(out, mark.producer.size());
    out += mark.producer;
  }
  const auto sum = checksum{}.add(segment).add(std::string_view{out}.substr(sum_bytes)).value();
  std::memcpy(out.data(), &sum, sum_bytes);
  return out;
}

void row_lag::take(const queue::write_batch& batch) {
  for (const auto& each : batch.appends)
    queues_.insert(rows_.find(each.queue)->id);
  producers_.insert(producers_.end(), batch.producers.begin(), batch.producers.end());
  ++writes_;
}

void row_lag::store(std::uint64_t& producer_use) {
  for (auto id : queues_)
    rows_.change(id);
  for (const auto& mark : producers_)
    rows_.put_producer(mark, ++producer_use);
}

void row_lag::clear() {
  queues_.clear();
  producers_.clear();
  writes_ = 0;
}

void row_lag::add_producers(std::vector<queue::producer_mark>& to) const {
  std::map<std::string_view, const queue::producer_mark*> newest;
  for (const auto& mark : producers_)
    newest[mark.producer] = &mark;
  std::erase_if(to, [&](const auto& each) { return newest.contains(each.producer); });
  for (const auto& [name, mark] : newest)
    to.push_back(*mark);
}

std::optional<damaged_segment> row_lag::find() {
  std::optional<damaged_segment> damaged;
  for (const auto& [id, row] : rows_.all()) {
    auto above = segments_.read_above(id, row.seq_last);
    if (!damaged) // others are met when they are read
      damaged = above.damaged;
    if (above.seq_last == row.seq_last)
      continue;
    queues_.insert(id);
    rows_.catch_up(id, above.count, above.seq_last);
    for (const auto& [segment, bytes] : above.marks) {
      auto marks = marks_in(segment, bytes);
      has_lost_marks_ = has_lost_marks_ || !marks;
      if (marks)
        std::move(marks->begin(), marks->end(), std::back_inserter(producers_));
    }
    writes_ = writes_max;
  }
  std::stable_sort(producers_.begin(), producers_.end(), [](const auto& a, const auto& b) {
    return a.seq < b.seq;
  }); // queues stand in no order of time
  return damaged;
}

} // namespace sluice::store
