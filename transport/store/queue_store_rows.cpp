#include "transport/store/queue_store_rows.hpp"

#include "transport/store/queue_store_checksum.hpp"
#include "transport/store/queue_store_segments.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sluice::store {

namespace {

constexpr std::string_view damaged_prefix =
  "damaged/"; ///< of a key in `meta`; the number of the queue follows

std::string damaged_key(std::int64_t id) { return std::string{damaged_prefix} + std::to_string(id); }

std::int64_t sum_of(const queue_row& row) {
  return checksum{}.add(row.id).add(row.name).add(row.seq_last).add(row.count).add(row.dead_count).value();
}

std::int64_t sum_of(std::string_view key, std::string_view value) {
  return checksum{}.add(key).add(value).value();
}

/// Without a fingerprint as in format 1, which had none.
std::int64_t sum_of(std::string_view producer, std::uint64_t seq, std::uint64_t fingerprint) {
  checksum sum;
  sum.add(producer).add(seq);
  if (fingerprint != 0)
    sum.add(fingerprint);
  return sum.value();
}

} // namespace

void row_table::create(sqlite_database& database) {
  database.run(
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta VALUES('epoch', 0);"
    "CREATE TABLE queues(id INTEGER PRIMARY KEY, name TEXT NOT NULL, seq_last INTEGER NOT NULL,"
    " count INTEGER NOT NULL, dead_count INTEGER NOT NULL, sum INTEGER NOT NULL);"
    "CREATE TABLE producers(name TEXT PRIMARY KEY, seq INTEGER NOT NULL, used INTEGER NOT NULL,"
    " sum INTEGER NOT NULL, fingerprint INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
    "CREATE TABLE cursors(key TEXT PRIMARY KEY, value TEXT NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE damaged(id INTEGER PRIMARY KEY, queue TEXT NOT NULL, seq INTEGER NOT NULL,"
    " why TEXT NOT NULL, bytes BLOB NOT NULL);");
}

void row_table::add_fingerprints(sqlite_database& database) {
  database.run("ALTER TABLE producers ADD COLUMN fingerprint INTEGER NOT NULL DEFAULT 0");
}

std::uint64_t row_table::pair_id(sqlite_database& database) {
  auto found = database.prepare("SELECT value FROM meta WHERE key = 'pair'");
  sqlite_reset guard{found};
  return found.step() ? found.number(0) : 0;
}

void row_table::put_pair_id(sqlite_database& database, std::uint64_t id) {
  database.prepare("INSERT OR REPLACE INTO meta(key, value) VALUES('pair', ?)").bind(1, id).run();
}

row_table::row_table(sqlite_database& database)
  : database_(database),
    put_(database.prepare(
      "INSERT OR REPLACE INTO queues(id, name, seq_last, count, dead_count, sum) VALUES(?,?,?,?,?,?)")),
    forget_(database.prepare("DELETE FROM queues WHERE id = ?")),
    put_producer_(database.prepare(
      "INSERT OR REPLACE INTO producers(name, seq, used, sum, fingerprint) VALUES(?,?,?,?,?)")),
    forget_producer_(database.prepare("DELETE FROM producers WHERE name = ?")),
    put_cursor_(database.prepare("INSERT OR REPLACE INTO cursors(key, value, sum) VALUES(?,?,?)")),
    keep_damage_(database.prepare("INSERT INTO damaged(queue, seq, why, bytes) VALUES(?,?,?,?)")),
    put_meta_(database.prepare("INSERT OR REPLACE INTO meta(key, value) VALUES(?,?)")),
    forget_meta_(database.prepare("DELETE FROM meta WHERE key = ?")) {}

std::vector<damaged_row> row_table::load() {
  std::vector<damaged_row> damaged;
  auto rows = database_.prepare("SELECT id, name, seq_last, count, dead_count, sum FROM queues ORDER BY id");
  while (rows.step()) {
    queue_row row{rows.integer(0), std::string{rows.bytes(1)}, rows.number(2), rows.number(3),
                  rows.number(4)};
    if (rows.integer(5) != sum_of(row))
      damaged.push_back({row.id, row.name});
    else
      ids_[row.name] = row.id;
    rows_[row.id] = std::move(row);
  }
  for (const auto& [id, found] : damaged) { // after those that are sure of their names
    auto& row = rows_[id];
    row.name = name_for_damaged(row);
    ids_[row.name] = id;
  }
  load_damaged_counts();
  return damaged;
}

void row_table::load_damaged_counts() {
  auto counts = database_.prepare("SELECT key, value FROM meta WHERE key LIKE 'damaged/%'");
  while (counts.step()) {
    const auto text = counts.bytes(0).substr(damaged_prefix.size());
    std::int64_t id = 0;
    std::from_chars(text.data(), text.data() + text.size(), id);
    if (auto row = rows_.find(id); row != rows_.end())
      row->second.damaged_count = counts.number(1);
  }
}

std::string row_table::name_for_damaged(const queue_row& row) const {
  if (row.id == 0)
    return {}; // of what has no queue
  if (is_valid_name(row.name) && !ids_.contains(row.name))
    return row.name;
  auto name = "damaged-" + std::to_string(row.id);
  while (ids_.contains(name)) // somebody calls a queue so
    name += "-x";
  return name;
}

