#include "transport/store/queue_store_segments.hpp"

#include "transport/store/queue_store_checksum.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace sluice::store {

namespace {

constexpr std::size_t cache_count_max = 16384; ///< segments whose progress is kept in memory

struct index_entry {
  std::uint32_t size = 0; ///< of the record with its header
  std::uint32_t sum = 0;
};

std::int64_t to_ms(queue::wall_time at) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

queue::wall_time from_ms(std::int64_t ms) { return queue::wall_time{std::chrono::milliseconds{ms}}; }

std::int64_t head_sum(std::int64_t id, std::int64_t count, std::int64_t appended_ms, std::string_view index) {
  return checksum{}.add(id).add(count).add(appended_ms).add(XXH3_64bits(index.data(), index.size())).value();
}

std::string make_index(std::string_view data, std::size_t count) {
  std::string index;
  index.reserve(count * sizeof(index_entry));
  for (std::size_t at = 0; at < data.size();) {
    std::uint32_t payload_size = 0;
    std::memcpy(&payload_size, data.data() + at + 12, sizeof payload_size);
    auto size = static_cast<std::uint32_t>(payload_size + record_overhead_bytes);
    index_entry entry{size, record_sum(data.data() + at, size)};
    index.append(reinterpret_cast<const char*>(&entry), sizeof entry);
    at += size;
  }
  return index;
}

index_entry entry_at(std::string_view index, std::uint64_t at) {
  index_entry entry;
  std::memcpy(&entry, index.data() + at * sizeof entry, sizeof entry);
  return entry;
}

std::int64_t pack_attempts(std::int64_t key, std::uint32_t attempts) {
  auto sum = static_cast<std::uint32_t>(checksum{}.add(key).add(attempts).value()) & 0x7fffffffU;
  return (static_cast<std::int64_t>(sum) << 32) | attempts;
}

/// Sets bits `first` to `last`; returns how many were not set before.
std::uint64_t set_bits(std::vector<std::uint64_t>& bits, std::uint64_t first, std::uint64_t last) {
  std::uint64_t fresh = 0;
  for (auto word = first / 64; word <= last / 64; ++word) {
    auto mask = ~std::uint64_t{0};
    if (word == first / 64)
      mask &= ~std::uint64_t{0} << (first % 64);
    if (word == last / 64)
      mask &= ~std::uint64_t{0} >> (63 - last % 64);
    fresh += static_cast<std::uint64_t>(std::popcount(mask & ~bits[word]));
    bits[word] |= mask;
  }
  return fresh;
}

bool is_set(const std::vector<std::uint64_t>& bits, std::uint64_t at) {
  return (bits[at / 64] >> (at % 64)) & 1;
}

std::string_view as_bytes(const std::vector<std::uint64_t>& bits) {
  return {reinterpret_cast<const char*>(bits.data()), bits.size() * sizeof(std::uint64_t)};
}

} // namespace

void segment_table::create(sqlite_database& database) {
  database.run(
    "CREATE TABLE segments(id INTEGER PRIMARY KEY, count INTEGER NOT NULL, appended_ms INTEGER NOT NULL,"
    " head_sum INTEGER NOT NULL, idx BLOB NOT NULL, data BLOB NOT NULL, marks BLOB);"
    "CREATE TABLE settled(id INTEGER PRIMARY KEY, sum INTEGER NOT NULL, bits BLOB NOT NULL);"
    "CREATE TABLE attempts(id INTEGER PRIMARY KEY, value INTEGER NOT NULL);");
}

void segment_table::add_marks(sqlite_database& database) {
  database.run("ALTER TABLE segments ADD COLUMN marks BLOB");
}

segment_table::segment_table(sqlite_database& database)
  : database_(database),
    insert_(database.prepare(
      "INSERT INTO segments(id, count, appended_ms, head_sum, idx, data, marks) VALUES(?,?,?,?,?,?,?)")),
    delete_(database.prepare("DELETE FROM segments WHERE id = ?")),
    head_at_(
      database.prepare("SELECT id, count, appended_ms, head_sum, idx FROM segments WHERE id <= ? ORDER BY id "
                       "DESC LIMIT 1")),
    next_(database.prepare("SELECT id FROM segments WHERE id > ? AND id <= ? ORDER BY id LIMIT 1")),
    scan_(database.prepare(
      "SELECT id, count, appended_ms, head_sum, idx, data FROM segments WHERE id >= ? AND id <= ? "
      "ORDER BY id")),
    load_(database.prepare("SELECT id, count, appended_ms, head_sum, idx, data FROM segments WHERE id = ?")),
    raw_(database.prepare("SELECT idx || data FROM segments WHERE id = ?")),
    bits_of_(database.prepare("SELECT sum, bits FROM settled WHERE id = ?")),
    put_bits_(database.prepare("INSERT OR REPLACE INTO settled(id, sum, bits) VALUES(?,?,?)")),
    delete_bits_(database.prepare("DELETE FROM settled WHERE id = ?")),
    attempts_of_(database.prepare("SELECT id, value FROM attempts WHERE id >= ? AND id <= ?")),
    put_attempts_(database.prepare("INSERT OR REPLACE INTO attempts(id, value) VALUES(?,?)")),
    delete_attempts_(database.prepare("DELETE FROM attempts WHERE id >= ? AND id <= ?")) {
  auto any = database.prepare("SELECT 1 FROM attempts LIMIT 1");
  has_attempts_ = any.step();
}

