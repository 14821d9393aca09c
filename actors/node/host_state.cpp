#include "actors/node/host_state.hpp"

#include <algorithm>
#include <cassert>
#include <csignal>
#include <cstdio>
#include <utility>

namespace sluice::node {

namespace {

using std::chrono::milliseconds;

/// A host whose link broke is usually a host that is dying: its exit says more than
/// the link, and follows within this time.
constexpr milliseconds link_grace{1000};

/// After an end that is the fault of one record among others.
constexpr milliseconds blamed_backoff_max{1000};

std::string to_text(milliseconds span) {
  char text[32];
  if (span >= std::chrono::minutes{2})
    std::snprintf(text, sizeof text, "%lld min", static_cast<long long>(span.count() / 60000));
  else if (span.count() % 1000 == 0)
    std::snprintf(text, sizeof text, "%lld s", static_cast<long long>(span.count() / 1000));
  else
    std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(span.count()) / 1000.0);
  return text;
}

std::string to_mib(std::uint64_t bytes) { return std::to_string((bytes + (1u << 19)) >> 20) + " MiB"; }

bool same_orders(const std::vector<host::replica_order>& a, const std::vector<host::replica_order>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.id == y.id && x.processor == y.processor && x.goal == y.goal;
  });
}

bool is_gone(const host::replica_report& replica) {
  return replica.phase == host::replica_phase::down || replica.phase == host::replica_phase::failed;
}

bool is_running(const host::replica_report& replica) { return replica.phase == host::replica_phase::running; }

void begin_fetch(host_state& state, host_actions& out) {
  state.phase = host_phase::fetching;
  state.detail = "waits for its artifact";
  state.due.reset();
  out.emplace_back(action::fetch{});
}

/// Forgets the process that is gone.
void clear_process(host_state& state) {
  state.pid = 0;
  state.memory_bytes = 0;
  state.replicas.clear();
  state.link_is_up = false;
  state.link_loss.clear();
  state.heard_at.reset();
  state.serving_since.reset();
  state.due.reset();
  state.step = stop_step::none;
  state.kill_reason.clear();
}

void go_down(host_state& state) {
  state.phase = host_phase::down;
  state.detail.clear();
  state.due.reset();
}

void send_orders(host_state& state, std::vector<host::replica_order> replicas, host_actions& out) {
  ++state.order_revision;
  out.emplace_back(action::send_replicas{state.host, {state.order_revision, std::move(replicas)}});
}

void begin_terminate(host_state& state, const moment& at, host_actions& out) {
  state.phase = host_phase::stopping;
  state.step = stop_step::terminating;
  state.detail = "waits for its process to end";
  state.due = at.now + limits::host_terminate_grace;
  out.emplace_back(action::terminate{state.host});
}

void begin_kill(host_state& state, std::string reason, const moment& at, host_actions& out,
                milliseconds hung_after = {}) {
  if (!state.kill_reason.empty())
    return; // under way; the repetition is the timer's business
  state.kill_reason = std::move(reason);
  state.detail = "is being killed: " + state.kill_reason;
  if (state.phase == host_phase::stopping)
    state.step = stop_step::killing;
  state.due = at.now + limits::host_terminate_grace;
  out.emplace_back(action::kill{state.host, hung_after, state.kill_reason});
}

void back_off_fetch(host_state& state, const std::string& why, const moment& at) {
  auto delay = backoff_delay(state.fetch_failures++, at.jitter, limits::host_backoff_min,
                             limits::artifact_fetch_backoff_max);
  state.phase = host_phase::backing_off;
  state.due = at.now + delay;
  state.detail = "artifact: " + why;
}

/// For the events: nothing has run, so that no end is counted. Without a host none was begun.
void tell_damage(host_id host, const std::string& why, host_actions& out) {
  crash_report report;
  report.host = host;
  report.reason = "cannot run here: " + why;
  out.emplace_back(action::report_end{std::move(report), false});
}

/// More ends than this make no wait longer, and need no more service to make up for.
constexpr std::uint32_t ends_counted_max = limits::host_restarts_max + 3;

/// Transition 7: takes back one end for each stretch of good service, or all.
void make_up_for_ends(host_state& state, const moment& at) {
  if (!state.serving_since)
    return;
  const auto served = at.now - *state.serving_since;
  if (served >= limits::host_restart_window) {
    state.ends_in_row = 0;
    state.blamed_in_row = 0;
    return;
  }
  const auto stretches =
    static_cast<std::uint32_t>(served / (limits::host_restart_window / limits::host_restarts_max));
  if (stretches > 0)
    state.ends_in_row = std::max(std::min(state.ends_in_row, ends_counted_max), stretches) - stretches;
}

