#pragma once

#include "actors/queue/queue_protocol.hpp"
#include "actors/replica/replica_port.hpp"

#include <sluice/core/limits.hpp>
#include <sluice/core/record_block.hpp>
#include <sluice/io/source.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::replica {

using time_point = std::chrono::steady_clock::time_point;

/// Records that are settled together: their results pushed first, where the sink is
/// no queue, then one commit.
struct settle_group {
  std::vector<std::uint64_t> acks;
  std::vector<queue::nack> nacks; ///< only where the source is a queue
  std::vector<record_block> results;
  std::vector<queue::burial> burials;    ///< only where it is none
  std::optional<std::uint64_t> position; ///< all up to here is settled with this group
  std::string mark;                      ///< of the pull that `position` came with
  std::vector<record_block> inputs;      ///< with `position`: where the payloads of `acks` are
  std::size_t freed_bytes = 0;           ///< of `ordered_settle::held_bytes`, once this group is settled

  std::size_t count() const noexcept { return acks.size() + nacks.size() + burials.size(); }
};

/// Bounds of one group: the frame and the transaction it becomes.
constexpr std::size_t group_count_max = limits::block_count_max;
constexpr std::size_t group_bytes_max = limits::block_size_bytes_max;

/// Gathers what is done of a queue's records, in whatever order it comes: every record
/// has a lease of its own. Whole chunks only, so nothing is copied.
class leased_settle {
public:
  void add(work_done chunk) { ready_.push_back(std::move(chunk)); }
  bool empty() const noexcept { return ready_.empty(); }
  void clear() { ready_.clear(); }

  /// Takes as much as one commit may carry. @pre !empty()
  settle_group cut();

private:
  std::deque<work_done> ready_;
};

/// Gathers what is done of a source that is no queue and gives it out in the order of
/// the source, each time the front of what was taken is done.
///
/// So the stored position is always one below which everything is settled, nothing
/// beyond it has been, and a restart repeats only what was never stored.
class ordered_settle {
public:
  /// A block was taken from the source; its payloads are kept for retries. Those that the source
  /// refused stand between them and are to be buried. `mark` is that of the pull.
  void taken(const record_block& records, const std::vector<refused_record>& refused = {},
             std::string mark = {});

  void add(const work_done& chunk);                ///< takes the acks and results
  void bury(std::uint64_t seq, queue::burial why); ///< a record is given up

  /// A record that was taken and is not settled; empty if it is not.
  std::string_view payload_of(std::uint64_t seq) const;

  /// Whether the front is done, so that `cut` has something to give.
  bool ready() const noexcept { return !open_.empty() && done_.contains(open_.front()); }
  /// Takes as much as one commit may carry, even when the sink refuses all of it and the records are buried.
  /// @pre ready()
  settle_group cut();

  /// Taken and not given out by `cut`.
  std::size_t open_count() const noexcept { return open_.size(); }
  /// Of the blocks and burials that wait here.
  std::size_t held_bytes() const noexcept { return held_bytes_; }

private:
  struct outcome {
    record_block chunk; ///< keeps `first` alive
    record_block::iterator first;
    std::size_t count = 0;
    std::optional<queue::burial> burial;
  };

  struct marked {
    std::uint64_t seq_last = 0;
    std::string mark;
  };

  std::deque<std::uint64_t> open_; ///< grows; front = oldest not given out
  std::deque<marked> marks_;       ///< of pulls that are not given out whole
  std::map<std::uint64_t, outcome> done_;
  struct kept_block {
    record_block records;
    std::uint64_t seq_last = 0;
  };
  class input_cursor;

  std::deque<kept_block> blocks_; ///< until their last record is given out
  std::size_t held_bytes_ = 0;
};

/// The payload of a record in one of the blocks; empty if it is in none.
std::string_view find_payload(const std::vector<record_block>& blocks, std::uint64_t seq);

/// Records of a source that is no queue which failed and wait for their next attempt.
class retry_state {
public:
  explicit retry_state(std::uint32_t attempts_max) : attempts_max_(attempts_max) {}

  /// Counts an attempt. Returns the burial when it was the last one, otherwise keeps
  /// the record until it is due.
  std::optional<queue::burial> failed(const queue::nack& why, std::string_view payload, time_point now,
                                      std::uint32_t random);
  void succeeded(std::uint64_t seq) { records_.erase(seq); }

  /// Records whose next attempt is due; each is given out once per attempt.
  record_block due(time_point now);

  bool empty() const noexcept { return records_.empty(); }
  void clear() { records_.clear(); }

private:
  struct record {
    std::uint32_t attempts = 0;
    bool waiting = false;
    time_point due{};
    std::string payload;
  };

  std::uint32_t attempts_max_;
  std::map<std::uint64_t, record> records_;
};

} // namespace sluice::replica