// -- writing

void segment_table::insert(std::int64_t queue_id, const queue::segment& segment, std::string_view marks) {
  auto id = record_key(queue_id, segment.first_seq);
  auto data = segment.records.bytes();
  auto count = static_cast<std::int64_t>(segment.records.count());
  auto index = make_index(data, segment.records.count());
  auto ms = to_ms(segment.appended_at);
  insert_.bind(1, id).bind(2, count).bind(3, ms).bind(4, head_sum(id, count, ms, index));
  insert_.bind_blob(5, index).bind_blob(6, data).bind_blob(7, marks).run();
  if (cache_.size() >= cache_count_max)
    cache_.clear();
  progress fresh;
  fresh.count = segment.records.count();
  fresh.bits.resize((fresh.count + 63) / 64);
  cache_.insert_or_assign(id, std::move(fresh));
}

segment_table::progress segment_table::load_progress(std::int64_t id, std::uint64_t count) {
  progress out;
  out.count = count;
  out.bits.resize((count + 63) / 64);
  bits_of_.bind(1, id);
  sqlite_reset guard{bits_of_};
  if (!bits_of_.step())
    return out;
  auto bits = bits_of_.bytes(1);
  if (bits.size() != out.bits.size() * sizeof(std::uint64_t)
      || bits_of_.integer(0) != checksum{}.add(id).add(bits).value())
    throw damaged_segment{id, damaged_segment::part::settled,
                          "the list of settled records fails its checksum"};
  std::memcpy(out.bits.data(), bits.data(), bits.size());
  out.is_stored = true;
  for (auto word : out.bits)
    out.settled_count += static_cast<std::uint64_t>(std::popcount(word));
  return out;
}

segment_table::cache::iterator segment_table::find_covering(std::int64_t key) {
  auto covers = [key](cache::iterator it) {
    return seq_of(it->first) + it->second.count > seq_of(key) && queue_of(it->first) == queue_of(key);
  };
  auto it = cache_.upper_bound(key);
  if (it != cache_.begin() && covers(std::prev(it)))
    return std::prev(it);
  head_at_.bind(1, key);
  sqlite_reset guard{head_at_};
  if (!head_at_.step() || queue_of(head_at_.integer(0)) != queue_of(key))
    return cache_.end();
  auto head = check(head_at_);
  auto made = cache_.find(head.id); // what is there may be newer than what is stored
  if (made == cache_.end())
    made = cache_.emplace(head.id, load_progress(head.id, head.count)).first;
  return covers(made) ? made : cache_.end();
}

std::optional<std::int64_t> segment_table::next_segment(std::int64_t above, std::int64_t up_to) {
  next_.bind(1, above).bind(2, up_to);
  sqlite_reset guard{next_};
  if (!next_.step())
    return std::nullopt;
  return next_.integer(0);
}

std::uint64_t segment_table::settle(std::int64_t queue_id, const std::vector<queue::seq_range>& ranges) {
  std::uint64_t total = 0;
  std::optional<std::int64_t> open; // ranges ascend, so a segment is done with once another one begins
  for (auto range : ranges) {
    for (auto at = range.first; at <= range.last;) {
      auto it = find_covering(record_key(queue_id, at));
      if (it == cache_.end()) {
        auto next =
          next_segment(record_key(queue_id, at), record_key(queue_id, std::min(range.last, seq_max)));
        if (!next)
          break;
        at = seq_of(*next);
        continue;
      }
      auto id = it->first;
      if (open && *open != id)
        store_progress(*open);
      open = id;
      auto first = seq_of(id);
      auto last = std::min(range.last, first + it->second.count - 1);
      auto fresh = set_bits(it->second.bits, at - first, last - first);
      it->second.settled_count += fresh;
      total += fresh;
      at = last + 1;
    }
  }
  if (open)
    store_progress(*open);
  if (cache_.size() >= cache_count_max)
    cache_.clear();
  return total;
}

