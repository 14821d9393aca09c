#include "transport/http/timer_wheel.hpp"

#include <algorithm>

namespace sluice::http {

namespace {

constexpr std::size_t slots = 512; ///< with ticks of 50 ms a turn is 25 s

} // namespace

timer_wheel::timer_wheel(std::chrono::milliseconds tick, time_point now)
  : tick_length_(tick), start_(now), slots_(slots) {
  for (auto& head : slots_)
    head.before_ = head.after_ = &head;
}

void timer_wheel::set(entry& which, time_point when) {
  which.when = when;
  if (when == never) {
    if (which.slot_tick_ >= 0)
      unlink(which);
    return;
  }
  // Linked for an earlier moment it is looked at in time and linked anew then.
  if (which.slot_tick_ >= 0) {
    if (which.slot_tick_ <= tick_of(when) + 1)
      return;
    unlink(which);
  }
  link(which);
}

void timer_wheel::link(entry& which) {
  auto turn = static_cast<std::int64_t>(slots_.size());
  // One tick on: at the slot's own tick its deadline may be ahead by part of a tick.
  auto tick = std::clamp(tick_of(which.when) + 1, tick_ + 1, tick_ + turn - 1);
  auto& head = slot(tick);
  which.slot_tick_ = tick;
  which.after_ = &head;
  which.before_ = head.before_;
  head.before_->after_ = &which;
  head.before_ = &which;
  ++linked_;
}

void timer_wheel::unlink(entry& which) noexcept {
  which.before_->after_ = which.after_;
  which.after_->before_ = which.before_;
  which.before_ = which.after_ = nullptr;
  which.slot_tick_ = -1;
  --linked_;
}

/// Moves the ring of a slot to `into`, so that what is linked meanwhile is not visited.
void timer_wheel::take_slot(std::int64_t tick, entry& into) noexcept {
  auto& head = slot(tick);
  into.before_ = into.after_ = &into;
  if (head.after_ == &head)
    return;
  into.after_ = head.after_;
  into.before_ = head.before_;
  into.after_->before_ = &into;
  into.before_->after_ = &into;
  head.before_ = head.after_ = &head;
}

} // namespace sluice::http
