#pragma once

#include "actors/queue/batch_builder.hpp"
#include "actors/queue/queue_entry.hpp"
#include "actors/queue/queue_store_port.hpp"

#include <sluice/core/result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sluice::queue {

/// What the queues of a head may take up together. A full one pushes back.
struct bounds {
  std::size_t memory_bytes = 64u << 20;    ///< records held in memory, all queues
  std::size_t window_bytes = 16u << 20;    ///< of these, one queue
  std::size_t read_bytes = 4u << 20;       ///< one read from the store
  std::size_t batch_bytes = 16u << 20;     ///< one write to the store
  std::size_t pending_bytes = 64u << 20;   ///< requests that wait for the store
  std::size_t pending_count = 16384;       ///< the same, counted
  std::size_t waiting_count = 16384;       ///< lease requests that wait, per queue
  std::size_t outstanding_count = 200'000; ///< records leased or between attempts, per queue
  std::size_t queue_count = 10'000;        ///< then the least recently used one that is empty is forgotten
  std::uint64_t depth_count = 100'000'000; ///< records per queue
  std::size_t producer_count = 10'000;     ///< remembered; the least recently used go first
  std::size_t cursor_count = 100'000;
  std::chrono::milliseconds wait_max = std::chrono::minutes{1}; ///< a longer wait is cut to this
};

/// All queues of a head, without the disk and without actors.
///
/// Requests go in with a function for their answer; writes and reads the store should
/// do come out, and their outcome goes in again. At most one write is under way:
/// what is asked meanwhile is decided when it has landed, joins the next write and
/// is answered once that is on disk (group commit). So every decision is made on
/// what is durable, and a failed write leaves nothing to repair but leases.
///
///     append/commit ─► pending ─► launch ─► [store] ─► landed ─► answers, ready records
///     lease ─► waiting ─► serve ◄── ready window ◄── [store] ◄── wanted reads
class queues_state {
public:
  /// `report` gets sentences for the operator about stored records that are missing.
  queues_state(bounds limits, jitter_source jitter, std::function<void(std::string)> report);
  queues_state(const queues_state&) = delete;
  queues_state& operator=(const queues_state&) = delete;

  /// The store is open. Before, requests wait.
  void opened(contents found);
  bool is_open() const noexcept { return opened_; }

  // -- requests

  void append(append_request request, answer<append_reply> to);
  void commit(commit_request request, answer<commit_reply> to);
  void lease(lease_request request, answer<lease_reply> to, time_point now);
  count_reply renew(const owner_id& owner, time_point now);
  count_reply release(const release_request& request, time_point now);
  void purge_records(queue_name name, answer<count_reply> to);
  void requeue(requeue_request request, answer<count_reply> to);
  void cursor(const std::string& key, answer<std::string> to);
  stats_reply stats(wall_time wall_now, time_point now) const;

  // -- the store

  /// The next write, or nothing while one is under way or nothing waits. Belongs to
  /// the caller until `landed`.
  struct flight {
    write_batch batch;
    std::optional<requeue_step> requeue; ///< then this is to be done instead of the batch
  };
  std::shared_ptr<flight> launch(wall_time now);
  bool wants_launch() const noexcept;
  void landed(result<write_outcome> outcome, time_point now);
  void landed(result<requeue_outcome> outcome, time_point now);

  /// A read the store should do.
  struct wanted_read {
    queue_name queue;
    std::vector<std::uint64_t> seqs; ///< if any: these, for another attempt
    std::uint64_t after_seq = 0;
    std::size_t size_bytes_max = 0;
  };
  std::vector<wanted_read> wanted_reads(time_point now);
  void read_done(const wanted_read& what, result<read_outcome> outcome, time_point now);

  /// Stored bytes failed their check in a call that went around this class.
  void apply(const std::vector<recount>& recounts);
  void letters_purged(const queue_name& name, std::uint64_t count);

  // -- time

  /// Does what is due: expired leases, waits that end, retries.
  void tick(time_point now);
  std::optional<time_point> next_event() const;

  /// Fails everything that waits.
  void shut_down(const failure& why);

  /// Why nothing can be stored ("disk full: ..."); empty = it can. It is until a write goes well that adds records, or
  /// purges them; any, if none that adds some has failed.
  const std::string& trouble() const noexcept { return trouble_; }

  std::uint64_t epoch() const noexcept { return epoch_; }
  std::size_t memory_bytes() const noexcept { return memory_bytes_; }

private:
  using entry = queue_entry;

  /// Of one producer.
  struct last_request {
    std::uint64_t seq = 0;
    std::uint64_t fingerprint = 0;
  };

  /// Everything that depends on the write that is under way.
  struct in_flight {
    std::shared_ptr<flight> work;
    std::vector<pending_request> requests;
    std::vector<std::pair<entry*, lease_state::given_back>> losses;
    std::map<std::string, last_request> producers; ///< after this write
    std::map<std::string, std::string> cursors;    ///< positions after this write
  };

