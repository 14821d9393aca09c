#pragma once

#include "actors/replica/replica_state.hpp"

#include <sluice/core/result.hpp>

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace sluice::replica {

struct open_gate {};  ///< requests come in from now on
struct close_gate {}; ///< refuse what has not begun and all that comes; answer with `on_idle`

using request_action = std::variant<make_body, open_sink, open_gate, close_gate, tear_down, finish>;
using request_actions = std::vector<request_action>;

/// The life of one replica that answers requests. Pure: time is an argument.
///
/// ```
///  spawned (1)          (2) set up, sink open, gate open      (3) drain asked
///  ─────────▶ starting ────────────────────────────▶ running ────────────────▶ draining
///                │ (4) drain asked ──────────────────────────────────────────────▶ │
///                │                                                                 │ (6) idle and all written, or
///                │ (5) setup failed,                                               │     `drain_max`; torn down
///                │     or an open for good                                         ▼     if nothing runs in it
///                └────────────▶ failed                                            down
/// ```
///
/// What has begun is answered, streams included, for up to `drain_max`; a setup has `setup_wait_max`. User code that has not returned by then is not
/// torn down under its feet, and neither is a setup, a teardown or a sink waited for that does not return: the replica ends
/// without it, its thread with the host.
class request_state {
public:
  /// @param drain_max how long a drain waits for what has begun
  request_state(bool has_sink, std::uint64_t seed, std::chrono::nanoseconds drain_max)
    : has_sink_(has_sink), drain_max_(drain_max), random_(seed) {}

  request_actions on_spawned();
  request_actions on_body(const result<void>& outcome, time_point now);
  request_actions on_sink_open(const result<void>& outcome, time_point now);
  request_actions on_drain(time_point now);
  /// User code has returned from every request.
  request_actions on_idle();
  /// `written` = no result waits for its sink.
  request_actions on_tick(bool written, time_point now);
  request_actions on_torn_down(const result<void>& outcome);

  replica_phase phase() const noexcept { return phase_; }
  const std::string& last_error() const noexcept { return last_error_; }
  /// Whether that is why the sink is not open yet.
  bool is_retrying() const noexcept { return step_ == step::sink && open_tries_ > 0; }
  void note_error(std::string text) { last_error_ = std::move(text); }

private:
  enum class step : std::uint8_t { body, sink, ready, closing, tearing_down, ended };

  request_actions fail_for_good(std::string why);
  request_actions begin_drain();
  request_actions begin_tear_down(time_point now);

  const bool has_sink_;
  const std::chrono::nanoseconds drain_max_;
  std::uint64_t random_;
  replica_phase phase_ = replica_phase::starting;
  step step_ = step::body;
  bool idle_ = false;
  bool drain_wanted_ = false;
  std::uint32_t open_tries_ = 0;
  std::optional<time_point> open_again_;
  std::optional<time_point> step_ends_; ///< once a drain is asked: then it is waited for no longer
  std::string last_error_;
};

} // namespace sluice::replica
