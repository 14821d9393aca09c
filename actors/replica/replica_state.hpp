#pragma once

#include "actors/host/host_protocol.hpp"
#include "actors/replica/replica_port.hpp"
#include "actors/replica/settle_state.hpp"

#include <sluice/core/result.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace sluice::replica {

using host::replica_phase;

/// What feeds the replica: the built-in queue (leases), a source whose place can be stored
/// (a file), or one that has none (a timer).
enum class source_kind : std::uint8_t { queue, position, no_position };

/// Where results go: to the built-in queue in the same commit, through a sink port
/// before the commit, or nowhere.
enum class sink_kind : std::uint8_t { queue, port, none };

struct state_options {
  source_kind source = source_kind::queue;
  sink_kind sink = sink_kind::queue;
  std::uint32_t batch_size = 500;
  std::uint32_t num_concurrency = 1;
  std::uint32_t attempts_max = limits::attempts_max_default;
  std::uint64_t seed = 0; ///< spreads back-off
  std::chrono::nanoseconds drain_max = limits::drain_timeout;
};

// ---- what the replica is told to do ------------------------------------------------

struct make_body {}; ///< build the user's object and run setup
struct open_sink {};
struct read_cursor {}; ///< the stored position of the source
struct open_source {
  source_position after;
};
struct take {
  std::uint32_t count_max = 1;
}; ///< lease from the queue or pull from the source
struct submit {
  record_block records;
}; ///< give to user code
struct push {
  std::uint64_t group = 0;
};
struct commit {
  std::uint64_t group = 0;
};
struct check_cursor {
  std::uint64_t group = 0;
}; ///< was a commit of unknown outcome stored?
struct renew {};
struct withdraw {}; ///< take back what user code has not begun; answer with `on_withdrawn`
struct release {
  std::vector<std::uint64_t> seqs;
}; ///< give leases back; empty = all
struct settled {
  std::uint64_t results_bytes = 0;
  std::optional<std::uint64_t> position;
};
struct tear_down {}; ///< run teardown, close the sink
struct finish {};    ///< report and end

using action = std::variant<make_body, open_sink, read_cursor, open_source, take, submit, push, commit,
                            check_cursor, renew, withdraw, release, settled, tear_down, finish>;
using actions = std::vector<action>;

/// One group on its way to its sink and into the store. Its content never changes, so that a
/// repeat after an unknown outcome is recognised.
struct group_in_flight {
  enum class step : std::uint8_t { push, commit, check };
  settle_group content;
  std::size_t results_bytes = 0; ///< also of results that go nowhere
  std::string cursor_expected;
  std::string cursor_next; ///< empty = the position does not move
  step at = step::commit;
  bool waiting = false; ///< an answer is due
  std::uint32_t tries = 0;
  time_point not_before{};
};

/// One replica: the data, and one function per event, each of which returns what to do.
/// Pure: time is an argument, nothing is sent.
///
/// ```
///  spawned (1)          (2) set up and opened           (3) drain asked, or source gone for good
///  ─────────▶ starting ───────────────────────▶ running ────────────────────────▶ draining
///                │ (4) drain asked ─────────────────────────────────────────────────▶ │
///                │                                                                    │ (6) all settled,
///                │ (5) setup failed,                                                  │     torn down
///                │     or an open for good                                            ▼
///                └────────────▶ failed ◀──────────── (7) torn down after a failure ── down
/// ```
///
/// Starting goes through: body set up, sink opened, cursor read, source opened. An open
/// that may succeed later is tried again with back-off. Running keeps two blocks going, one
/// in user code and one behind it, sized by `records_next`, and holds back when
/// `blocks_in_hand_max` of them, or `bytes_in_hand_max`, are taken and not settled: a slow sink slows the source.
/// A drain waits `setup_wait_max` for a setup, as no record is in hand.
/// Draining takes nothing, gives back what user code has not begun, and settles the rest. What is not
/// settled within `drain_max`, since user code does not return or the store does not answer, goes back, too, and so does
/// what a sink has failed to take `drain_push_tries_max` times since the drain began: a drain always ends, and a body
/// whose calls go on is not torn down under them.
///
/// When the answer to a lease was lost, records may be leased to this replica which it does
/// not know and would keep alive with its renewals; it then stops taking, settles
/// what it has, and gives all its leases back once.
class state {
public:
  explicit state(state_options opts);

  actions on_spawned(time_point now);
  actions on_body(result<void> outcome, time_point now);
  actions on_sink_open(result<void> outcome, time_point now);
  actions on_cursor(result<std::string> stored, time_point now);
  actions on_source_open(result<void> outcome, time_point now);

