#include "transport/store/queue_store.hpp"

#include "transport/store/kept_room.hpp"
#include "transport/store/queue_store_lag.hpp"
#include "transport/store/queue_store_letters.hpp"
#include "transport/store/queue_store_rows.hpp"
#include "transport/store/queue_store_segments.hpp"
#include "transport/store/sqlite.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace sluice::store {

namespace {

constexpr int schema_version = 3; // 1 had no fingerprints of producers, 2 no marks in segments
constexpr std::int32_t application_id = 0x534c5131; // "SLQ1"
constexpr int page_size_bytes = 8192;               // measured best over record sizes 100 bytes to 10 KiB
// Deleting a record reads its pages again. So what is read ahead and what replicas have in hand should still be
// there: measured with 10-KiB records, a third less work than with 16 MiB.
constexpr std::int64_t cache_bytes = 48 << 20;
constexpr std::uint64_t seq_jump = 1u << 20; // over seqs that may have been given before damage

sqlite_options database_options(const queue_store_options& opts) {
  sqlite_options out;
  out.path = opts.path;
  out.page_size_bytes = page_size_bytes;
  out.size_bytes_max = opts.size_bytes_max;
  out.cache_bytes = cache_bytes;
  out.application_id = application_id;
  out.schema_version = schema_version;
  out.kind = "queue store";
  out.vfs = opts.vfs;
  return out;
}

void create_tables(sqlite_database& database) {
  sqlite_transaction all{database};
  row_table::create(database);
  segment_table::create(database);
  letter_table::create(database);
  database.set_schema_version(schema_version);
  all.commit();
}

void update_tables(sqlite_database& database) {
  sqlite_transaction all{database};
  if (database.schema_version() < 2)
    row_table::add_fingerprints(database);
  segment_table::add_marks(database);
  database.set_schema_version(schema_version);
  all.commit();
}

/// Before anything of the file is changed.
result<void> check_pair(sqlite_database& database, const queue_store_options& opts) {
  if (opts.pair.id == 0 || opts.pair.accept_other || database.schema_version() == 0)
    return {};
  const auto found = row_table::pair_id(database);
  if (found == 0 || found == opts.pair.id)
    return {};
  return fail(errc::corrupt, opts.path + " does not go with " + opts.pair.path
                               + " beside it: they are of two heads, or of one head before and after one of "
                                 "them was begun anew. Nothing was changed. Restore both files from one "
                                 "backup, or take them for a pair: start it with --accept-loss");
}

void keep_pair(sqlite_database& database, const queue_store_options& opts) {
  if (opts.pair.id == 0 || row_table::pair_id(database) == opts.pair.id)
    return;
  sqlite_transaction all{database};
  row_table::put_pair_id(database, opts.pair.id);
  all.commit();
}

queue::recount recount_of(const queue_row& row) {
  return {queue_name{row.name}, row.count, row.dead_count, row.damaged_count};
}

class queue_store final : public queue::store_port {
public:
  queue_store(queue_store_options opts, std::unique_ptr<sqlite_database> database)
    : opts_(std::move(opts)), database_(std::move(database)), rows_(*database_), segments_(*database_),
      letters_(*database_), lag_(rows_, segments_), kept_room_(opts_.path + "-room", opts_.room_bytes) {}

  void open();

  result<queue::contents> load() override;
  result<queue::write_outcome> write(const queue::write_batch& batch) override;
  result<queue::read_outcome> read(const queue_name& name, std::uint64_t after_seq, std::size_t count_max,
                                   std::size_t size_bytes_max) override;
  result<queue::read_outcome> read(const queue_name& name, const std::vector<std::uint64_t>& seqs,
                                   std::size_t size_bytes_max) override;
  result<queue::letters_outcome> dead_letters(const queue_name& name, std::uint64_t after_id,
                                              std::size_t count_max, std::size_t size_bytes_max) override;
  result<queue::requeue_outcome> requeue(const queue::requeue_step& what) override;
  result<std::uint64_t> purge_dead_letters(const queue_name& name) override;
  std::optional<failure> broken() const override { return broken_; }

private:
  template <class Outcome, class Work>
  result<Outcome> guarded(Work work);
  template <class Work>
  void transact(Work work);
  template <class Work>
  void transact_in_any_room(Work work);
  template <class Read>
  result<queue::read_outcome> read_checked(const queue_name& name, Read read);

