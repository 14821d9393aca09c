#include "transport/store/queue_store_letters.hpp"

#include "transport/store/queue_store_checksum.hpp"

#include <utility>

namespace sluice::store {

namespace {

constexpr const char* columns = "id, queue_id, flow, processor, attempts, error, buried_ms, payload, sum";

std::int64_t sum_of(std::int64_t queue_id, std::string_view flow, std::string_view processor,
                    std::int64_t attempts, std::string_view error, std::int64_t buried_ms,
                    std::string_view payload) {
  return checksum{}
    .add(queue_id)
    .add(flow)
    .add(processor)
    .add(attempts)
    .add(error)
    .add(buried_ms)
    .add(payload.size())
    .add(XXH3_64bits(payload.data(), payload.size()))
    .value();
}

std::string select(const std::string& where) {
  return std::string{"SELECT "} + columns + " FROM dead WHERE " + where;
}

} // namespace

void letter_table::create(sqlite_database& database) {
  database.run(
    "CREATE TABLE dead(id INTEGER PRIMARY KEY AUTOINCREMENT, queue_id INTEGER NOT NULL, flow TEXT NOT NULL,"
    " processor TEXT NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL, buried_ms INTEGER NOT NULL,"
    " sum INTEGER NOT NULL, payload BLOB NOT NULL);"
    "CREATE INDEX dead_of_queue ON dead(queue_id, id);");
}

letter_table::letter_table(sqlite_database& database)
  : database_(database),
    insert_(database.prepare(
      "INSERT INTO dead(queue_id, flow, processor, attempts, error, buried_ms, payload, sum) "
      "VALUES(?,?,?,?,?,?,?,?)")),
    all_(database.prepare(select("id > ? AND id <= ? ORDER BY id"))),
    of_queue_(database.prepare(select("id > ? AND id <= ? AND queue_id = ? ORDER BY id"))),
    one_(database.prepare(select("id = ? AND queue_id = ?"))),
    remove_(database.prepare("DELETE FROM dead WHERE id = ?")),
    remove_all_(database.prepare("DELETE FROM dead WHERE queue_id = ?")),
    count_(database.prepare("SELECT count(*) FROM dead WHERE queue_id = ?")),
    id_max_(database.prepare("SELECT max(id) FROM dead WHERE queue_id = ?")) {}

void letter_table::insert(std::int64_t queue_id, const queue::grave& grave, std::string_view payload,
                          queue::wall_time now) {
  auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  insert_.bind(1, queue_id)
    .bind_text(2, grave.consumer.flow.value)
    .bind_text(3, grave.consumer.processor.value);
  insert_.bind(4, grave.attempts).bind_text(5, grave.error).bind(6, static_cast<std::int64_t>(ms));
  insert_.bind_blob(7, payload)
    .bind(8, sum_of(queue_id, grave.consumer.flow.value, grave.consumer.processor.value, grave.attempts,
                    grave.error, ms, payload))
    .run();
}

bool letter_table::take_row(sqlite_statement& row, found& into) {
  letter_row out;
  out.queue_id = row.integer(1);
  auto& letter = out.letter;
  letter.id = row.number(0);
  letter.consumer = {flow_name{std::string{row.bytes(2)}}, processor_name{std::string{row.bytes(3)}}};
  letter.attempts = static_cast<std::uint32_t>(row.integer(4));
  letter.error = std::string{row.bytes(5)};
  letter.buried_at = queue::wall_time{std::chrono::milliseconds{row.integer(6)}};
  letter.payload = std::string{row.bytes(7)};
  auto sum = sum_of(out.queue_id, letter.consumer.flow.value, letter.consumer.processor.value, row.integer(4),
                    letter.error, row.integer(6), letter.payload);
  into.id_last = letter.id;
  auto is_right = row.integer(8) == sum;
  (is_right ? into.letters : into.damaged).push_back(std::move(out));
  return is_right;
}

letter_table::found letter_table::read(std::optional<std::int64_t> queue_id, std::uint64_t after_id,
                                       std::size_t count_max, std::size_t size_bytes_max,
                                       std::uint64_t id_max) {
  found out;
  out.id_last = after_id;
  auto& rows = queue_id ? of_queue_ : all_;
  rows.bind(1, after_id).bind(2, id_max);
  if (queue_id)
    rows.bind(3, *queue_id);
  sqlite_reset guard{rows};
  for (std::size_t size = 0; out.letters.size() < count_max && rows.step();) {
    auto next = rows.bytes(7).size();
    if (!out.letters.empty() && size + next > size_bytes_max)
      break;
    if (take_row(rows, out))
      size += next;
  }
  return out;
}

letter_table::found letter_table::read_one(std::int64_t queue_id, std::uint64_t id) {
  found out;
  one_.bind(1, id).bind(2, queue_id);
  sqlite_reset guard{one_};
  if (one_.step())
    take_row(one_, out);
  return out;
}

void letter_table::remove(std::uint64_t id) { remove_.bind(1, id).run(); }

std::uint64_t letter_table::remove_all(std::int64_t queue_id) {
  remove_all_.bind(1, queue_id).run();
  return static_cast<std::uint64_t>(database_.count_of_changes());
}

std::uint64_t letter_table::count(std::int64_t queue_id) {
  count_.bind(1, queue_id);
  sqlite_reset guard{count_};
  return count_.step() ? count_.number(0) : 0;
}

std::uint64_t letter_table::id_max(std::int64_t queue_id) {
  id_max_.bind(1, queue_id);
  sqlite_reset guard{id_max_};
  return id_max_.step() ? id_max_.number(0) : 0;
}

} // namespace sluice::store