  /// Answer to `take`; `end` = the source will give no more.
  /// `mark` is the one of what was pulled.
  actions on_taken(result<record_block> records, bool end, time_point now,
                   std::vector<refused_record> refused = {}, std::string mark = {});
  actions on_done(work_done chunk, time_point now);
  actions on_pushed(std::uint64_t group, result<std::vector<queue::nack>> refused, time_point now);
  actions on_committed(std::uint64_t group, result<std::vector<std::uint64_t>> stale, time_point now);
  actions on_cursor_checked(std::uint64_t group, result<std::string> stored, time_point now);
  actions on_withdrawn(const std::vector<std::uint64_t>& seqs, time_point now);
  actions on_released(bool all, bool ok, time_point now);
  actions on_torn_down(result<void> outcome, time_point now);

  actions on_drain(time_point now);
  actions on_tick(time_point now);

  const group_in_flight& group(std::uint64_t id) const { return groups_.at(id); }

  replica_phase phase() const noexcept { return phase_; }
  bool exhausted() const noexcept;
  std::uint64_t in_hand() const noexcept { return in_hand_; } ///< taken and not settled
  std::uint64_t processed_total() const noexcept { return processed_total_; }
  std::uint64_t failed_total() const noexcept { return failed_total_; }
  std::uint64_t stale_total() const noexcept { return stale_total_; }
  /// What does not work at the moment, else the last error that stays true: of a record, or of the end.
  const std::string& last_error() const noexcept;
  /// Whether that is what does not work at the moment.
  bool is_retrying() const noexcept;

private:
  /// What is tried again until it works.
  enum class trouble : std::uint8_t { start, take, push, commit };
  std::string& trouble_with(trouble what) noexcept { return troubles_[static_cast<std::size_t>(what)]; }

  enum class step : std::uint8_t {
    body,
    sink,
    cursor,
    source,
    ready,
    settling,
    releasing,
    tearing_down,
    ended
  };

  void advance(actions& out, time_point now);
  void begin_step(step next, actions& out, time_point now);
  void step_failed(const failure& why, actions& out, time_point now);
  void take_more(actions& out, time_point now);
  void send_groups(actions& out, time_point now);
  void cut_groups(actions& out, time_point now);
  void retry_due(actions& out, time_point now);
  void settle_unknown_leases(actions& out, time_point now);
  void finish_drain(actions& out, time_point now);
  void limit_drain(time_point ends);
  void cut_drain(actions& out, time_point now);
  bool needs_commit(std::uint64_t id) const;
  static std::vector<std::uint64_t> leases_of(const settle_group& group);
  void conclude(std::uint64_t id, std::vector<std::uint64_t> stale, actions& out);
  void abandon(std::string why, actions& out, time_point now);
  void begin_drain(actions& out, time_point now);
  bool may_take(time_point now) const noexcept;
  std::size_t held_bytes() const noexcept;
  bool is_queue() const noexcept { return opts_.source == source_kind::queue; }
  time_point later(time_point now, std::uint32_t tries);

  state_options opts_;
  replica_phase phase_ = replica_phase::starting;
  step step_ = step::body;
  bool step_waiting_ = false;
  std::uint32_t step_tries_ = 0;
  time_point step_not_before_{};
  bool drain_wanted_ = false;
  std::optional<std::string> fatal_;     ///< ends as failed, with this text
  bool abandoned_ = false;               ///< nothing more can be settled
  std::optional<time_point> drain_ends_; ///< the step that it has come to, or the whole of it
  bool drain_cut_ = false;

  bool taking_ = false;
  bool source_ended_ = false;
  std::uint32_t take_tries_ = 0;
  time_point take_started_{};
  time_point take_not_before_{};
  std::uint32_t count_next_ = 0;
  std::chrono::nanoseconds per_record_{0};
  std::optional<time_point> lease_unknown_since_;
  bool releasing_all_ = false;
  std::uint32_t release_tries_ = 0;
  time_point release_not_before_{};
  time_point renew_at_{};

  std::uint64_t in_hand_ = 0;
  std::uint64_t unprocessed_ = 0; ///< given to user code and not done
  leased_settle leased_;
  ordered_settle ordered_;
  retry_state retries_;
  std::map<std::uint64_t, group_in_flight> groups_;
  std::uint64_t next_group_ = 1;
  std::string cursor_; ///< as stored
  std::uint64_t random_;

  std::uint64_t processed_total_ = 0;
  std::uint64_t failed_total_ = 0;
  std::uint64_t stale_total_ = 0;
  std::string last_error_;
  std::array<std::string, 4> troubles_; ///< by `trouble`; empty = it works
};

/// Whether trying the same again later can help.
bool is_transient(errc code) noexcept;

} // namespace sluice::replica
