#pragma once

#include "transport/store/sqlite.hpp"
#include "actors/queue/queue_store_port.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace sluice::store {

/// One row of `dead`, as far as the store needs it.
struct letter_row {
  std::int64_t queue_id = 0;
  queue::dead_letter letter; ///< without the queue's name
};

/// The table of dead letters. Runs inside its caller's transactions.
class letter_table {
public:
  static constexpr std::uint64_t id_any_max = std::numeric_limits<std::int64_t>::max();

  static void create(sqlite_database& database);
  explicit letter_table(sqlite_database& database);

  void insert(std::int64_t queue_id, const queue::grave& grave, std::string_view payload,
              queue::wall_time now);

  struct found {
    std::vector<letter_row> letters;
    std::vector<letter_row> damaged; ///< left out of `letters`; its values may be anything
    std::uint64_t id_last = 0;
  };

  /// Letters of a queue (none = of all) with `after_id` < id <= `id_max`.
  found read(std::optional<std::int64_t> queue_id, std::uint64_t after_id, std::size_t count_max,
             std::size_t size_bytes_max, std::uint64_t id_max = id_any_max);

  /// One letter of a queue, in `letters` or `damaged`, if it is there.
  found read_one(std::int64_t queue_id, std::uint64_t id);

  void remove(std::uint64_t id);
  std::uint64_t remove_all(std::int64_t queue_id);
  std::uint64_t count(std::int64_t queue_id);

  /// The newest letter of a queue; 0 = it has none.
  std::uint64_t id_max(std::int64_t queue_id);

private:
  bool take_row(sqlite_statement& row, found& into);

  sqlite_database& database_;
  sqlite_statement insert_, all_, of_queue_, one_, remove_, remove_all_, count_, id_max_;
};

} // namespace sluice::store