void segment_table::store_progress(std::int64_t id) {
  auto it = cache_.find(id);
  auto& now = it->second;
  if (now.settled_count < now.count) {
    auto bits = as_bytes(now.bits);
    put_bits_.bind(1, id).bind(2, checksum{}.add(id).add(bits).value()).bind_blob(3, bits).run();
    now.is_stored = true;
    return;
  }
  delete_.bind(1, id).run();
  if (now.is_stored)
    delete_bits_.bind(1, id).run();
  if (has_attempts_)
    delete_attempts_.bind(1, id).bind(2, id + static_cast<std::int64_t>(now.count) - 1).run();
  cache_.erase(it);
}

void segment_table::set_attempts(std::int64_t queue_id, queue::seq_range where, std::uint32_t attempts) {
  for (auto seq = where.first; seq <= where.last; ++seq) {
    auto key = record_key(queue_id, seq);
    put_attempts_.bind(1, key).bind(2, pack_attempts(key, attempts)).run();
  }
  has_attempts_ = true;
}

// -- reading

segment_table::loaded segment_table::check(sqlite_statement& row) {
  loaded out;
  out.id = row.integer(0);
  out.count = row.number(1);
  out.appended_at = from_ms(row.integer(2));
  out.index = row.bytes(4);
  if (row.integer(3) != head_sum(out.id, row.integer(1), row.integer(2), out.index)
      || out.index.size() != out.count * sizeof(index_entry))
    throw damaged_segment{out.id, damaged_segment::part::segment,
                          "the head of the segment fails its checksum"};
  return out;
}

std::vector<std::uint32_t> segment_table::load_attempts(const loaded& of) {
  std::vector<std::uint32_t> attempts;
  if (!has_attempts_)
    return attempts;
  attempts_of_.bind(1, of.id).bind(2, of.id + static_cast<std::int64_t>(of.count) - 1);
  sqlite_reset guard{attempts_of_};
  while (attempts_of_.step()) {
    auto key = attempts_of_.integer(0);
    auto count = static_cast<std::uint32_t>(attempts_of_.integer(1));
    attempts.resize(of.count);
    if (attempts_of_.integer(1) == pack_attempts(key, count)) // else: as never tried, which harms least
      attempts[static_cast<std::size_t>(key - of.id)] = count;
  }
  return attempts;
}

/// Copies the records out whose position is `wanted` and whose checksum is right.
template <class Wanted>
queue::read_outcome::part segment_table::pick(const loaded& from, Wanted wanted,
                                              std::vector<damaged_record>& damaged) {
  auto attempts = load_attempts(from);
  record_block_builder some;
  std::size_t offset = 0;
  bool is_whole = attempts.empty();
  for (std::uint64_t at = 0; at < from.count; ++at) {
    auto entry = entry_at(from.index, at);
    auto start = offset;
    offset += entry.size;
    if (!wanted(at)) {
      is_whole = false;
      continue;
    }
    auto seq = seq_of(from.id) + at;
    bool is_there = offset <= from.data.size();
    if (!is_there || record_sum(from.data.data() + start, entry.size) != entry.sum) {
      auto rest = from.data.substr(std::min(start, from.data.size()), entry.size);
      damaged.push_back(
        {seq, is_there ? "the record fails its checksum" : "the record is cut off", std::string{rest}});
      is_whole = false;
    }
  }
  if (is_whole && offset == from.data.size())
    if (auto all = record_block::from_bytes(std::string{from.data}))
      return {std::move(*all), from.appended_at};
  offset = 0;
  auto bad = damaged.cbegin();
  for (std::uint64_t at = 0; at < from.count; ++at) {
    auto size = entry_at(from.index, at).size;
    auto start = std::exchange(offset, offset + size);
    auto seq = seq_of(from.id) + at;
    while (bad != damaged.cend() && bad->seq < seq)
      ++bad;
    if (!wanted(at) || (bad != damaged.cend() && bad->seq == seq))
      continue;
    some.add(seq, attempts.empty() ? 0 : attempts[at],
             from.data.substr(start + record_overhead_bytes, size - record_overhead_bytes));
  }
  return {some.finish(), from.appended_at};
}

segment_table::found segment_table::read(std::int64_t queue_id, std::uint64_t after_seq,
                                         std::size_t count_max, std::size_t size_bytes_max) {
  found out;
  out.seq_last = after_seq;
  auto start = record_key(queue_id, after_seq + 1);
  {
    head_at_.bind(1, start);
    sqlite_reset guard{head_at_};
    if (head_at_.step() && queue_of(head_at_.integer(0)) == queue_id)
      start = head_at_.integer(0);
  }
  std::size_t count = 0;
  std::size_t size = 0;
  scan_.bind(1, start).bind(2, record_key(queue_id, seq_max));
  sqlite_reset guard{scan_};
  while (scan_.step()) {
    if (count > 0 && (count >= count_max || size >= size_bytes_max))
      return out;
    auto segment = check(scan_);
    segment.data = scan_.bytes(5);
    auto first = seq_of(segment.id);
    auto now = load_progress(segment.id, segment.count);
    auto wanted = [&](std::uint64_t at) { return first + at > after_seq && !is_set(now.bits, at); };
    auto part = pick(segment, wanted, out.damaged);
    count += part.records.count();
    size += part.records.bytes().size();
    out.seq_last = std::max(out.seq_last, first + segment.count - 1);
    if (!part.records.empty())
      out.parts.push_back(std::move(part));
  }
  out.at_end = true;
  return out;
}

