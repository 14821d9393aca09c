#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::http {

/// Deadlines of thousands of connections, coarse and cheap: setting one costs a few instructions, and
/// mostly not even a relink, as deadlines are put off far more often than they pass.
///
/// Time is an argument. An entry is handed out at the first `advance` at or after its deadline, at most
/// one tick late. One thread at a time.
class timer_wheel {
public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr time_point never = time_point::max();

  /// Lives in what has the deadline, which cancels it before it goes.
  struct entry {
    time_point when = never;

  private:
    friend class timer_wheel;
    entry* before_ = nullptr;
    entry* after_ = nullptr;
    std::int64_t slot_tick_ = -1; ///< -1: not linked
  };

  timer_wheel(std::chrono::milliseconds tick, time_point now);

  /// Sets or moves a deadline; `never` takes it away.
  void set(entry& which, time_point when);
  void cancel(entry& which) { set(which, never); }
  bool empty() const noexcept { return linked_ == 0; }

  /// Calls `due(entry&)` for each whose deadline has passed, no longer set by then. `due` may set and
  /// cancel any entry, and end the lives of others than its own.
  template <class Due>
  void advance(time_point now, Due due) {
    auto last = tick_of(now);
    // A full turn visits every slot; a clock that jumped further needs no more.
    if (last - tick_ > static_cast<std::int64_t>(slots_.size()))
      tick_ = last - static_cast<std::int64_t>(slots_.size());
    while (tick_ < last && linked_ > 0) {
      ++tick_;
      entry visited;
      take_slot(tick_, visited);
      while (visited.after_ != &visited) {
        auto& next = *visited.after_;
        unlink(next);
        if (next.when <= now) {
          next.when = never;
          due(next);
        } else if (next.when != never) {
          link(next);
        }
      }
    }
    tick_ = last;
  }

private:
  std::int64_t tick_of(time_point at) const noexcept { return (at - start_) / tick_length_; }
  void link(entry& which);
  void unlink(entry& which) noexcept;
  void take_slot(std::int64_t tick, entry& into) noexcept;
  entry& slot(std::int64_t tick) noexcept { return slots_[static_cast<std::size_t>(tick) % slots_.size()]; }

  std::chrono::nanoseconds tick_length_;
  time_point start_;
  std::int64_t tick_ = 0;
  std::size_t linked_ = 0;
  std::vector<entry> slots_; ///< heads of rings
};

} // namespace sluice::http
