#pragma once

#include "transport/store/sqlite.hpp"
#include "actors/queue/queue_store_port.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::store {

constexpr int seq_bits = 43;
constexpr std::uint64_t seq_max = (std::uint64_t{1} << seq_bits) - 1;
constexpr std::int64_t queue_id_max = (std::int64_t{1} << 20) - 1;

/// Where record `seq` of a queue stands among all segments and attempts.
constexpr std::int64_t record_key(std::int64_t queue_id, std::uint64_t seq) noexcept {
  return (queue_id << seq_bits) | static_cast<std::int64_t>(seq);
}
constexpr std::uint64_t seq_of(std::int64_t key) noexcept {
  return static_cast<std::uint64_t>(key) & seq_max;
}
constexpr std::int64_t queue_of(std::int64_t key) noexcept { return key >> seq_bits; }

/// A segment, or what belongs to it, fails its check as a whole.
struct damaged_segment {
  enum class part : std::uint8_t { segment, settled };
  std::int64_t id = 0;
  part what = part::segment;
  std::string why;
};

/// One record fails its check; its neighbours do not.
struct damaged_record {
  std::uint64_t seq = 0;
  std::string why;
  std::string bytes;
};

/// The tables `segments`, `settled` and `attempts`. Runs inside its caller's
/// transactions; throws `sqlite_error`, and `damaged_segment` where a whole one is unusable.
class segment_table {
public:
  static void create(sqlite_database& database);
  /// From format 2 to 3.
  static void add_marks(sqlite_database& database);
  explicit segment_table(sqlite_database& database);

  /// @param marks kept with it as they are; may be empty
  void insert(std::int64_t queue_id, const queue::segment& segment, std::string_view marks = {});

  /// Forgets records; returns how many were there.
  std::uint64_t settle(std::int64_t queue_id, const std::vector<queue::seq_range>& ranges);

  void set_attempts(std::int64_t queue_id, queue::seq_range where, std::uint32_t attempts);

  struct found {
    std::vector<queue::read_outcome::part> parts;
    std::uint64_t seq_last = 0;
    bool at_end = false;
    std::vector<damaged_record> damaged; ///< left out of `parts`
  };
  found read(std::int64_t queue_id, std::uint64_t after_seq, std::size_t count_max,
             std::size_t size_bytes_max);
  found read(std::int64_t queue_id, const std::vector<std::uint64_t>& seqs, std::size_t size_bytes_max);

  /// When the first segment of a queue was appended.
  std::optional<queue::wall_time> oldest_at(std::int64_t queue_id);

  /// Counts the records of a queue anew, and its highest stored seq.
  struct tally {
    std::uint64_t count = 0;
    std::uint64_t seq_last = 0;
  };
  tally recount(std::int64_t queue_id);

  /// What is known of the segments above a record, none of which has been touched since it was appended.
  struct above {
    std::uint64_t count = 0;
    std::uint64_t seq_last = 0;
    std::vector<std::pair<std::int64_t, std::string>> marks; ///< as given to `insert`, with the segment's key
    std::optional<damaged_segment> damaged; ///< one that fails its check; such are not counted
  };
  above read_above(std::int64_t queue_id, std::uint64_t seq);

  /// Takes a damaged part out; returns its bytes.
  std::string remove(const damaged_segment& what);

  /// After a transaction that was undone.
  void forget_cache() { cache_.clear(); }

private:
  struct progress {
    std::uint64_t count = 0;
    std::uint64_t settled_count = 0;
    std::vector<std::uint64_t> bits; ///< one per record, set = settled
    bool is_stored = false;
  };
  struct loaded {
    std::int64_t id = 0;
    std::uint64_t count = 0;
    queue::wall_time appended_at;
    std::string_view index;
    std::string_view data;
  };
  using cache = std::map<std::int64_t, progress>;

  cache::iterator find_covering(std::int64_t key);
  std::optional<std::int64_t> next_segment(std::int64_t above, std::int64_t up_to);
  progress load_progress(std::int64_t id, std::uint64_t count);
  void store_progress(std::int64_t id);
  loaded check(sqlite_statement& row);
  template <class Wanted>
  queue::read_outcome::part pick(const loaded& from, Wanted wanted, std::vector<damaged_record>& damaged);
  std::vector<std::uint32_t> load_attempts(const loaded& of);

  sqlite_database& database_;
  sqlite_statement insert_, delete_, head_at_, next_, scan_, load_, raw_;
  sqlite_statement bits_of_, put_bits_, delete_bits_;
  sqlite_statement attempts_of_, put_attempts_, delete_attempts_;
  cache cache_;
  bool has_attempts_ = true; ///< whether the table may hold any
};

} // namespace sluice::store
