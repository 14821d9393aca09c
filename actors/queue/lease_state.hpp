#pragma once

#include "actors/queue/ready_state.hpp"

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace sluice::queue {

/// Time of leases and retries: steady, and always an argument.
using time_point = std::chrono::steady_clock::time_point;

/// Gives numbers from [0, 1): spreads retries. A parameter, so that a seed repeats a run.
using jitter_source = std::function<double()>;

/// On what terms an owner holds records.
struct lease_terms {
  owner_id owner;
  consumer_id consumer;
  std::uint32_t attempts_max = 5;

  friend auto operator<=>(const lease_terms&, const lease_terms&) = default;
  friend bool operator==(const lease_terms&, const lease_terms&) = default;
};

/// Full-jitter back-off before delivery number `attempts` + 1: between 0 and
/// `limits::retry_delay_min` doubled per attempt, at most `limits::retry_delay_max`.
std::chrono::nanoseconds retry_delay(std::uint32_t attempts, double jitter) noexcept;

/// Whether `owner` is meant by `pattern`, whose empty or zero members match all.
bool matches(const owner_id& pattern, const owner_id& owner) noexcept;

/// Sorts seqs and joins neighbours.
std::vector<seq_range> to_ranges(std::vector<std::uint64_t> seqs);

/// Whether `seq` lies in one of the sorted `ranges`.
bool contains(const std::vector<seq_range>& ranges, std::uint64_t seq) noexcept;

/// Who holds which records of one queue, and which wait for another attempt.
///
///      grant             begin_settle            settled (acked, buried)
///  ready ────► leased ──────────────► settling ─────────────────────────► gone
///     ▲ 1        │  ▲       2            │ │            3
///     │          │  └────────────────────┘ │ settled (to be tried again)
///     │          │     unsettle 4          │ 5
///     │  grant   ▼                         ▼
///  leased ◄─── delayed ◄───────────────────┘
///     7          ▲  6: released, expired or its burial failed
///
/// A record is in exactly one of these places, so it never has two owners, is never
/// settled twice and never gets lost. Leases lie next to each other as they are taken
/// together and settled together, so they are kept as ranges: granting, settling
/// and expiring cost O(log n) per range, not per record. Pure: time and jitter are
/// arguments, the store is somebody else's.
class lease_state {
public:
  struct holder;

  /// Part of a lease that was taken out to be settled.
  struct piece {
    seq_range where;
    std::uint32_t attempts = 0;
    bool suspect = false; ///< it was there when an owner died, which may be its doing
    time_point granted_at;
    wall_time appended_at;
    std::shared_ptr<holder> by;
  };

  /// One record whose delivery failed. `attempts` counts that one.
  struct failed_record {
    std::uint64_t seq = 0;
    std::uint32_t attempts = 0;
    consumer_id consumer;
    std::string error;
    wall_time appended_at;
    bool suspect = false;
  };

  /// What a commit comes to. All of `held` is settling until `settled` or `unsettle`.
  struct verdict {
    std::vector<seq_range> acked; ///< sorted, apart
    std::vector<failed_record> retried;
    std::vector<failed_record> buried;
    std::vector<std::uint64_t> stale;
    std::vector<piece> held;
  };

  /// What giving leases back changed. `buried` is settling, and part of `held`.
  struct given_back {
    std::size_t count = 0;
    std::vector<attempt_update> attempts; ///< without the queue's name
    std::vector<failed_record> buried;
    std::vector<piece> held;
  };

  /// How much a lease of retries may hold.
  struct retry_limits {
    std::size_t count_max = 1;
    std::size_t size_bytes_max = 0;
  };

  // -- leasing

  /// 1. Leases runs that were taken off the ready window. @pre nobody has them
  void grant(const lease_terms& terms, const std::vector<run>& runs, time_point now);

  /// 7. Leases records whose next attempt is due and whose payload is there. Records
  /// that were present at a crash come in ever smaller company, in the end alone,
  /// so that the one to blame does not take its neighbours with it.
  taken grant_retries(const lease_terms& terms, retry_limits at_most, time_point now);

  /// Extends all leases of an owner. Returns whether it has any.
  bool renew(const owner_id& owner, time_point now);

  /// Whether all of `seqs` are leased to `owner`.
  bool holds(const owner_id& owner, const std::vector<std::uint64_t>& seqs) const;

  // -- settling

  /// 2. Takes what is `owner`'s out of the leases and decides what becomes of it.
  verdict begin_settle(const owner_id& owner, const std::vector<std::uint64_t>& acks,
                       const std::vector<nack>& nacks, std::uint32_t attempts_max);

  /// 3, 5. The verdict is on disk.
  void settled(const verdict& done, time_point now, const jitter_source& jitter);

  /// 4. It could not be stored: the leases are as before, from `now` on.
  void unsettle(const verdict& undone, time_point now);

  // -- giving back

  /// 6. Gives back what `pattern` matches, all or only `seqs`. With `failed`, an
  /// attempt counts, and records that have used up theirs are to be buried.
  given_back release(const owner_id& pattern, const std::vector<std::uint64_t>& seqs, bool failed,
                     const std::string& error, time_point now, const jitter_source& jitter);

  /// 6. The same for leases that were not renewed for `limits::lease_visibility`.
  given_back expire(time_point now, const jitter_source& jitter);

  /// 3. The burials of a `given_back` are on disk.
  void buried(const given_back& done);

  /// 6. They could not be stored: tried again later, with one attempt left.
  void unbury(const given_back& undone, time_point now);

  // -- retries

  /// Seqs, ascending, that are due and have no payload yet; marks them as being
  /// fetched. Empty while fetched ones still wait for an owner.
  std::vector<std::uint64_t> fetch(time_point now, std::size_t count_max);

  /// What a fetch of `asked` found up to `seq_last`; missing ones are gone.
  /// Returns how many were.
  std::size_t fetched(const std::vector<std::uint64_t>& asked, const std::vector<record_block>& found,
                      std::uint64_t seq_last, time_point now);
  void fetch_failed(const std::vector<std::uint64_t>& asked, time_point retry_at);

  /// Whether a retry could be granted at once.
  bool has_fetched() const noexcept { return !fetched_.empty(); }

  /// Forgets all records that wait for another attempt; returns them sorted.
  std::vector<run> take_delayed();
  /// Undoes `take_delayed`.
  void put_delayed(const std::vector<run>& runs, time_point due);

  // -- looking

  std::size_t leased_count() const noexcept { return leased_count_ + settling_count_; }
  std::size_t settling_count() const noexcept { return settling_count_; }
  /// Whether an owner holds any on behalf of `consumer`. Costs O(owners).
  bool holds_any(const consumer_id& consumer) const noexcept;
  std::size_t delayed_count() const noexcept { return delayed_.size(); }
  /// Of the delayed, those whose time has not come; the others wait for an owner, as ready records do.
  std::size_t not_due_count(time_point now) const noexcept;

  /// The lowest seq here that is leased or delayed, and when it was appended.
  std::optional<std::pair<std::uint64_t, wall_time>> oldest() const;

  /// When `expire` will next have something to look at.
  std::optional<time_point> next_expiry() const;

  /// When `fetch` will next find something.
  std::optional<time_point> next_due() const;

  /// All leased ranges with their owner, ascending.
  std::vector<std::pair<seq_range, owner_id>> leases_for_test() const;
  std::size_t check_count_for_test() const noexcept { return checks_.size(); }

private:
  enum class stage : std::uint8_t { waiting, fetching, fetched };

  struct delayed {
    std::uint32_t attempts = 0;
    stage at = stage::waiting;
    bool suspect = false;
    time_point due;
    wall_time appended_at;
    std::string payload; ///< only when fetched
  };

  struct check { ///< look for expired leases in `where` then
    time_point at;
    seq_range where;
    friend bool operator>(const check& a, const check& b) { return a.at > b.at; }
  };

  using lease_map = std::map<std::uint64_t, piece>; // by first seq; ranges never overlap

  std::shared_ptr<holder> holder_of(const lease_terms& terms);
  void insert(piece part);
  void forget(const piece& part, std::uint64_t count);
  template <class Wanted>
  void cut(seq_range where, Wanted wanted, std::vector<piece>& out, std::vector<std::uint64_t>* missed);
  given_back give_back(std::vector<piece> parts, bool failed, const std::string& error, time_point now,
                       const jitter_source& jitter);
  void delay(std::uint64_t seq, delayed record);
  void push_check(time_point at, seq_range where);

  lease_map leases_;
  std::map<lease_terms, std::shared_ptr<holder>> holders_;
  std::vector<check> checks_; ///< heap, soonest first; may name ranges that are no longer leased
  std::map<std::uint64_t, delayed> delayed_;
  std::set<std::pair<time_point, std::uint64_t>> due_; ///< of those that wait
  std::deque<std::uint64_t> fetched_;
  std::size_t leased_count_ = 0;
  std::size_t settling_count_ = 0;
};

} // namespace sluice::queue
