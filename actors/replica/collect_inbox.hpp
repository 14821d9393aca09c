#pragma once

#include "actors/replica/request_port.hpp"

#include <mutex>
#include <utility>
#include <vector>

namespace sluice::replica {

/// What user code's threads have collected, until the replica takes it.
///
/// A replica whose writes are all out can do nothing with more of it, and the next answer of the sink wakes it anyway. So it is
/// told only when it rests with a write to spare, and once for all that comes until it has looked.
class collect_inbox {
public:
  /// Any thread. True: the replica must be told to look.
  bool add(collected what) {
    std::lock_guard lock{mutex_};
    for (std::size_t i = 0; i < what.results.count(); ++i)
      size_bytes_ += what.results[i].size();
    waiting_.push_back(std::move(what));
    return (!is_busy_ || size_bytes_ >= size_bytes_max) && !std::exchange(is_told_, true);
  }

  /// Replica only.
  std::vector<collected> take() {
    std::lock_guard lock{mutex_};
    size_bytes_ = 0;
    return std::exchange(waiting_, {});
  }

  /// Replica only: it has done all that it can. False if there is more that it could do.
  /// @param is_busy nothing can be written before the sink answers
  bool rest(bool is_busy) {
    std::lock_guard lock{mutex_};
    if (!is_busy && !waiting_.empty())
      return false;
    is_busy_ = is_busy;
    is_told_ = false;
    return true;
  }

  std::size_t count() const {
    std::lock_guard lock{mutex_};
    return waiting_.size();
  }

private:
  /// So much is worth a look by a busy replica, which holds back what user code begins.
  static constexpr std::size_t size_bytes_max = 1u << 20;

  mutable std::mutex mutex_;
  std::vector<collected> waiting_;
  std::size_t size_bytes_ = 0;
  bool is_busy_ = false;
  bool is_told_ = false;
};

} // namespace sluice::replica
