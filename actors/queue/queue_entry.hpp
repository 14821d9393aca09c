#pragma once

#include "actors/queue/lease_state.hpp"
#include "actors/queue/ready_state.hpp"

#include <sluice/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sluice::queue {

/// Carries the answer to one request, once.
template <class T>
using answer = std::function<void(result<T>)>;

struct queue_entry;

/// When the wait of a lease request ends.
using deadline_map = std::multimap<time_point, std::pair<queue_entry*, std::uint64_t>>;

/// A lease request that waits for records.
struct lease_waiter {
  lease_request request;
  answer<lease_reply> to;
  deadline_map::iterator deadline;
};

/// One queue in memory. Plain data of `queues_state`.
struct queue_entry {
  queue_name name;
  std::size_t index = 0;

  // What is durable.
  std::uint64_t seq_last = 0;
  std::uint64_t depth_count = 0;
  std::uint64_t dead_count = 0;
  std::uint64_t damaged_count = 0; ///< as the store counts them
  std::uint64_t missing_count = 0; ///< counted by the store but not found there, since it was opened

  ready_state ready;
  lease_state leases;
  std::map<std::uint64_t, lease_waiter> waiters; ///< in the order they came

  std::uint64_t pending_count = 0;           ///< records of requests that wait for the store
  std::size_t accounted_bytes = 0;           ///< of `ready`, as counted in the sum over all queues
  bool is_changed = false;                   ///< listed in `changed_`
  bool reading = false;                      ///< a read of the window is under way
  bool fetching = false;                     ///< a read for retries is under way
  std::optional<time_point> read_not_before; ///< after a failed read
  std::optional<time_point> leased_at;       ///< when somebody last asked
  std::optional<time_point> event_at;        ///< as registered in `events_`
  std::optional<wall_time> unread_oldest_at; ///< of what is stored above the window, as far as known

  std::uint64_t used = 0; ///< grows with each request that names the queue

  std::uint64_t retried_total = 0; ///< since the queues were opened

  /// Nothing is in it, and nobody waits for it; requests that wait for the store may still name it.
  bool is_idle() const noexcept {
    return depth_count == 0 && dead_count == 0 && pending_count == 0 && waiters.empty()
           && leases.leased_count() == 0 && leases.delayed_count() == 0 && !reading && !fetching;
  }

  /// Records that nobody has and that wait for nothing.
  std::uint64_t ready_count() const noexcept {
    auto out = leases.leased_count() + leases.delayed_count();
    return depth_count > out ? depth_count - out : 0;
  }
};

// Requests that wait for the store.

struct pending_append {
  queue_entry* queue = nullptr;
  append_request request;
  answer<append_reply> to;
  bool repeat = false; ///< stored before: nothing to do but to answer
  std::optional<failure> refused = {};
};

struct pending_commit {
  queue_entry* queue = nullptr; ///< none where the source is no queue
  commit_request request;
  std::vector<std::pair<queue_entry*, record_block>> results;
  answer<commit_reply> to;
  lease_state::verdict verdict;
  std::optional<failure> refused;
};

struct pending_purge {
  queue_entry* queue = nullptr;
  answer<count_reply> to;
  std::uint64_t taken_to = 0; ///< where the window began
  std::vector<run> delayed;
  std::uint64_t count = 0;
};

struct pending_requeue {
  queue_entry* queue = nullptr;
  std::vector<std::uint64_t> ids;
  answer<count_reply> to;
  std::uint64_t after_id = 0;
  std::uint64_t id_max = 0; ///< the newest letter at the first step; 0 = before it
  std::uint64_t count = 0;  ///< moved so far
};

using pending_request = std::variant<pending_append, pending_commit, pending_purge, pending_requeue>;

} // namespace sluice::queue
