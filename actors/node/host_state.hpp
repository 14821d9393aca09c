#pragma once

#include "actors/node/node_protocol.hpp"

#include <sluice/core/limits.hpp>
#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// The life of one flow version's host on one node, as data and transitions.
///
/// A host is a process that user code can crash, hang or blow up at any moment. The
/// state says what to do next; it starts nothing and reads no clock. It outlives the
/// processes: each start has another `host_id`, and what is told about an older
/// process is ignored.
///
///            ┌──────────────────────── 8 ───────────────────────────┐
///            │        ┌───── 7 ───────┐                              │
///            ▼        ▼               │                              │
///   ●─1─▶ fetching ─2─▶ starting ─3─▶ running          backing_off ──┤
///            │            │             │                   ▲        │
///            │            └──── 4 ──────┴───────────────────┤   crash_loop
///            └───────────────── 5 ──────────────────────────┘        ▲
///                         starting, running ──────────── 6 ──────────┘
///   starting, running ─9─▶ stopping ─10─▶ down          (11: stopping ▶ running, 12: ▶ fetching)
///   fetching, backing_off, crash_loop ─13─▶ down
///
///  1 wanted                        → fetch the artifact
///  2 artifact is here              → launch a process
///  3 the host said hello           → send it its replicas
///  4 the process ended, or was killed: no hello in time, too much memory, a call that
///    hangs, silence, or a lost link; wait `min · 2^n`, jittered
///  5 the artifact could not be fetched, or was damaged when it was to run: wait likewise
///  6 as 4, but for the 5th time in a row: wait 60 s, then 120 s, up to 5 min. An end that a
///    record is to blame for is none of these and waits a second at most,
///    if others have passed within a minute: each such record has few attempts, and all the
///    others wait behind it. A program that crashes on all of them is in a loop after five
///  7 (good service makes up for ends: each 12 s in which a replica ran for one of them, 60 s for
///    all. So five ends a minute are borne for ever if the host serves in between, and
///    one that never gets as far as to serve waits longer and longer, however slowly it dies)
///  8 the wait is over              → fetch again (at once when it is there)
///  9 not wanted any more           → drain, SIGTERM when all replicas are down or after
///    `drain_timeout`, SIGKILL `host_terminate_grace` later; a starting one skips the drain
/// 10 the process ended
/// 11 wanted again while it drains  → send it its replicas again
/// 12 wanted again after SIGTERM    → a new process once the old one has ended
/// 13 not wanted, and no process is there
namespace sluice::node {

using time_point = std::chrono::steady_clock::time_point;

/// What the world contributes to a transition.
struct moment {
  time_point now;
  double jitter = 0; ///< uniform in [0, 1)
  host_id host_next; ///< id for a process, should one be launched
};

namespace event {

/// The cluster's wish. Given on every change; level-triggered.
struct wanted {
  bool run = true;
  std::vector<host::replica_order> replicas;
  std::uint64_t memory_limit_bytes = 0; ///< 0 = none
};
struct fetched {
  result<void> outcome;
};
struct started {
  host_id host;
  std::int64_t pid = 0;
};
struct connected {
  host_id host;
};
struct unreachable {
  host_id host;
  std::string why;
};
struct launch_failed {
  host_id host;
  failure why;
  std::chrono::system_clock::time_point at;
};
struct exited {
  crash_report report;
};
/// Something is due, or a sample of the process is there.
struct tick {
  std::optional<std::uint64_t> memory_bytes;
};
/// The agent itself stood still: what the host missed to do meanwhile is no fault.
struct slept {
  std::chrono::nanoseconds how_long{0};
};

} // namespace event

namespace action {

struct fetch {};
struct launch {
  host_id host;
};
struct send_replicas {
  host_id host;
  host::desired_replicas order;
};
struct terminate {
  host_id host;
};
struct kill {
  host_id host;
  std::chrono::milliseconds hung_after{0}; ///< > 0: records inside user code for that long are to blame
  std::string why = {};                    ///< for its log
};
struct report_end {
  crash_report report;
  bool expected = false;
};

} // namespace action

using host_action = std::variant<action::fetch, action::launch, action::send_replicas, action::terminate,
                                 action::kill, action::report_end>;
using host_actions = std::vector<host_action>;

/// How far the end of a host has come.
enum class stop_step : std::uint8_t { none, draining, terminating, killing };

struct host_state {
  // fixed
  bool isolated = true;                                             ///< can be killed and measured
  std::map<processor_name, std::chrono::milliseconds> timeouts;     ///< per record, 0 = none
  std::map<processor_name, std::chrono::milliseconds> setup_limits; ///< 0 = none

  // wished
  bool is_wanted = false;
  std::vector<host::replica_order> replicas_wanted;
  std::uint64_t memory_limit_bytes = 0;

  // actual
  host_phase phase = host_phase::down;
  host_id host;         ///< of the running or last process
  std::int64_t pid = 0; ///< 0 = not known or gone
  std::uint32_t starts_total = 0;
  std::uint64_t memory_bytes = 0;
  std::string detail;
  std::optional<crash_report> last_crash;
  std::vector<host::replica_report> replicas;
  std::uint64_t order_revision = 0; ///< of the newest order to the running process
  std::uint64_t revision_seen = 0;  ///< by the process
  bool link_is_up = false;
  std::string link_loss; ///< why it is not up any more

  // timers
  std::optional<time_point> due;           ///< the next thing happens then
  std::optional<time_point> heard_at;      ///< set while the host is expected to report
  std::optional<time_point> serving_since; ///< the running process has a replica that runs since then

  // ending
  stop_step step = stop_step::none;
  std::string kill_reason; ///< why we killed the process, until it is gone

  // memory of failures
  std::uint32_t ends_in_row = 0;       ///< no service has made up for them yet
  std::uint32_t blamed_in_row = 0;     ///< ends that are the fault of a record, likewise
  std::optional<time_point> passed_at; ///< the last end of a process whose user code had done with a record
  std::uint32_t fetch_failures = 0;
};

/// True while a process is there or about to be.
bool has_process(const host_state& state) noexcept;

/// How long until a host that waits is started again; 0 while it waits for nothing of that kind.
std::chrono::milliseconds wait_left(const host_state& state, time_point now) noexcept;

/// When `event::tick` must be applied at the latest, or nothing.
std::optional<time_point> next_due(const host_state& state) noexcept;

/// Each returns what to do now, in this order. Events about another process than
/// the current one change nothing and return nothing.
host_actions apply(host_state& state, const event::wanted& what, const moment& at);
host_actions apply(host_state& state, const event::fetched& what, const moment& at);
host_actions apply(host_state& state, const event::started& what, const moment& at);
host_actions apply(host_state& state, const event::connected& what, const moment& at);
host_actions apply(host_state& state, const event::unreachable& what, const moment& at);
host_actions apply(host_state& state, const event::launch_failed& what, const moment& at);
host_actions apply(host_state& state, const event::exited& what, const moment& at);
host_actions apply(host_state& state, const host::host_report& what, const moment& at);
host_actions apply(host_state& state, const event::tick& what, const moment& at);
host_actions apply(host_state& state, const event::slept& what, const moment& at);

/// Wait before restart number `count` (from 0): `min · 2^count`, between half and all
/// of it by `jitter`, never above `max`.
std::chrono::milliseconds backoff_delay(std::uint32_t count, double jitter, std::chrono::milliseconds min,
                                        std::chrono::milliseconds max) noexcept;

} // namespace sluice::node