void back_off(host_state& state, const std::string& reason, milliseconds delay, const moment& at) {
  state.phase = host_phase::backing_off;
  state.due = at.now + delay;
  state.detail = reason;
}

/// Transitions 4 and 6: a process ended that should not have.
void back_off_end(host_state& state, const crash_report& report, const moment& at) {
  const auto& reason = report.reason;
  if (report.has_passed_records)
    state.passed_at = at.now;
  if (!report.suspects.empty() && state.passed_at && at.now - *state.passed_at < limits::host_restart_window)
    return back_off(
      state, reason,
      backoff_delay(state.blamed_in_row++, at.jitter, limits::host_backoff_min, blamed_backoff_max), at);
  ++state.ends_in_row;
  constexpr auto ends_max = limits::host_restarts_max;
  if (state.ends_in_row < ends_max)
    return back_off(
      state, reason,
      backoff_delay(state.ends_in_row - 1, at.jitter, limits::host_backoff_min, limits::host_backoff_max),
      at);
  constexpr milliseconds max = limits::host_backoff_max;
  const auto doublings = std::min(state.ends_in_row, ends_counted_max) - ends_max;
  const milliseconds doubled = milliseconds{limits::host_restart_window} * (1 << doublings);
  milliseconds spread{static_cast<milliseconds::rep>(static_cast<double>(doubled.count()) * at.jitter / 4)};
  state.phase = host_phase::crash_loop;
  state.due = at.now + std::min(doubled + spread, max); // never below the window: no more starts in it
  state.detail = reason + "; ended " + std::to_string(state.ends_in_row) + " times in a row";
}

/// True if the end is what a stop leads to.
bool is_expected_end(const host_state& state, const crash_report& report) {
  if (state.phase != host_phase::stopping || !state.kill_reason.empty())
    return false;
  if (report.signal == 0 && report.exit_code == 0)
    return true;
  return state.step != stop_step::draining && (report.signal == SIGTERM || report.signal == SIGKILL);
}

/// No record has been inside user code for that long.
constexpr milliseconds blames_none = std::chrono::hours{24 * 3650};

/// Names the first replica that has worked on one call for too long, or on its setup.
struct hang {
  std::string reason;
  milliseconds timeout;
};

std::optional<hang> find_hang(const host_state& state) {
  for (const auto& replica : state.replicas) {
    const bool sets_up = replica.phase == host::replica_phase::starting;
    const auto& limits_of = sets_up ? state.setup_limits : state.timeouts;
    auto limit = limits_of.find(replica.processor);
    if (limit == limits_of.end() || limit->second <= milliseconds{0}
        || replica.busy_longest < limit->second + limits::host_hang_grace)
      continue;
    const auto name = "processor '" + replica.processor.value + "'";
    return hang{"hung: "
                  + (sets_up ? "the setup of " + name + " has taken " : name + " has worked on one call for ")
                  + to_text(replica.busy_longest) + ", its limit is " + to_text(limit->second),
                sets_up ? blames_none : limit->second};
  }
  return std::nullopt;
}

bool drain_is_done(const host_state& state) {
  return state.revision_seen >= state.order_revision
         && std::all_of(state.replicas.begin(), state.replicas.end(), is_gone);
}

void begin_stop(host_state& state, const moment& at, host_actions& out) {
  if (has_process(state) && !state.kill_reason.empty()) {
    state.phase = host_phase::stopping;
    state.step = stop_step::killing;
    return;
  }
  switch (state.phase) {
  case host_phase::fetching:
  case host_phase::backing_off:
  case host_phase::crash_loop:
    go_down(state);
    return;
  case host_phase::starting:
    begin_terminate(state, at, out);
    break;
  case host_phase::running:
    if (!state.link_is_up) {
      begin_terminate(state, at, out);
      break;
    }
    state.phase = host_phase::stopping;
    state.step = stop_step::draining;
    state.detail = "drains its replicas";
    state.due = at.now + limits::drain_timeout;
    send_orders(state, {}, out);
    break;
  case host_phase::stopping:
  case host_phase::down:
    break;
  }
}

