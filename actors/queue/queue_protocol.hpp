#pragma once

#include "actors/message.hpp"

#include <sluice/core/ids.hpp>
#include <sluice/core/record_block.hpp>

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::queue {

/// Who holds a lease. A replica that was restarted has another `host`.
struct owner_id {
  node_id node;
  host_id host;
  replica_id replica;

  friend auto operator<=>(const owner_id&, const owner_id&) = default;
  friend bool operator==(const owner_id&, const owner_id&) = default;
};

/// On whose behalf records are taken; names the dead letters.
struct consumer_id {
  flow_name flow;
  processor_name processor;

  friend auto operator<=>(const consumer_id&, const consumer_id&) = default;
  friend bool operator==(const consumer_id&, const consumer_id&) = default;
};

/// Adds records at the end of a queue, which is made if it is not there.
///
/// `producer` and `producer_seq` make a repeat harmless: a request whose
/// `producer_seq` is not above the last one stored for `producer` is answered as
/// done and not stored again. `producer_seq` 0 = do not check.
///
/// With a `fingerprint` the last request of `producer` is stored with it, and one of the same number
/// that has another is no repeat: refused as `conflict`. That holds as long as the producer is remembered,
/// also after the queues were opened again.
struct append_request {
  using actor_message = void;
  queue_name queue;
  record_block records;
  std::string producer;
  std::uint64_t producer_seq = 0;
  std::uint64_t fingerprint = 0; ///< of what the producer was asked for; 0 = do not compare
};

/// The records are on disk.
struct append_reply {
  using actor_message = void;
  std::uint64_t count = 0;
};

/// Takes up to `count_max` records or `size_bytes_max` bytes (at least one record,
/// whatever its size). Waits at most `wait_max` for the first; an empty block is
/// no failure. The lease ends `limits::lease_visibility` after the last renewal.
struct lease_request {
  using actor_message = void;
  queue_name queue;
  owner_id owner;
  consumer_id consumer;
  std::uint32_t attempts_max = 5;
  std::uint32_t count_max = 500;
  std::uint32_t size_bytes_max = 1u << 20;
  std::chrono::milliseconds wait_max{0};
};

/// `epoch` changes each time the queues are opened; a commit must name it.
struct lease_reply {
  using actor_message = void;
  std::uint64_t epoch = 0;
  record_block records;
  /// Of an empty block: the queue is not at its end. It has records that nobody can take at the moment and that may come:
  /// held on behalf of the same consumer, being settled, between attempts, or not read from the disk yet.
  bool more_may_come = false;
};

/// One record that failed. `retry` false sends it to the dead letters at once.
struct nack {
  std::uint64_t seq = 0;
  std::string error;
  bool retry = true;
  /// As the delivery that failed had it, so that a repeated nack does not hit the next one. None = whichever it is.
  std::optional<std::uint32_t> attempts = {};
};

/// Results for one queue. In `records`, `seq` is the input record they come from.
struct append_part {
  queue_name queue;
  record_block records;
};

/// A record of a source that is no queue and that has used up its attempts.
struct burial {
  std::string payload;
  std::string error;
  std::uint32_t attempts = 0;
};

/// Moves the position of a source that is no queue, for example a file offset. Refused as stale unless the stored one
/// is `expected`. Together with acks it is all or nothing: refused as `conflict` if one of their leases is gone.
struct cursor_move {
  std::string key;
  std::string expected; ///< empty = none stored yet
  std::string next;
};

/// Settles leased records and stores their results, all in one transaction.
///
/// A record whose lease is no longer the owner's is left out together with its
/// results and named in the reply. Repeating a commit is harmless for the same reason.
struct commit_request {
  using actor_message = void;
  queue_name queue; ///< empty: the source is no queue, there are no acks or nacks
  owner_id owner;
  consumer_id consumer;
  std::uint64_t epoch = 0;
  std::uint32_t attempts_max = 5;
  std::vector<std::uint64_t> acks;
  std::vector<nack> nacks;
  std::vector<append_part> results;
  std::vector<burial> burials;
  std::optional<cursor_move> cursor;
};

/// The commit is on disk, but for the records of `stale`.
struct commit_reply {
  using actor_message = void;
  std::vector<std::uint64_t> stale;
};

/// Extends every lease of an owner by `limits::lease_visibility`; answers in how many queues it
/// holds any.
struct renew_request {
  using actor_message = void;
  owner_id owner;
};

/// Gives leases back. Empty or zero members of `owner` match all: a dead node is
/// {node}, a dead host {node, host}. `failed` counts a delivery attempt, with
/// `error` as its reason; a drain does not. With `seqs`, only these records of
/// `queue` go back: a draining replica keeps what it already works on.
struct release_request {
  using actor_message = void;
  owner_id owner;
  bool failed = false;
  std::string error;
  queue_name queue;                ///< only with `seqs`
  std::vector<std::uint64_t> seqs; ///< empty = all of the owner's
};

/// Reads the stored position of a source that is no queue; empty = none.
struct cursor_request {
  using actor_message = void;
  std::string key;
};

/// How one queue stands.
struct queue_stat {
  queue_name name;
  std::uint64_t depth_count = 0; ///< ready, leased and delayed together
  std::uint64_t leased_count = 0;
  std::uint64_t delayed_count = 0; ///< wait for the time of their next attempt
  std::uint64_t dead_count = 0;
  std::chrono::milliseconds oldest_age{0};
  std::uint64_t appended_total = 0; ///< since the queue was made; a letter that is put back counts again
  std::uint64_t settled_total = 0;  ///< of these, no longer in it: done, buried or purged
  std::uint64_t damaged_total = 0; ///< of these, damaged on the disk and set aside: neither in it nor settled
  std::uint64_t retried_total = 0; ///< since the queues were opened
};

struct stats_request {
  using actor_message = void;
};

struct stats_reply {
  using actor_message = void;
  std::vector<queue_stat> queues;
  std::string trouble = {}; ///< why nothing can be stored; empty = it can
};

/// Looks at records without taking them, oldest first.
struct peek_request {
  using actor_message = void;
  queue_name queue;
  std::uint64_t after_seq = 0; ///< 0 = from the oldest
  std::uint32_t count_max = 10;
};

struct peek_reply {
  using actor_message = void;
  record_block records;
};

/// A record that used up its attempts.
struct dead_letter {
  std::uint64_t id = 0; ///< unique within the cluster
  queue_name queue;     ///< empty where the source was no queue
  consumer_id consumer;
  std::uint32_t attempts = 0;
  std::string error;
  std::chrono::system_clock::time_point buried_at;
  std::string payload;
};

struct dead_letters_request {
  using actor_message = void;
  queue_name queue; ///< empty = all
  std::uint64_t after_id = 0;
  std::uint32_t count_max = 100;
};

struct dead_letters_reply {
  using actor_message = void;
  std::vector<dead_letter> letters;
};

/// Moves dead letters back to the end of their queue with no attempts counted.
/// `ids` empty = all of `queue`.
struct requeue_request {
  using actor_message = void;
  queue_name queue;
  std::vector<std::uint64_t> ids;
};

enum class purge_what : std::uint8_t { records, dead_letters };

/// Forgets what waits (leased records are left to their owners), or the dead letters.
struct purge_request {
  using actor_message = void;
  queue_name queue;
  purge_what what = purge_what::records;
};

/// How many records, leases or letters a request touched.
struct count_reply {
  using actor_message = void;
  std::uint64_t count = 0;
};

/// What a replica needs: also implemented by the peers that stand for a queue
/// actor in another process.
using handle = caf::typed_actor<
  caf::replies_to<append_request>::with<append_reply>, caf::replies_to<lease_request>::with<lease_reply>,
  caf::replies_to<commit_request>::with<commit_reply>, caf::replies_to<renew_request>::with<count_reply>,
  caf::replies_to<release_request>::with<count_reply>, caf::replies_to<cursor_request>::with<std::string>>;

/// The queue actor itself: what the head's control service asks on top.
using admin_handle = handle::extend<
  caf::replies_to<stats_request>::with<stats_reply>, caf::replies_to<peek_request>::with<peek_reply>,
  caf::replies_to<dead_letters_request>::with<dead_letters_reply>,
  caf::replies_to<requeue_request>::with<count_reply>, caf::replies_to<purge_request>::with<count_reply>>;

} // namespace sluice::queue