  void append_only(const queue::write_batch& batch);
  void append(const queue::write_batch& batch, std::string_view marks);
  void write_all(const queue::write_batch& batch);
  void forget(const queue_name& name);
  void bury(const queue::grave& grave, queue::wall_time now);
  letter_table::found next_letters(std::int64_t queue_id, const queue::requeue_step& what,
                                   std::uint64_t id_max);

  queue::store_room room();
  void complain(const std::string& what);
  void keep_record(queue_row& row, const damaged_record& record);
  void keep_segment(const damaged_segment& segment);
  void keep_letters(const std::vector<letter_row>& damaged);
  void repair_rows(const std::vector<damaged_row>& damaged);
  void catch_up_rows();
  void recount(std::int64_t queue_id);
  const std::vector<queue::recount>& recounts_now();

  queue_store_options opts_;
  std::unique_ptr<sqlite_database> database_;
  row_table rows_;
  segment_table segments_;
  letter_table letters_;
  row_lag lag_;
  kept_room kept_room_;
  std::uint64_t epoch_ = 0;
  std::uint64_t producer_use_ = 0;
  std::optional<failure> broken_;
  std::vector<queue::recount> recounts_; ///< since the call began
  bool is_caught_up_ = false;
  bool is_loaded_ = false;
  std::vector<std::string> damage_at_opening_; ///< until `load` tells it
};

// -- calls and transactions

/// Runs one call of the port: turns what SQLite throws into a failure, and damage that
/// has been set aside into another try.
template <class Outcome, class Work>
result<Outcome> queue_store::guarded(Work work) {
  if (broken_)
    return tl::unexpected<failure>{*broken_};
  recounts_.clear();
  std::set<std::pair<std::int64_t, damaged_segment::part>> kept;
  try {
    for (;;) {
      try {
        catch_up_rows();
        return work();
      } catch (const damaged_segment& segment) {
        rows_.drop_changes();
        segments_.forget_cache();
        if (!kept.emplace(segment.id, segment.what)
               .second) // deleting it did not help: the file itself is damaged
          return fail(errc::corrupt, "queue store '" + opts_.path + "': " + segment.why
                                       + ", and it cannot be set aside; see table 'damaged'");
        transact([&] { keep_segment(segment); });
      }
    }
  } catch (const sqlite_error& why) {
    rows_.drop_changes();
    segments_.forget_cache();
    auto out = why.to_failure();
    if (why.is_sync_failure()) {
      out.message +=
        "; a failed sync leaves open what is on disk, so nothing more is stored: start the head anew";
      broken_ = out;
    }
    return tl::unexpected<failure>{std::move(out)};
  } catch (...) { // no memory, for example: nothing of it was stored
    rows_.drop_changes();
    segments_.forget_cache();
    throw;
  }
}

template <class Work>
void queue_store::transact(Work work) {
  sqlite_transaction all{*database_};
  lag_.store(producer_use_);
  work();
  rows_.store_changes();
  all.commit();
  rows_.adopt();
  lag_.clear();
}

/// For what makes room: on a full disk once more, in the room that is kept for it.
template <class Work>
void queue_store::transact_in_any_room(Work work) {
  try {
    return transact(work);
  } catch (const sqlite_error& full) {
    if (!full.is_full())
      throw;
    kept_room_.give_up();
    if (!database_->begin_log_anew())
      throw;
  }
  rows_.drop_changes();
  segments_.forget_cache();
  transact(work);
}

// -- opening

void queue_store::open() {
  const auto damaged = rows_.load();
  transact([&] {
    epoch_ = rows_.count_opening();
    repair_rows(damaged);
  });
  producer_use_ = epoch_ << 32; // above every use counted before
  kept_room_.keep();
}

void queue_store::repair_rows(const std::vector<damaged_row>& damaged) {
  for (const auto& [id, found] : damaged) {
    auto& row = *rows_.change(id);
    auto text = "the row of queue '" + found + "' (number " + std::to_string(id)
                + ") fails its checksum; its records were counted anew";
    if (row.name != found)
      text += ", and as that name cannot be right it is called '" + row.name + "' now";
    else if (id != 0)
      text += ", and its name may be wrong: if producers or consumers miss a queue, it is this one";
    complain(text + "; a repeat of the last request of a producer may be stored again");
    row.seq_last = std::max(row.seq_last, segments_.recount(id).seq_last);
    row.seq_last = std::min(row.seq_last, seq_max / 2) + seq_jump;
    recount(id);
  }
}

void queue_store::catch_up_rows() {
  if (is_caught_up_)
    return;
  const auto damaged = lag_.find();
  is_caught_up_ = true;
  if (damaged)
    throw *damaged;
}

result<queue::contents> queue_store::load() {
  return guarded<queue::contents>([&]() -> queue::contents {
    queue::contents out;
    out.epoch = epoch_;
    for (const auto& [id, row] : rows_.all())
      if (id != 0)
        out.queues.push_back({queue_name{row.name}, row.count, row.dead_count, row.seq_last,
                              row.count > 0 ? segments_.oldest_at(id) : std::nullopt, row.damaged_count});
    std::vector<std::string> complaints;
    out.producers = rows_.producers(complaints);
    lag_.add_producers(out.producers);
    if (lag_.has_lost_marks())
      complaints.emplace_back(
        "marks of producers in the newest segments fail their checksum: a repeat of the last "
        "request of one would be stored again");
    out.cursors = rows_.cursors(complaints);
    for (const auto& text : complaints)
      complain(text);
    out.room = room();
    out.damage = std::move(damage_at_opening_);
    is_loaded_ = true;
    return out;
  });
}

queue::store_room queue_store::room() {
  if (opts_.size_bytes_max <= 0)
    return {};
  return {database_->used_bytes(), static_cast<std::uint64_t>(opts_.size_bytes_max)};
}

// -- writing

result<queue::write_outcome> queue_store::write(const queue::write_batch& batch) {
  auto outcome = guarded<queue::write_outcome>([&]() -> queue::write_outcome {
    if (lag_.may_take(batch))
      append_only(batch);
    else if (batch.appends.empty())
      transact_in_any_room([&] { write_all(batch); });
    else
      transact([&] { write_all(batch); });
    return {recounts_now(), room()};
  });
  if (!outcome)
    return outcome;
  try {
    if (database_->checkpoint_if_due())
      kept_room_.keep(); // if it was given up; not at each write, as there may be no room for long
  } catch (const sqlite_error& why) { // what was written is safe, but it is the last
    broken_ = failure{errc::unavailable, why.what()};
  }
  return outcome;
}

void queue_store::append_only(const queue::write_batch& batch) {
  sqlite_transaction all{*database_};
  append(batch, lag_.marks_of(batch));
  all.commit();
  rows_.adopt();
  lag_.take(batch);
}

void queue_store::append(const queue::write_batch& batch, std::string_view marks) {
  for (const auto& segment : batch.appends) {
    auto& row = *rows_.change(segment.queue, true);
    segments_.insert(row.id, segment, std::exchange(marks, {}));
    row.count += segment.records.count();
    row.seq_last = std::max<std::uint64_t>(row.seq_last, segment.first_seq + segment.records.count() - 1);
  }
}

void queue_store::write_all(const queue::write_batch& batch) {
  for (const auto& name : batch.queues_forgotten)
    forget(name);
  append(batch, {});
  for (const auto& update : batch.attempts) { // before records go, so that nothing is left of those that do
    if (const auto* row = rows_.change(update.queue, false))
      segments_.set_attempts(row->id, update.where, update.attempts);
  }
  for (const auto& settled : batch.settled) {
    if (auto* row = rows_.change(settled.queue, false))
      row->count -= std::min(row->count, segments_.settle(row->id, settled.ranges));
  }
  for (const auto& grave : batch.graves)
    bury(grave, batch.now);
  for (const auto& cursor : batch.cursors)
    rows_.put_cursor(cursor.key, cursor.next);
  for (const auto& mark : batch.producers)
    rows_.put_producer(mark, ++producer_use_);
  for (const auto& name : batch.producers_forgotten)
    rows_.forget_producer(name);
}

/// What the row says may be less than what is there, after damage.
void queue_store::forget(const queue_name& name) {
  const auto* row = name.empty() ? nullptr : rows_.find(name);
  if (row != nullptr && row->count == 0 && row->dead_count == 0 && segments_.recount(row->id).count == 0
      && letters_.count(row->id) == 0)
    rows_.forget(row->id);
}

void queue_store::bury(const queue::grave& grave, queue::wall_time now) {
  auto& row = *rows_.change(grave.queue, true);
  if (grave.queue.empty()) {
    letters_.insert(row.id, grave, grave.payload, now);
    ++row.dead_count;
    return;
  }
  auto found = segments_.read(row.id, std::vector<std::uint64_t>{grave.seq}, 0);
  for (const auto& record : found.damaged)
    keep_record(row, record);
  for (const auto& part : found.parts)
    for (auto record : part.records) {
      letters_.insert(row.id, grave, record.payload, now);
      ++row.dead_count;
    }
  row.count -= std::min(row.count, segments_.settle(row.id, {{grave.seq, grave.seq}}));
  if (found.parts.empty())
    recounts_.push_back(recount_of(row));
}

// -- reading

template <class Read>
result<queue::read_outcome> queue_store::read_checked(const queue_name& name, Read read) {
  return guarded<queue::read_outcome>([&]() -> queue::read_outcome {
    const auto* row = rows_.find(name);
    if (row == nullptr)
      return {{}, 0, true, {}};
    auto found = read(row->id);
    if (!found.damaged.empty())
      transact([&] {
        std::vector<queue::seq_range> where;
        auto& changed = *rows_.change(row->id);
        for (const auto& record : found.damaged) {
          keep_record(changed, record);
          where.push_back({record.seq, record.seq});
        }
        changed.count -= std::min(changed.count, segments_.settle(row->id, where));
        recounts_.push_back(recount_of(changed));
      });
    return {std::move(found.parts), found.seq_last, found.at_end, recounts_now()};
  });
}

result<queue::read_outcome> queue_store::read(const queue_name& name, std::uint64_t after_seq,
                                              std::size_t count_max, std::size_t size_bytes_max) {
  return read_checked(
    name, [&](std::int64_t id) { return segments_.read(id, after_seq, count_max, size_bytes_max); });
}

result<queue::read_outcome> queue_store::read(const queue_name& name, const std::vector<std::uint64_t>& seqs,
                                              std::size_t size_bytes_max) {
  return read_checked(name, [&](std::int64_t id) { return segments_.read(id, seqs, size_bytes_max); });
}

// -- dead letters

result<queue::letters_outcome> queue_store::dead_letters(const queue_name& name, std::uint64_t after_id,
                                                         std::size_t count_max, std::size_t size_bytes_max) {
  return guarded<queue::letters_outcome>([&]() -> queue::letters_outcome {
    const auto* row = rows_.find(name);
    if (row == nullptr && !name.empty())
      return {};
    std::optional<std::int64_t> id;
    if (!name.empty())
      id = row->id;
    auto found = letters_.read(id, after_id, count_max, size_bytes_max);
    if (!found.damaged.empty())
      transact([&] { keep_letters(found.damaged); });
    queue::letters_outcome out{{}, recounts_now()};
    for (auto& [queue_id, letter] : found.letters) {
      if (const auto* of = rows_.find(queue_id))
        letter.queue = queue_name{of->name};
      out.letters.push_back(std::move(letter));
    }
    return out;
  });
}

letter_table::found queue_store::next_letters(std::int64_t queue_id, const queue::requeue_step& what,
                                              std::uint64_t id_max) {
  const auto& ids = what.ids;
  if (ids.empty())
    return letters_.read(queue_id, what.after_id, queue::segment_count_max, queue::segment_size_bytes_max / 2,
                         id_max);
  letter_table::found out;
  out.id_last = what.after_id;
  std::size_t size = 0;
  auto it = std::upper_bound(ids.begin(), ids.end(), what.after_id);
  for (; it != ids.end() && *it <= id_max && out.letters.size() < queue::segment_count_max
         && size < queue::segment_size_bytes_max / 2;
       ++it) {
    auto one = letters_.read_one(queue_id, *it);
    out.id_last = *it;
    for (auto& found : one.letters) {
      size += found.letter.payload.size();
      out.letters.push_back(std::move(found));
    }
    std::move(one.damaged.begin(), one.damaged.end(), std::back_inserter(out.damaged));
  }
  return out;
}

result<queue::requeue_outcome> queue_store::requeue(const queue::requeue_step& what) {
  return guarded<queue::requeue_outcome>([&]() -> queue::requeue_outcome {
    const auto* row = rows_.find(what.queue);
    if (row == nullptr)
      return {};
    const auto id_max = what.id_max != 0 ? what.id_max : letters_.id_max(row->id);
    auto found = next_letters(row->id, what, id_max);
    queue::requeue_outcome out{found.letters.size(), found.id_last, id_max, {}};
    if (found.letters.empty() && found.damaged.empty())
      return out;
    transact([&] {
      keep_letters(found.damaged);
      record_block_builder records;
      for (const auto& [queue_id, letter] : found.letters) {
        records.add(what.first_seq + records.count(), 0, letter.payload);
        letters_.remove(letter.id);
      }
      if (records.count() == 0)
        return;
      auto& changed = *rows_.change(row->id);
      changed.count += records.count();
      changed.dead_count -= std::min<std::uint64_t>(changed.dead_count, records.count());
      changed.seq_last = what.first_seq + records.count() - 1;
      segments_.insert(row->id, {what.queue, what.first_seq, records.finish(), what.now});
    });
    out.recounts = recounts_now();
    return out;
  });
}

result<std::uint64_t> queue_store::purge_dead_letters(const queue_name& name) {
  return guarded<std::uint64_t>([&]() -> std::uint64_t {
    const auto* row = rows_.find(name);
    if (row == nullptr)
      return 0;
    std::uint64_t count = 0;
    transact_in_any_room([&] {
      count = letters_.remove_all(row->id);
      rows_.change(row->id)->dead_count = 0;
    });
    return count;
  });
}

// -- damage: kept, reported, never handed out

void queue_store::complain(const std::string& what) {
  const auto text = "queue store '" + opts_.path + "': " + what;
  if (!is_loaded_)
    damage_at_opening_.push_back(text);
  if (opts_.on_damage)
    opts_.on_damage(text);
}

void queue_store::keep_record(queue_row& row, const damaged_record& record) {
  ++row.damaged_count;
  rows_.keep_damage(row.name, record.seq, record.why, record.bytes);
  complain("queue '" + row.name + "', record " + std::to_string(record.seq) + ": " + record.why
           + "; its bytes were moved to the table 'damaged'");
}

void queue_store::keep_segment(const damaged_segment& segment) {
  auto queue_id = queue_of(segment.id);
  const auto* row = rows_.find(queue_id);
  auto name = row != nullptr ? row->name : "number " + std::to_string(queue_id);
  auto bytes = segments_.remove(segment);
  rows_.keep_damage(name, seq_of(segment.id), segment.why, bytes);
  complain("queue '" + name + "', segment from record " + std::to_string(seq_of(segment.id)) + ": "
           + segment.why
           + (segment.what == damaged_segment::part::segment ? "; its bytes were moved to the table 'damaged'"
                                                             : "; all its records are delivered again"));
  if (row == nullptr)
    return;
  auto& changed = *rows_.change(queue_id);
  const auto before = changed.count;
  recount(queue_id);
  // One above a row that lags behind was never counted.
  const std::uint64_t lost_min = segment.what == damaged_segment::part::segment ? 1 : 0;
  changed.damaged_count += std::max(before - std::min(before, changed.count), lost_min);
}

void queue_store::keep_letters(const std::vector<letter_row>& damaged) {
  std::vector<std::int64_t> changed;
  for (const auto& [queue_id, letter] : damaged) {
    const auto* row = rows_.find(queue_id);
    auto name = row != nullptr ? row->name : "number " + std::to_string(queue_id);
    rows_.keep_damage(name, letter.id, "the dead letter fails its checksum", letter.payload);
    letters_.remove(letter.id);
    complain("queue '" + name + "', dead letter " + std::to_string(letter.id)
             + ": it fails its checksum; its bytes were moved to the table 'damaged'");
    if (row == nullptr)
      continue;
    ++rows_.change(queue_id)->damaged_count;
    if (std::find(changed.begin(), changed.end(), queue_id) == changed.end())
      changed.push_back(queue_id);
  }
  for (auto id : changed)
    recount(id);
}

void queue_store::recount(std::int64_t queue_id) {
  auto& row = *rows_.change(queue_id);
  row.count = segments_.recount(queue_id).count;
  row.dead_count = letters_.count(queue_id);
  recounts_.push_back(recount_of(row));
}

/// What was counted anew, with what the call has changed since: the caller takes it in place of its own sums.
const std::vector<queue::recount>& queue_store::recounts_now() {
  for (auto& counted : recounts_)
    if (const auto* row = rows_.find(counted.queue))
      counted = recount_of(*row);
  return recounts_;
}

} // namespace

result<std::unique_ptr<queue::store_port>> open_queue_store(queue_store_options options) {
  auto database = sqlite_database::open(database_options(options));
  if (!database)
    return fail(database);
  try {
    if (auto goes = check_pair(**database, options); !goes)
      return fail(goes);
    if ((*database)->schema_version() == 0)
      create_tables(**database);
    else if ((*database)->schema_version() < schema_version)
      update_tables(**database);
    keep_pair(**database, options);
    auto made = std::make_unique<queue_store>(std::move(options), std::move(*database));
    made->open();
    return made;
  } catch (const sqlite_error& why) {
    return tl::unexpected<failure>{why.to_failure()};
  } catch (const damaged_segment& segment) {
    return fail(errc::corrupt, "queue store: segment " + std::to_string(segment.id) + ": " + segment.why);
  }
}

} // namespace sluice::store