void on_due(host_state& state, const moment& at, host_actions& out) {
  if (!state.kill_reason.empty() || state.step == stop_step::killing) {
    state.due = at.now + limits::host_terminate_grace;
    out.emplace_back(action::kill{state.host, {}});
    return;
  }
  switch (state.phase) {
  case host_phase::backing_off:
  case host_phase::crash_loop:
    begin_fetch(state, out);
    break;
  case host_phase::starting:
    begin_kill(state,
               state.link_loss.empty() ? "did not say hello within " + to_text(limits::host_start_deadline)
                                       : state.link_loss,
               at, out);
    break;
  case host_phase::running: // only a lost link sets a timer here
    begin_kill(state, "hung: " + state.link_loss, at, out);
    break;
  case host_phase::stopping:
    if (state.step == stop_step::draining) {
      begin_terminate(state, at, out);
      break;
    }
    state.step = stop_step::killing;
    state.detail =
      "is being killed: did not end within " + to_text(limits::host_terminate_grace) + " of SIGTERM";
    state.due = at.now + limits::host_terminate_grace;
    out.emplace_back(action::kill{state.host, {}});
    break;
  case host_phase::fetching:
  case host_phase::down:
    state.due.reset();
    break;
  }
}

} // namespace

bool has_process(const host_state& state) noexcept {
  return state.phase == host_phase::starting || state.phase == host_phase::running
         || state.phase == host_phase::stopping;
}

std::chrono::milliseconds wait_left(const host_state& state, time_point now) noexcept {
  const bool waits = state.phase == host_phase::backing_off || state.phase == host_phase::crash_loop;
  if (!waits || !state.due || *state.due <= now)
    return milliseconds{0};
  return std::chrono::ceil<milliseconds>(*state.due - now);
}

std::optional<time_point> next_due(const host_state& state) noexcept {
  auto due = state.due;
  if (state.heard_at && state.phase == host_phase::running) {
    auto silent = *state.heard_at + limits::host_silence_timeout;
    due = due ? std::min(*due, silent) : silent;
  }
  return due;
}

milliseconds backoff_delay(std::uint32_t count, double jitter, milliseconds min, milliseconds max) noexcept {
  milliseconds delay = std::min<milliseconds>(max, min * (1 << std::min<std::uint32_t>(count, 20)));
  auto half = static_cast<double>(delay.count()) / 2;
  return milliseconds{static_cast<milliseconds::rep>(half + half * jitter)};
}

host_actions apply(host_state& state, const event::wanted& what, const moment& at) {
  host_actions out;
  const bool is_other = !same_orders(state.replicas_wanted, what.replicas);
  state.is_wanted = what.run;
  state.replicas_wanted = what.replicas;
  state.memory_limit_bytes = what.memory_limit_bytes;
  if (!what.run) {
    begin_stop(state, at, out);
    return out;
  }
  if (state.phase == host_phase::down) {
    begin_fetch(state, out);
  } else if (state.phase == host_phase::running) {
    if (state.link_is_up && is_other)
      send_orders(state, state.replicas_wanted, out);
  } else if (state.phase == host_phase::stopping && state.step == stop_step::draining) {
    state.phase = host_phase::running;
    state.step = stop_step::none;
    state.detail.clear();
    state.due.reset();
    if (state.heard_at)
      state.heard_at = at.now;
    send_orders(state, state.replicas_wanted, out);
  }
  return out;
}

host_actions apply(host_state& state, const event::fetched& what, const moment& at) {
  host_actions out;
  if (state.phase != host_phase::fetching)
    return out;
  if (!what.outcome) {
    const auto& why = what.outcome.error();
    if (why.code == errc::corrupt
        && state.fetch_failures == 0) // once and not at each attempt: only a person can mend it
      tell_damage({}, why.message, out);
    back_off_fetch(state, why.message, at);
    return out;
  }
  assert(at.host_next);
  state.phase = host_phase::starting;
  state.host = at.host_next;
  state.order_revision = 0;
  state.revision_seen = 0;
  ++state.starts_total;
  state.detail = "its process has been started and has not reported yet";
  if (state.isolated)
    state.due = at.now + limits::host_start_deadline;
  out.emplace_back(action::launch{state.host});
  return out;
}

host_actions apply(host_state& state, const event::started& what, const moment&) {
  if (has_process(state) && state.host == what.host) {
    state.pid = what.pid;
    state.fetch_failures = 0;
  }
  return {};
}