segment_table::found segment_table::read(std::int64_t queue_id, const std::vector<std::uint64_t>& seqs,
                                         std::size_t size_bytes_max) {
  found out;
  if (cache_.size() >= cache_count_max)
    cache_.clear();
  std::size_t size = 0;
  for (auto it = seqs.begin(); it != seqs.end();) {
    if (size > 0 && size >= size_bytes_max)
      return out;
    auto where = find_covering(record_key(queue_id, *it));
    if (where == cache_.end()) {
      out.seq_last = *it++;
      continue;
    }
    auto first = seq_of(where->first);
    auto end = std::lower_bound(it, seqs.end(), first + where->second.count);
    load_.bind(1, where->first);
    sqlite_reset guard{load_};
    if (!load_.step())
      throw damaged_segment{where->first, damaged_segment::part::settled, "its segment is gone"};
    auto segment = check(load_);
    segment.data = load_.bytes(5);
    const auto& bits = where->second.bits;
    auto wanted = [&, next = it](std::uint64_t at) mutable {
      next = std::lower_bound(at == 0 ? it : next, end, first + at);
      return next != end && *next == first + at && !is_set(bits, at);
    };
    auto part = pick(segment, wanted, out.damaged);
    size += part.records.bytes().size();
    if (!part.records.empty())
      out.parts.push_back(std::move(part));
    out.seq_last = *std::prev(end);
    it = end;
  }
  return out;
}

std::optional<queue::wall_time> segment_table::oldest_at(std::int64_t queue_id) {
  scan_.bind(1, record_key(queue_id, 0)).bind(2, record_key(queue_id, seq_max));
  sqlite_reset guard{scan_};
  if (!scan_.step())
    return std::nullopt;
  return from_ms(scan_.integer(2));
}

// -- damage

segment_table::tally segment_table::recount(std::int64_t queue_id) {
  tally out;
  auto heads = database_.prepare("SELECT id, count FROM segments WHERE id >= ? AND id <= ? ORDER BY id");
  heads.bind(1, record_key(queue_id, 0)).bind(2, record_key(queue_id, seq_max));
  while (heads.step()) {
    auto count = heads.number(1);
    std::uint64_t settled = 0;
    bits_of_.bind(1, heads.integer(0));
    sqlite_reset guard{bits_of_};
    if (bits_of_.step())
      for (auto byte : bits_of_.bytes(1))
        settled += static_cast<std::uint64_t>(std::popcount(static_cast<unsigned char>(byte)));
    out.count += count - std::min(count, settled);
    out.seq_last = seq_of(heads.integer(0)) + count - 1;
  }
  return out;
}

segment_table::above segment_table::read_above(std::int64_t queue_id, std::uint64_t seq) {
  above out;
  out.seq_last = seq;
  auto heads = database_.prepare(
    "SELECT id, count, appended_ms, head_sum, idx, marks FROM segments WHERE id > ? AND id <= ? ORDER BY id");
  heads.bind(1, record_key(queue_id, seq)).bind(2, record_key(queue_id, seq_max));
  while (heads.step()) {
    const auto id = heads.integer(0);
    if (const auto marks = heads.bytes(5); !marks.empty())
      out.marks.emplace_back(id, marks);
    auto last = seq_of(id) - 1;
    try {
      const auto count = check(heads).count;
      out.count += count;
      last += count;
    } catch (const damaged_segment& found) { // nobody knows how long it was, nor, for sure, where
      out.damaged = found;
      last = std::min(last, seq_max / 2) + queue::segment_count_max;
    }
    out.seq_last = std::max(out.seq_last, last);
  }
  return out;
}

std::string segment_table::remove(const damaged_segment& what) {
  std::string bytes;
  auto& of = what.what == damaged_segment::part::segment ? raw_ : bits_of_;
  of.bind(1, what.id);
  if (sqlite_reset guard{of}; of.step())
    bytes = of.bytes(what.what == damaged_segment::part::segment ? 0 : 1);
  if (what.what == damaged_segment::part::segment)
    delete_.bind(1, what.id).run();
  delete_bits_.bind(1, what.id).run();
  cache_.erase(what.id);
  return bytes;
}

} // namespace sluice::store
