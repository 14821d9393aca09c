#pragma once

#include "actors/ingress/routing_policy.hpp"
#include "actors/ingress/target_port.hpp"

#include <sluice/core/token_bucket.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sluice::ingress {

using time_point = std::chrono::steady_clock::time_point;

/// A request on its way through the router, as far as decisions go.
///
///      1 (none)    -> waiting, in flight   admit
///      2 waiting   -> in flight            next: a target has room
///      3 in flight -> waiting              put_back: refused, or lost and harmless to repeat
///      4 in flight -> (none)               ended for good
///      5 waiting   -> (none)               expire, cancel, take_all
struct pending {
  explicit pending(time_point deadline) : deadline(deadline) {}
  virtual ~pending() = default;
  pending(const pending&) = delete;
  pending& operator=(const pending&) = delete;

  const time_point deadline;
  time_point since{};       ///< when it came
  std::uint32_t losses = 0; ///< replicas that ended while they had it

private:
  friend class route_state;
  std::list<std::shared_ptr<pending>>::iterator place_; ///< valid while it waits
  bool is_waiting_ = false;
};

using pending_ptr = std::shared_ptr<pending>;

/// One replica of a route. Outlives its place in the table while requests are in flight there.
struct target_slot {
  route_target where;
  target_ptr port; ///< none while it is out of reach
  bool is_local = false;
  std::uint32_t in_flight = 0;
  std::uint32_t at_sink = 0;                   ///< of those: user code is done with them
  time_point closed_until = time_point::min(); ///< takes nothing before
  bool is_full = false; ///< closed because it said so: opens early when an answer comes

  // Its pace, which says how many requests it gets ahead.
  std::uint32_t ahead = 0;
  std::uint32_t answered = 0; ///< or handed to the sink, since `counted_from`
  time_point counted_from = time_point::min();
};

using slot_ptr = std::shared_ptr<target_slot>;

/// The place that one request has at a target.
struct target_place {
  slot_ptr target;
  bool is_at_sink = false;
  bool has_left = false;
};

/// A request and who is to have it.
struct assigned {
  pending_ptr request;
  slot_ptr target;
  target_ptr port; ///< of `target`, which may change without the caller's lock
  bool wants_sink_notice = false;
};

/// What became of a request that was handed in. `queue_full`: turned away, whatever is full.
enum class admission : std::uint8_t { taken, waiting, queue_full, draining };

constexpr std::size_t left_by_client = 6; ///< in `route_statistics::answered_total`

/// Counters of one route on this ingress since it first saw it; gauges are of the moment.
struct route_statistics {
  flow_name flow;
  processor_name processor;
  sluice::method method = sluice::method::get;
  std::string route;
  std::uint32_t targets = 0; ///< open ones
  std::uint32_t waiting = 0;
  std::uint32_t in_flight = 0; ///< of a WebSocket: open connections, too
  std::chrono::milliseconds wait_oldest{0};
  /// By first digit of the status. 0: the answer broke off; `left_by_client`: nobody waits for one.
  std::array<std::uint64_t, 7> answered_total{};
  std::uint64_t queue_full_total = 0; ///< turned away
  std::uint64_t expired_total = 0;    ///< deadline passed while it waited
  std::uint64_t cancelled_total = 0;  ///< client went while it waited
  std::uint64_t refused_total = 0;    ///< by a replica, then given to another
  std::uint64_t lost_total = 0;       ///< with a replica, repeated or not
  latency_histogram latency = {};     ///< of requests that a replica answered
  std::string sink_error = {};        ///< why a queue did not take what was made last; empty = it did
};

/// How long a target takes nothing after it has failed to.
constexpr auto full_pause = std::chrono::milliseconds{20};
constexpr auto gone_pause = std::chrono::milliseconds{250};
/// Replicas that may end with a request before it is given up: it may be the reason.
constexpr std::uint32_t losses_max = 3;

/// The queue in front of one route and the targets behind it. Pure: who calls it locks, hands
/// requests over and answers clients.
///
/// Requests wait first in, first out while no target has room, at most `max_queued_requests` of them
/// (those that come back from a target are let in beyond that, at the front: they were accepted once).
class route_state {
public:
  explicit route_state(std::uint64_t seed) : random_(seed) {}

  /// What is no longer needed: to be destroyed where that may bring requests back here.
  using leftovers = std::vector<std::shared_ptr<void>>;

  /// Takes over what the table says; `reach` is called for targets that are new, moved or had
  /// none. Call `next` afterwards, or `take_all` if the flow drains.
  leftovers update(const route_entry& entry, const node_id& here,
                   const std::function<target_ptr(const route_target&)>& reach);

