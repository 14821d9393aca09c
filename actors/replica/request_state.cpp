#include "actors/replica/request_state.hpp"

#include "actors/replica/replica_policy.hpp"

#include <algorithm>
#include <utility>

namespace sluice::replica {

namespace {

/// For tearing down, however little is left of the drain.
constexpr std::chrono::seconds tear_down_max{10};

} // namespace

request_actions request_state::on_spawned() { return {make_body{}}; } // (1)

request_actions request_state::fail_for_good(std::string why) {
  last_error_ = std::move(why);
  phase_ = replica_phase::failed; // (5)
  step_ = step::ended;
  return {finish{}};
}

request_actions request_state::on_body(const result<void>& outcome, time_point now) {
  // What setup throws is the user's to explain; trying again is left to the cluster.
  if (!outcome)
    return fail_for_good(outcome.error().message);
  if (drain_wanted_)
    return begin_tear_down(now);
  if (has_sink_) {
    step_ = step::sink;
    return {open_sink{}};
  }
  step_ = step::ready;
  phase_ = replica_phase::running; // (2)
  return {open_gate{}};
}

request_actions request_state::on_sink_open(const result<void>& outcome, time_point now) {
  if (drain_wanted_)
    return begin_tear_down(now);
  if (outcome) {
    last_error_.clear(); // of earlier tries
    step_ = step::ready;
    phase_ = replica_phase::running; // (2)
    return {open_gate{}};
  }
  if (!is_transient(outcome.error().code))
    return fail_for_good("sink: " + outcome.error().message);
  last_error_ = "sink: " + outcome.error().message;
  open_again_ = now + backoff_delay(++open_tries_, next_random(random_), backoff_min, backoff_max);
  return {};
}

request_actions request_state::on_drain(time_point now) {
  if (std::exchange(drain_wanted_, true) || step_ == step::ended)
    return {};
  phase_ = replica_phase::draining; // (3) (4)
  const std::chrono::nanoseconds step_max = step_ == step::body ? setup_wait_max : drain_max_;
  step_ends_ = now + std::min(step_max, drain_max_);
  if (step_ == step::ready)
    return begin_drain();
  if (step_ == step::sink && open_again_)
    return begin_tear_down(now);
  return {}; // what is under way ends first
}

request_actions request_state::begin_drain() {
  step_ = step::closing;
  return {close_gate{}};
}

request_actions request_state::begin_tear_down(time_point now) {
  step_ = step::tearing_down;
  step_ends_ = std::max(step_ends_.value_or(now), now + tear_down_max);
  return {tear_down{}};
}

request_actions request_state::on_idle() {
  idle_ = true;
  return {};
}

request_actions request_state::on_tick(bool written, time_point now) {
  if (step_ == step::sink && open_again_ && now >= *open_again_) {
    open_again_.reset();
    return {open_sink{}};
  }
  const bool is_late = step_ends_ && now >= *step_ends_;
  if (step_ == step::closing && idle_ && (written || is_late))
    return begin_tear_down(now);
  if (is_late && step_ != step::ended) { // user code or the sink does not return
    last_error_ = "the drain did not end in time";
    step_ = step::ended;
    phase_ = replica_phase::down; // (6)
    return {finish{}};
  }
  return {};
}

request_actions request_state::on_torn_down(const result<void>& outcome) {
  if (!outcome)
    last_error_ = outcome.error().message;
  step_ = step::ended;
  phase_ = replica_phase::down; // (6)
  return {finish{}};
}

} // namespace sluice::replica
