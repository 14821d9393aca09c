#include "transport/link/link_state.hpp"

#include <algorithm>
#include <string>

namespace sluice::link {

namespace {

std::string in_ms(duration d) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(d).count()) + " ms";
}

void accumulate(duration& total, bool reset, duration seen) noexcept {
  total = reset ? duration{} : total + seen;
}

} // namespace

link_state begin_link(const link_timing& timing, time_point now) noexcept {
  link_state state;
  state.timing = timing;
  state.began = now;
  state.ticked = now;
  return state;
}

void open_link(link_state& state, time_point now) noexcept {
  state.phase = link_phase::open;
  state.ticked = now;
}

void close_link(link_state& state) noexcept { state.phase = link_phase::closed; }

tick_action tick(link_state& state, time_point now) {
  tick_action action;
  const auto& timing = state.timing;
  if (state.phase == link_phase::closed)
    return action;
  if (state.phase == link_phase::handshake) {
    if (now >= state.began + timing.handshake_deadline) {
      action.close = failure{errc::timeout, "no complete hello within " + in_ms(timing.handshake_deadline)};
      close_link(state);
    }
    return action;
  }
  auto seen = std::clamp<duration>(now - state.ticked, duration{}, 2 * timing.ping_interval);
  state.ticked = std::max(state.ticked, now);
  accumulate(state.silent_for, state.heard, seen);
  accumulate(state.stalled_for, state.progressed || !state.waiting, seen);
  bool idle = !state.heard_payload;
  state.heard = state.heard_payload = state.progressed = false;
  if (state.silent_for >= timing.silence_timeout) {
    action.close = failure{errc::unavailable, "the peer said nothing for " + in_ms(timing.silence_timeout)};
  } else if (state.stalled_for >= timing.silence_timeout) {
    action.close = failure{errc::unavailable, "the peer took no bytes for " + in_ms(timing.silence_timeout)};
  } else {
    action.ping = idle;
  }
  if (action.close)
    close_link(state);
  return action;
}

std::optional<time_point> next_tick(const link_state& state) noexcept {
  switch (state.phase) {
  case link_phase::handshake:
    return state.began + std::chrono::ceil<time_point::duration>(state.timing.handshake_deadline);
  case link_phase::open:
    return state.ticked + std::chrono::ceil<time_point::duration>(state.timing.ping_interval);
  case link_phase::closed:
    return std::nullopt;
  }
  return std::nullopt;
}

duration reconnect_delay(std::uint32_t failures, double random01, const backoff& bounds) noexcept {
  auto top = bounds.delay_min;
  for (std::uint32_t i = 0; i < failures && top < bounds.delay_max; ++i)
    top *= 2;
  top = std::clamp(top, bounds.delay_min, std::max(bounds.delay_min, bounds.delay_max));
  auto spread = static_cast<double>((top - bounds.delay_min).count());
  return bounds.delay_min + duration{static_cast<duration::rep>(spread * std::clamp(random01, 0.0, 1.0))};
}

duplicate_verdict judge_duplicate(bool same_incarnation, duration old_silent_for) noexcept {
  return same_incarnation || old_silent_for >= limits::suspect_after ? duplicate_verdict::replace_old
                                                                     : duplicate_verdict::refuse_new;
}

} // namespace sluice::link