  /// The route is no longer in the table: as if its flow drained.
  leftovers close();

  /// Counts a request that has come. None if it may be let in; else it is answered with 429, and may be
  /// tried again after the time that is returned.
  std::optional<std::chrono::seconds> limit_rate(time_point now) noexcept;

  /// Takes a new request in. After `taken` it is `out`; after `waiting`, `next` says who goes on.
  admission admit(pending_ptr request, time_point now, assigned& out);

  /// A waiting request that can go on, in flight from now on. None if nobody waits or no target has room.
  std::optional<assigned> next(time_point now);

  /// User code of a collector is done with a request: its place is free for the next. False if it has left, or says so again.
  bool note_at_sink(target_place& place) noexcept;
  /// The request has left its target: answered, refused or lost.
  void leave(target_place& place) noexcept;
  /// Leaves a target that has no room: it takes nothing until `until`, or one of ours leaves it.
  void leave_full(target_place& place, time_point until) noexcept;
  /// Leaves a target that is gone: it takes nothing until `until`, then the way there is looked for anew.
  /// Returns the old one, as `leftovers`.
  target_ptr leave_gone(target_place& place, time_point until) noexcept;

  /// Back to the front of the queue. Returns false if the flow drains: then it is to be refused.
  bool put_back(pending_ptr request);

  /// While held back, all wait.
  void hold_back(bool on) noexcept { is_held_back_ = on; }

  /// Takes out a request that waits. Returns false if it does not.
  bool cancel(pending& request, bool is_expired) noexcept;

  /// Takes out those whose deadline has passed.
  std::vector<pending_ptr> expire(time_point now);
  /// Takes out all that wait.
  std::vector<pending_ptr> take_all();

  /// Tries again to reach targets that were out of reach.
  void reach_again(time_point now, const std::function<target_ptr(const route_target&)>& reach);

  /// Its replicas are there and have all the connections they may have: it makes no sense to wait for one to end.
  bool turns_away(time_point now) const noexcept;

  /// What a client is told that finds it full.
  std::string full_text(time_point now) const;

  const flow_name& flow() const noexcept { return statistics_.flow; }
  const processor_name& processor() const noexcept { return statistics_.processor; }
  std::string name() const { return statistics_.flow.value + "/" + statistics_.processor.value; }
  error_form errors() const noexcept { return errors_; }
  /// Takes no requests: its flow drains, or no replica of it comes up.
  bool is_draining() const noexcept { return is_draining_ || is_failed_; }
  bool is_failed() const noexcept { return is_failed_; }
  std::size_t waiting() const noexcept { return waiting_.size(); }
  std::uint32_t in_flight() const noexcept { return statistics_.in_flight; }
  const std::vector<slot_ptr>& targets() const noexcept { return targets_; }
  /// An answer with this status; 0 = the client got half of one.
  void count_answer(unsigned status) noexcept {
    ++statistics_.answered_total[std::min<std::size_t>(status / 100, 5)];
  }
  /// The client went before the end of its answer; of some streams that is how they end.
  void count_left() noexcept { ++statistics_.answered_total[left_by_client]; }
  void count_latency(std::chrono::nanoseconds taken) noexcept { statistics_.latency.add(taken); }
  void count_refused() noexcept { ++statistics_.refused_total; }
  void count_lost() noexcept { ++statistics_.lost_total; }
  route_statistics statistics(time_point now) const;

private:
  bool choose(time_point now, assigned& out);
  bool is_open(const target_slot& target, time_point now) const noexcept;
  std::uint32_t bound_of(const target_slot& target) const noexcept;
  static std::uint32_t occupied(const target_slot& target) noexcept {
    return target.in_flight - target.at_sink;
  }
  static void reopen(target_slot& target) noexcept;
  static void look_at_pace(target_slot& target, time_point now) noexcept;

  std::vector<slot_ptr> targets_; ///< local ones first
  std::size_t local_count_ = 0;
  std::uint32_t in_flight_max_ = 2;
  std::uint32_t waiting_max_ = 0;
  token_rate rate_; ///< none if it is 0
  token_bucket tokens_;
  error_form errors_ = error_form::plain;
  bool is_held_back_ = false;
  bool is_draining_ = false;
  bool is_websocket_ = false;
  bool is_collector_ = false;
  bool is_failed_ = false;
  std::list<pending_ptr> waiting_;
  std::uint64_t random_;
  route_statistics statistics_;
};

} // namespace sluice::ingress
