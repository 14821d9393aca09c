#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::replica {

/// Where a thread writes down which record it is about to give to user code, so that
/// after the death of the process it is known which record was inside, and whether others have passed.
///
/// Lives in memory shared with the node agent, so it holds nothing but lock-free
/// atomics and has a fixed layout. One thread writes, anyone may read; an async
/// replica has a slot per record in flight.
struct flight_slot {
  std::atomic<std::uint64_t> replica{0};   ///< `replica_id`; 0 = the slot is free
  std::atomic<std::uint64_t> seq{0};       ///< of the record inside user code; 0 = none
  std::atomic<std::int64_t> started_ns{0}; ///< steady clock, the same in all processes of a machine
  std::atomic<std::uint32_t> crashed{0};   ///< set by the signal handler of the thread that crashed
  std::atomic<std::uint32_t> passed{
    0}; ///< records that came out again, of all that had the slot; wraps around

  /// The record goes in. `now_ns` is the steady clock.
  void enter(std::uint64_t record_seq, std::int64_t now_ns) noexcept {
    started_ns.store(now_ns, std::memory_order_relaxed);
    seq.store(record_seq, std::memory_order_release);
  }

  /// The record is out again.
  void leave() noexcept {
    passed.store(passed.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    seq.store(0, std::memory_order_release);
  }
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(flight_slot) == 32);

} // namespace sluice::replica