std::uint64_t row_table::count_opening() {
  database_.run("UPDATE meta SET value = value + 1 WHERE key = 'epoch'");
  auto epoch = database_.prepare("SELECT value FROM meta WHERE key = 'epoch'");
  sqlite_reset guard{epoch};
  return epoch.step() ? epoch.number(0) : 0;
}

const queue_row* row_table::find(const queue_name& name) const {
  auto it = ids_.find(name.value);
  return it == ids_.end() ? nullptr : find(it->second);
}

const queue_row* row_table::find(std::int64_t id) const {
  auto it = rows_.find(id);
  return it == rows_.end() ? nullptr : &it->second;
}

queue_row* row_table::change(std::int64_t id) {
  if (auto it = changes_.find(id); it != changes_.end())
    return &it->second;
  auto* known = find(id);
  return known == nullptr ? nullptr : &changes_.emplace(id, *known).first->second;
}

queue_row* row_table::change(const queue_name& name, bool make) {
  if (auto* known = find(name); known != nullptr && !forgotten_.contains(known->id))
    return change(known->id);
  for (auto& [id, row] : changes_) // made in this transaction
    if (row.name == name.value)
      return &row;
  if (!make)
    return nullptr;
  queue_row row;
  if (!name.empty()) {
    row.id = 1;
    if (!rows_.empty())
      row.id = std::max(row.id, rows_.rbegin()->first + 1);
    if (!changes_.empty())
      row.id = std::max(row.id, changes_.rbegin()->first + 1);
    if (row.id > queue_id_max)
      throw sqlite_error{SQLITE_FULL,
                         "queue store '" + database_.path() + "': no number is left for another queue"};
  }
  row.name = name.value;
  return &(changes_[row.id] = std::move(row));
}

void row_table::forget(std::int64_t id) {
  forget_.bind(1, id).run();
  forget_meta_.bind_text(1, damaged_key(id)).run();
  changes_.erase(id);
  forgotten_.insert(id);
}

void row_table::put(const queue_row& row) {
  put_.bind(1, row.id)
    .bind_text(2, row.name)
    .bind(3, row.seq_last)
    .bind(4, row.count)
    .bind(5, row.dead_count);
  put_.bind(6, sum_of(row)).run();
}

void row_table::store_changes() {
  for (const auto& [id, row] : changes_) {
    put(row);
    const auto* before = find(id);
    if (row.damaged_count != (before == nullptr ? 0 : before->damaged_count))
      put_meta_.bind_text(1, damaged_key(id)).bind(2, row.damaged_count).run();
  }
}

void row_table::adopt() {
  for (auto id : std::exchange(forgotten_, {})) {
    ids_.erase(rows_.at(id).name);
    rows_.erase(id);
  }
  for (auto& [id, row] : changes_) {
    ids_[row.name] = id;
    rows_[id] = std::move(row);
  }
  changes_.clear();
}

void row_table::catch_up(std::int64_t id, std::uint64_t count, std::uint64_t seq_last) {
  auto& row = rows_.at(id);
  row.count += count;
  row.seq_last = std::max(row.seq_last, seq_last);
}

void row_table::put_producer(const queue::producer_mark& mark, std::uint64_t use) {
  put_producer_.bind_text(1, mark.producer).bind(2, mark.seq).bind(3, use);
  put_producer_.bind(4, sum_of(mark.producer, mark.seq, mark.fingerprint)).bind(5, mark.fingerprint).run();
}

void row_table::forget_producer(const std::string& name) { forget_producer_.bind_text(1, name).run(); }

std::vector<queue::producer_mark> row_table::producers(std::vector<std::string>& complaints) {
  std::vector<queue::producer_mark> all;
  auto rows = database_.prepare("SELECT name, seq, sum, fingerprint FROM producers ORDER BY used, name");
  while (rows.step()) {
    if (rows.integer(2) == sum_of(rows.bytes(0), rows.number(1), rows.number(3)))
      all.push_back({std::string{rows.bytes(0)}, rows.number(1), rows.number(3)});
    else
      complaints.push_back("the mark of producer '" + std::string{rows.bytes(0)}
                           + "' fails its checksum: a repeat of its last request would be stored again");
  }
  return all;
}

void row_table::put_cursor(const std::string& key, const std::string& value) {
  put_cursor_.bind_text(1, key).bind_text(2, value).bind(3, sum_of(std::string_view{key}, value)).run();
}

std::vector<std::pair<std::string, std::string>> row_table::cursors(std::vector<std::string>& complaints) {
  std::vector<std::pair<std::string, std::string>> all;
  auto rows = database_.prepare("SELECT key, value, sum FROM cursors ORDER BY key");
  while (rows.step()) {
    if (rows.integer(2) == sum_of(rows.bytes(0), rows.bytes(1)))
      all.emplace_back(rows.bytes(0), rows.bytes(1));
    else
      complaints.push_back("position '" + std::string{rows.bytes(0)}
                           + "' fails its checksum: its source is read from the start again");
  }
  return all;
}

void row_table::keep_damage(const std::string& queue, std::uint64_t seq, const std::string& why,
                            std::string_view bytes) {
  keep_damage_.bind_text(1, queue).bind(2, seq).bind_text(3, why).bind_blob(4, bytes).run();
}

} // namespace sluice::store