  // requests (queues_state.cpp)
  entry* find(const queue_name& name) const;
  result<entry*> find_or_make(const queue_name& name);
  std::set<const entry*> named_by_requests() const;
  entry* forgettable() const;
  std::size_t forget(entry& queue);
  void drop_unused(const std::vector<pending_request>& requests);
  result<void> check_room(std::size_t size_bytes) const;
  result<void> check_store_room(std::size_t size_bytes, std::uint64_t kept_free_part) const;
  result<entry*> check_records(const queue_name& name, const record_block& records);
  result<std::size_t> check_commit(const commit_request& request);
  void enqueue(pending_request what, std::size_t size_bytes);

  // writes (queues_write.cpp)
  void prepare(pending_append& what, batch_builder& into);
  void prepare(pending_commit& what, batch_builder& into);
  void prepare(pending_purge& what, batch_builder& into);
  void prepare_losses(batch_builder& into);
  void bury(const entry& queue, const std::vector<lease_state::failed_record>& records, batch_builder& into);
  std::shared_ptr<flight> launch_requeue(pending_requeue what, wall_time now);
  void land(in_flight& done, time_point now);
  void land(pending_append& done, time_point now);
  void land(pending_commit& done, time_point now);
  void land(pending_purge& done, time_point now);
  void undo(in_flight& undone, const failure& why, time_point now);
  void undo(pending_append& undone, const failure& why, time_point now);
  void undo(pending_commit& undone, const failure& why, time_point now);
  void undo(pending_purge& undone, const failure& why, time_point now);
  void note_failed(const failure& why, bool adds);
  void note_written(bool adds);
  void note_producer(pending_append& what);
  void store_producer(const std::string& name, const last_request& last);
  void forget_producers(batch_builder& into, std::size_t added) const;

  // leases (queues_lease.cpp)
  void serve(entry& queue, time_point now);
  taken take_for(entry& queue, const lease_request& request, time_point now);
  void absorb(entry& queue, lease_state::given_back change);
  void add_ready(entry& queue, record_block records, std::uint64_t last, wall_time appended_at);
  bool make_room(const entry& queue, std::size_t size_bytes);
  void account(entry& queue);
  void window_read(entry& queue, const wanted_read& what, result<read_outcome> outcome, time_point now);
  void retries_read(entry& queue, const wanted_read& what, result<read_outcome> outcome, time_point now);
  void answer_waiter(entry& queue, std::map<std::uint64_t, lease_waiter>::iterator which,
                     result<lease_reply> reply);
  void answer_hasty(entry& queue);
  void answer_empty(entry& queue, std::map<std::uint64_t, lease_waiter>::iterator which);
  void reschedule(entry& queue, time_point now);
  static bool has_consumer(const entry& queue, time_point now);
  bool wants_window(const entry& queue, time_point now) const;
  void changed(entry& queue);
  void drop_waiters(const owner_id& pattern);

  bounds bounds_;
  jitter_source jitter_;
  std::function<void(std::string)> report_;
  std::string trouble_;
  bool is_adding_failing_ = false; ///< the last write that adds records, unless one was purged since
  bool opened_ = false;
  std::uint64_t epoch_ = 0;
  std::optional<failure> down_;

  std::map<queue_name, std::unique_ptr<entry>> queues_;
  std::deque<std::pair<pending_request, std::size_t>> pending_; ///< with its size in bytes
  std::size_t pending_bytes_ = 0;
  std::size_t flight_bytes_ = 0; ///< of the write that is under way
  store_room room_;              ///< after the last write
  std::optional<in_flight> flight_;
  std::vector<std::pair<entry*, lease_state::given_back>> losses_; ///< to be stored with the next write

  struct producer {
    last_request last;
    std::list<std::string>::iterator use;
  };
  std::unordered_map<std::string, producer> producers_;
  std::list<std::string> producer_use_; ///< least recent first
  std::unordered_map<std::string, std::string> cursors_;
  std::vector<std::pair<std::string, answer<std::string>>> cursors_asked_; ///< before the store was open

  std::vector<entry*> by_index_;                        ///< in no order
  std::vector<entry*> changed_;                         ///< may want a read or another event
  std::set<std::pair<time_point, std::size_t>> events_; ///< queues, by index
  deadline_map deadlines_;
  std::uint64_t waiter_last_ = 0;
  std::uint64_t use_last_ = 0;
  std::uint64_t use_pinned_ = 0;   ///< what was used after this belongs to the request in hand
  std::set<queue_name> to_forget_; ///< stored, but no longer known here: with the next write
  std::size_t memory_bytes_ = 0;
};

} // namespace sluice::queue
