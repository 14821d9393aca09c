#pragma once

#include <sluice/core/limits.hpp>
#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <optional>

namespace sluice::link {

using time_point = std::chrono::steady_clock::time_point;
using duration = std::chrono::nanoseconds;

/// How long a link waits for what. All must be positive.
struct link_timing {
  duration handshake_deadline = limits::handshake_deadline; ///< connect or accept to hello
  duration ping_interval = limits::ping_interval;           ///< also the tick of an open link
  duration silence_timeout = limits::silence_timeout;
};

enum class link_phase : std::uint8_t { handshake, open, closed };

/// When a link pings, and when it is given up.
///
///                  2 deadline, 3 refused
///   handshake ------------------------------> closed
///       |                                       ^
///       | 1 hello accepted                      |
///       v    4 silence  5 peer does not read    |
///      open ------------------------------------+
///            6 closed by either side
///
/// Silence is counted in ticks that were *seen*: one tick adds at most twice the ping
/// interval. So a process that was itself stopped for a minute does not take its peers
/// for dead when it wakes up; it first gives them the time to be heard.
struct link_state {
  link_timing timing;
  link_phase phase = link_phase::handshake;
  time_point began{};         ///< of the handshake
  time_point ticked{};        ///< last tick, or transition 1
  duration silent_for{};      ///< time seen without a byte from the peer
  duration stalled_for{};     ///< time seen with bytes waiting and none taken by the peer
  bool heard = false;         ///< a byte came since the last tick
  bool heard_payload = false; ///< more than pings and pongs came since the last tick
  bool progressed = false;    ///< the peer took bytes since the last tick
  bool waiting = false;       ///< bytes wait for the peer
};

/// What to do at a tick: at most one of the two.
struct tick_action {
  bool ping = false;
  std::optional<failure> close;
};

/// A link that begins its handshake at `now`.
link_state begin_link(const link_timing& timing, time_point now) noexcept;

/// Transition 1. @pre phase is handshake
void open_link(link_state& state, time_point now) noexcept;

/// Transitions 3 and 6. Safe to repeat.
void close_link(link_state& state) noexcept;

/// Decides transitions 2, 4 and 5, and pings. Call it at `next_tick`, or later.
tick_action tick(link_state& state, time_point now);

/// When `tick` has something to decide; nullopt once closed.
std::optional<time_point> next_tick(const link_state& state) noexcept;

/// Waits between attempts to connect.
struct backoff {
  duration delay_min = limits::reconnect_delay_min;
  duration delay_max = limits::reconnect_delay_max;
};

/// Wait before attempt `failures + 1`: drawn by `random01` (in [0, 1)) from delay_min up
/// to delay_min doubled `failures` times, and never above delay_max. The lower end
/// bounds how often one process knocks, the draw keeps many from knocking together.
duration reconnect_delay(std::uint32_t failures, double random01, const backoff& bounds = {}) noexcept;

/// What to do with a second link of the same name.
enum class duplicate_verdict : std::uint8_t { replace_old, refuse_new };

/// The same process that comes again (same incarnation) replaces its old link. Another
/// process of that name does so only once the old link has been silent for
/// `limits::suspect_after`; before that it is a copy that must not take over.
duplicate_verdict judge_duplicate(bool same_incarnation, duration old_silent_for) noexcept;

} // namespace sluice::link
