#pragma once

#include <sluice/core/record_block.hpp>
#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sluice::collect {

using time_point = std::chrono::steady_clock::time_point;

/// What a client says makes its request the same as another one.
struct idempotency {
  std::string key;               ///< empty = it says nothing
  std::uint64_t fingerprint = 0; ///< of its request
};

/// One write to the sink. Its content never changes, so that a repeat after an unknown
/// outcome is recognised by `seq`.
struct collect_group {
  std::uint64_t seq = 0;         ///< counts the groups without a key; 1 for a keyed one
  std::string key;               ///< idempotency key; its group has the results of one call
  std::uint64_t fingerprint = 0; ///< of that call
  record_block records;
  std::vector<std::uint64_t> calls;
  bool waiting = false; ///< an answer is due
  time_point sent{};
  std::uint32_t tries = 0;
  time_point not_before{};
};

/// Calls whose clients can be told.
struct collect_outcome {
  std::vector<std::uint64_t> stored;
  std::vector<std::uint64_t> failed; ///< `why` is why; nothing of them was written
  failure why;
  std::string reused_key; ///< if it is why: the key belongs to another request
};

/// The results of collector calls on their way to the sink. Pure: time is an argument.
///
/// What comes in while a write is out goes together in the next one (group commit), so a sink that
/// takes 5 ms per write confirms thousands of calls a second. One write is out at a time, beside those with
/// a key: the queue recognises a repeat by the last number, and with two each call would wait for three instead of two.
class collect_state {
public:
  /// `keyed` = the sink recognises idempotency keys; otherwise they are ignored.
  collect_state(bool keyed, std::uint64_t seed);

  /// `records` must not be empty. A call past its `deadline` that is in no write yet is dropped.
  void add(std::uint64_t call, record_block records, idempotency sent, time_point deadline);

  /// The writes to send now, by id. Each is then asked for by `group`.
  std::vector<std::uint64_t> next(time_point now);
  const collect_group& group(std::uint64_t id) const { return groups_.at(id); }
  /// A write ended. What may succeed later is tried again with back-off.
  collect_outcome on_stored(std::uint64_t id, const result<void>& outcome, time_point now);

  /// Writes that have been out for `wait_max`: give them to `on_stored` as failed, then they are repeated.
  std::vector<std::uint64_t> unanswered(time_point now, std::chrono::nanoseconds wait_max) const;

  /// Calls whose deadline has passed before they got into a write; they are forgotten.
  std::vector<std::uint64_t> take_late(time_point now);

  /// Whether the write is out: what comes now waits for its answer.
  bool is_out() const noexcept;
  /// Whether a write has failed and is tried again.
  bool is_retrying() const noexcept;
  bool empty() const noexcept { return waiting_.empty() && groups_.empty(); }
  std::size_t size_bytes() const noexcept { return size_bytes_; }

private:
  struct waiting_call {
    std::uint64_t call = 0;
    record_block records;
    idempotency sent;
    time_point deadline;
  };

  void cut_keyed();
  void cut();

  const bool keyed_;
  std::uint64_t random_;
  std::deque<waiting_call> waiting_;
  std::map<std::uint64_t, collect_group> groups_;
  std::uint64_t seq_last_ = 0; ///< of the groups without a key
  std::uint64_t next_group_ = 1;
  std::size_t size_bytes_ = 0;
};

} // namespace sluice::collect
