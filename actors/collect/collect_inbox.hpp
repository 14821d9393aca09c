#pragma once

#include "actors/collect/collect_state.hpp"

#include <sluice/core/record_block.hpp>
#include <sluice/processor/request_body.hpp>

#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

namespace sluice::collect {

/// A call whose results are to go to the sink.
struct collected_call {
  exchange_ptr call; ///< open still
  record_block records;
  idempotency sent = {};
};

/// What has been collected, until the actor that writes to the sink takes it.
///
/// An actor whose write is out can do nothing with more of it, and the next answer of the sink wakes it anyway. So it is
/// told only when it rests with a write to spare, and once for all that comes until it has looked.
class collect_inbox {
public:
  /// Any thread. True: the actor must be told to look.
  bool add(collected_call what) {
    std::lock_guard lock{mutex_};
    size_bytes_ += what.records.bytes().size();
    waiting_.push_back(std::move(what));
    return (!is_busy_ || size_bytes_ >= size_bytes_max) && !std::exchange(is_told_, true);
  }

  /// The actor only.
  std::vector<collected_call> take() {
    std::lock_guard lock{mutex_};
    size_bytes_ = 0;
    return std::exchange(waiting_, {});
  }

  /// The actor only: it has done all that it can. False if there is more that it could do.
  /// @param is_busy nothing can be written before the sink answers
  bool rest(bool is_busy) {
    std::lock_guard lock{mutex_};
    if (!is_busy && !waiting_.empty())
      return false;
    is_busy_ = is_busy;
    is_told_ = false;
    return true;
  }

  /// The actor only: what it has taken and not brought away.
  void note_held(std::size_t size_bytes) noexcept {
    held_bytes_.store(size_bytes, std::memory_order_relaxed);
  }
  std::size_t held_bytes() const noexcept { return held_bytes_.load(std::memory_order_relaxed); }

  std::size_t count() const {
    std::lock_guard lock{mutex_};
    return waiting_.size();
  }

private:
  /// So much is worth a look by a busy actor, which holds back what user code begins.
  static constexpr std::size_t size_bytes_max = 1u << 20;

  mutable std::mutex mutex_;
  std::vector<collected_call> waiting_;
  std::size_t size_bytes_ = 0;
  bool is_busy_ = false;
  bool is_told_ = false;
  std::atomic<std::size_t> held_bytes_{0};
};

} // namespace sluice::collect
