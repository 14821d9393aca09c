#pragma once

#include "transport/store/sqlite.hpp"
#include "actors/queue/queue_store_port.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace sluice::store {

/// One queue as its row says.
struct queue_row {
  std::int64_t id = 0; ///< 0 = stands for "no queue" among the dead letters
  std::string name;
  std::uint64_t seq_last = 0;
  std::uint64_t count = 0;
  std::uint64_t dead_count = 0;
  std::uint64_t damaged_count = 0; ///< set aside since it was made; in `meta`, which older programs pass over

  friend bool operator==(const queue_row&, const queue_row&) = default;
};

/// A row of `queues` that failed its check, so that nothing in it is sure but its number.
struct damaged_row {
  std::int64_t id = 0;
  std::string name; ///< as found; the row has another one now where this could not be kept
};

/// The small tables: `queues`, `producers`, `cursors`, `meta`, `damaged`. Queues are
/// kept in memory as well; changes to them are made on a copy and adopted once the
/// transaction is on disk, whether or not their rows were stored with it (`row_lag`).
class row_table {
public:
  static void create(sqlite_database& database);
  /// From format 1 to 2.
  static void add_fingerprints(sqlite_database& database);
  /// Of the cluster store it goes with; 0 = none is noted.
  static std::uint64_t pair_id(sqlite_database& database);
  static void put_pair_id(sqlite_database& database, std::uint64_t id);
  explicit row_table(sqlite_database& database);

  /// Reads all rows; returns those that fail their check. No two queues have one name afterwards: a damaged
  /// row whose name is another's, or none, is called `damaged-<id>`.
  std::vector<damaged_row> load();
  std::uint64_t count_opening();

  // Within a transaction.
  /// The row to change; made when there is none and `make`. Null if there is none.
  queue_row* change(const queue_name& name, bool make);
  queue_row* change(std::int64_t id);
  /// The name is free then, the number is not before the commit.
  void forget(std::int64_t id);
  void store_changes();
  void put(const queue_row& row);
  /// After the commit.
  void adopt();
  /// After `load`, and not in a transaction: `count` records up to `seq_last` stand above what the row counts.
  void catch_up(std::int64_t id, std::uint64_t count, std::uint64_t seq_last);
  void drop_changes() {
    changes_.clear();
    forgotten_.clear();
  }

  const queue_row* find(const queue_name& name) const;
  const queue_row* find(std::int64_t id) const;
  const std::map<std::int64_t, queue_row>& all() const noexcept { return rows_; }

  void put_producer(const queue::producer_mark& mark, std::uint64_t use);
  void forget_producer(const std::string& name);
  std::vector<queue::producer_mark> producers(std::vector<std::string>& complaints);

  void put_cursor(const std::string& key, const std::string& value);
  std::vector<std::pair<std::string, std::string>> cursors(std::vector<std::string>& complaints);

  /// Keeps bytes that failed their check.
  void keep_damage(const std::string& queue, std::uint64_t seq, const std::string& why,
                   std::string_view bytes);

private:
  std::string name_for_damaged(const queue_row& row) const;
  void load_damaged_counts();

  sqlite_database& database_;
  sqlite_statement put_, forget_, put_producer_, forget_producer_, put_cursor_, keep_damage_, put_meta_,
    forget_meta_;
  std::map<std::int64_t, queue_row> rows_;
  std::map<std::string, std::int64_t> ids_;
  std::map<std::int64_t, queue_row> changes_;
  std::set<std::int64_t> forgotten_;
};

} // namespace sluice::store
