#pragma once

#include <caf/actor_clock.hpp>

#include <algorithm>
#include <optional>

namespace sluice {

/// When an actor's next timer message comes. One that was sent cannot be called back: after `arm` for a sooner moment
/// the earlier message still arrives. It is not `due`, and must have no successor, or timers would multiply.
class wake_up {
public:
  using time_point = caf::actor_clock::time_point;

  /// The delay of the message to send now; none: one comes soon enough.
  std::optional<time_point::duration> arm(time_point at, time_point now) {
    at = std::max(at, now);
    if (at_ && *at_ <= at)
      return std::nullopt;
    at_ = at;
    return at - now;
  }

  /// Whether a message that has come is the one that was armed last.
  bool is_due(time_point now) {
    if (!at_ || *at_ > now)
      return false;
    at_.reset();
    return true;
  }

private:
  std::optional<time_point> at_;
};

} // namespace sluice