host_actions apply(host_state& state, const event::connected& what, const moment& at) {
  host_actions out;
  if (state.host != what.host || state.phase != host_phase::starting || !state.kill_reason.empty()
      || !state.link_loss.empty())
    return out;
  state.phase = host_phase::running;
  state.detail.clear();
  state.link_is_up = true;
  state.due.reset();
  if (state.isolated)
    state.heard_at = at.now;
  send_orders(state, state.replicas_wanted, out);
  return out;
}

host_actions apply(host_state& state, const event::unreachable& what, const moment& at) {
  host_actions out;
  if (state.host != what.host || !has_process(state))
    return out;
  state.link_is_up = false;
  state.heard_at.reset();
  if (!state.kill_reason.empty())
    return out;
  if (state.phase == host_phase::stopping) {
    if (state.step == stop_step::draining)
      begin_terminate(state, at, out);
    return out;
  }
  state.link_loss = "lost its link to the node: " + what.why;
  state.detail = state.link_loss;
  state.due = at.now + link_grace;
  return out;
}

host_actions apply(host_state& state, const event::launch_failed& what, const moment& at) {
  host_actions out;
  if (state.host != what.host || !has_process(state))
    return out;
  const bool was_stopping = state.phase == host_phase::stopping;
  clear_process(state);
  if (was_stopping) {
    if (state.is_wanted)
      begin_fetch(state, out);
    else
      go_down(state);
    return out;
  }
  if (what.why.code == errc::corrupt || what.why.code == errc::not_found) {
    if (what.why.code == errc::corrupt)
      tell_damage(what.host, what.why.message, out);
    back_off_fetch(state, what.why.message, at);
    return out;
  }
  crash_report report;
  report.at = what.at;
  report.host = what.host;
  report.reason = "could not be started: " + what.why.message;
  state.last_crash = report;
  back_off_end(state, report, at);
  out.emplace_back(action::report_end{std::move(report), false});
  return out;
}

host_actions apply(host_state& state, const event::exited& what, const moment& at) {
  host_actions out;
  if (state.host != what.report.host || !has_process(state))
    return out;
  auto report = what.report;
  if (report.signal == SIGKILL && !state.kill_reason.empty())
    report.reason = state.kill_reason;
  const bool expected = is_expected_end(state, report);
  const bool was_stopping = state.phase == host_phase::stopping;
  make_up_for_ends(state, at);
  clear_process(state);
  if (expected)
    report.suspects.clear(); // a stop is nobody's fault
  else
    state.last_crash = report;
  out.emplace_back(action::report_end{report, expected});
  if (!was_stopping)
    back_off_end(state, report, at);
  else if (state.is_wanted)
    begin_fetch(state, out);
  else
    go_down(state);
  return out;
}

host_actions apply(host_state& state, const host::host_report& what, const moment& at) {
  host_actions out;
  if (state.host != what.host || !state.link_is_up)
    return out;
  state.replicas = what.replicas;
  state.revision_seen = what.revision;
  if (!state.serving_since && std::any_of(state.replicas.begin(), state.replicas.end(), is_running))
    state.serving_since = at.now;
  if (state.heard_at)
    state.heard_at = at.now;
  if (state.isolated && state.kill_reason.empty())
    if (auto found = find_hang(state))
      begin_kill(state, std::move(found->reason), at, out, found->timeout);
  if (state.phase == host_phase::stopping && state.step == stop_step::draining && drain_is_done(state))
    begin_terminate(state, at, out);
  return out;
}

host_actions apply(host_state& state, const event::tick& what, const moment& at) {
  host_actions out;
  if (what.memory_bytes)
    state.memory_bytes = *what.memory_bytes;
  if (state.due && at.now >= *state.due)
    on_due(state, at, out);
  if (!state.isolated || !has_process(state))
    return out;
  if (state.memory_limit_bytes > 0 && state.memory_bytes > state.memory_limit_bytes)
    begin_kill(state,
               "out of memory: " + to_mib(state.memory_bytes) + " used, limit "
                 + to_mib(state.memory_limit_bytes),
               at, out);
  if (state.phase == host_phase::running && state.heard_at
      && at.now - *state.heard_at >= limits::host_silence_timeout) {
    state.heard_at.reset();
    begin_kill(state, "hung: reported nothing for " + to_text(limits::host_silence_timeout), at, out);
  }
  return out;
}

host_actions apply(host_state& state, const event::slept& what, const moment&) {
  if (has_process(state)) {
    if (state.due)
      *state.due += what.how_long;
    if (state.heard_at)
      *state.heard_at += what.how_long;
  }
  return {};
}

} // namespace sluice::node
