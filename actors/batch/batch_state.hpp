#pragma once

#include "actors/batch/batch_job.hpp"
#include "actors/batch/batch_port.hpp"
#include "actors/batch/split_run.hpp"
#include "actors/host/host_protocol.hpp"

#include <sluice/core/record_block.hpp>
#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace sluice::batch {

using host::replica_phase;
using time_point = std::chrono::steady_clock::time_point;

/// When an event happens: `now` decides, `unix_ms` is only noted.
struct moment {
  time_point now;
  std::int64_t unix_ms = 0;
};

struct state_options {
  std::uint64_t run = 1;
  bool takes_up_failed =
    false;                   ///< a run that failed goes on; local mode, where somebody has mended something
  std::uint32_t threads = 1; ///< splits at once
  std::uint32_t attempts_max = 1; ///< of a split
  std::uint64_t rejected_max = 0;
  bool from_queue = false;       ///< the source is a queue
  std::uint64_t block_bytes = 0; ///< of its splits
  job_ends ends = {};
};

// ---- what the replica is told to do ------------------------------------------------

struct make_body {};
struct read_job {}; ///< the stored text
struct look_at_source {
  std::optional<std::uint64_t> split_bytes; ///< of a run that is there; none = to be chosen
};                                          ///< who it is, and where its splits begin
struct store_job {
  std::string expected; ///< text as it was read
  job next;
  std::vector<split> splits;         ///< to be handed out
  std::vector<record_block> results; ///< for the sink, if that is a queue
  std::vector<std::uint64_t>
    taken; ///< records of the source that the splits have: gone from there, or nothing is done
};
struct take_records {
  std::uint32_t count_max = 1;
  std::uint64_t size_bytes_max = 0;
};                           ///< of the source, what is there
struct give_back_records {}; ///< all that were taken and are in no split
struct take_splits {
  std::uint32_t count_max = 1;
  bool waits = true; ///< for some to come
};
struct work_on {
  std::uint64_t seq = 0;
  split which;
};
struct put_together {
  std::uint64_t seq = 0;
}; ///< beside its place
struct publish {
  std::uint64_t seq = 0;
};                     ///< what has been put together, at once
struct drop_joined {}; ///< what has been put together is of no use
struct settle_splits {
  std::vector<std::uint64_t> acks;
  std::vector<std::pair<std::uint64_t, std::string>> nacks; ///< with their errors
};
struct renew_leases {};
struct release_leases {};
struct stop_work {}; ///< threads leave at the next record
struct clean_up {
  std::uint64_t run = 0;
}; ///< remove what a run left between the ends
struct tear_down {};
struct finish {}; ///< report and end

using action = std::variant<make_body, read_job, look_at_source, store_job, take_records, give_back_records,
                            take_splits, work_on, put_together, publish, drop_joined, settle_splits,
                            renew_leases, release_leases, stop_work, clean_up, tear_down, finish>;
using actions = std::vector<action>;

/// What the source is and where its splits begin.
struct source_plan {
  source_identity source;
  std::uint64_t split_bytes = 0;
  std::vector<std::uint64_t> borders;
};

/// A split that is leased, as it came.
struct leased_split {
  std::uint64_t seq = 0;
  std::uint32_t attempts = 0;
  std::string text;
  std::uint64_t epoch = 0; ///< of the queues
};

/// What taking records off the source brought.
struct pulled_records {
  record_block records;
  bool more_may_come = false; ///< of none: the queue is not at its end
  std::uint64_t epoch = 0;    ///< of the queues
};

/// One replica of a batch: the data, and one function per event, each of which returns what to do.
/// Pure: time is an argument, nothing is sent.
///
/// ```
///  spawned (1)          (2) set up, the job is known     (3) drain asked
///  ─────────▶ starting ───────────────────────▶ running ────────────────▶ draining
///                │ (4) drain asked ─────────────────────────────────────▶ │
///                │ (5) setup failed                                       │ (6) threads have left, torn down
///                ▼                                                        ▼
///             failed ◀────── (7) another run has begun, the source cannot be read ── running, draining ─▶ down
/// ```
///
/// Running: reads the job; the first one plans it and hands out its splits. Then it leases splits, works on
/// them, and for each that is done stores the next state of the job, in the same transaction as its results
/// where the sink is a queue; only then the lease is settled. Who stores the last one hands out the
/// finishing, which is leased like a split. Whatever dies in between, the job says what is done, and the
/// queue hands out the rest again. What the finish has put together takes its place only if the job, read once more, is still
/// what it was. A replica whose job has ended stays, `exhausted`, until it is drained. One whose
/// user code does not return within `limits::drain_timeout` of that gives its splits back and ends without tearing down.
///
/// A queue as source is cut while others work already. Whoever leases the cutting takes records, block by block, until it
/// finds none; each block becomes a split that has its records with it, in one transaction, so a record is
/// in the source or in a split and nowhere else. The queue is at its end only if it says so: records that are out, with
/// whoever cut before, come back. After a restart of the head the cutting is leased anew, and who cut until then stops,
/// as two at once would mix up the order. Therefore nothing of such a job is ever thrown away: a run that ends
/// early, or fails, leaves its splits where they are, and the next run takes the job up, and what has come into the queue
/// since. It has to read and write the same: what is done lies where the run before has put it.
class state {
public:
  explicit state(const state_options& opts) : opts_(opts), checked_(opts.from_queue) {}

  /// Before `on_body`.
  void use_threads(std::uint32_t count) noexcept { opts_.threads = count; }

  actions on_spawned(moment at);
  actions on_body(const result<void>& outcome, moment at);
  actions on_job(const result<std::string>& text, moment at);
  actions on_source(const result<source_plan>& plan, moment at);
  actions on_stored(const result<void>& outcome, moment at);
  actions on_records(const result<pulled_records>& records, moment at);
  actions on_given_back(const result<void>& outcome, moment at);
  actions on_taken(const result<std::vector<leased_split>>& splits, moment at);
  actions on_worked(std::uint64_t seq, result<split_result> outcome, moment at);
  actions on_joined(std::uint64_t seq, const result<void>& outcome, moment at);
  actions on_published(std::uint64_t seq, result<finish_outcome> outcome, moment at);
  /// With the count of those that were not ours any more.
  actions on_settled(const result<std::size_t>& stale, moment at);
  actions on_released(const result<void>& outcome, moment at);
  actions on_cleaned(moment at);
  actions on_torn_down(const result<void>& outcome, moment at);
  actions on_drain(moment at);
  actions on_tick(moment at);

  replica_phase phase() const noexcept { return phase_; }
  const std::optional<job>& known() const noexcept { return known_; }
  bool exhausted() const noexcept { return has_ended(); }
  std::uint32_t in_hand() const noexcept { return working_; }
  std::uint64_t stale_total() const noexcept { return stale_total_; }
  const std::string& last_error() const noexcept { return is_retrying() ? store_trouble_ : last_error_; }
  /// What was done cannot be stored, as on a full disk; it is tried again until it can.
  bool is_retrying() const noexcept { return !store_trouble_.empty() && !fatal_; }

private:
  enum class step : std::uint8_t { body, running, leaving, releasing, tearing_down, ended };

  /// Where a leased split stands.
  struct held {
    split which;
    enum class place : std::uint8_t { waiting, work, ready, finished, stored } at = place::waiting;
    split_result result;        ///< ready
    finish_outcome finish;      ///< finished
    std::uint32_t attempts = 0; ///< before this one
    std::uint64_t epoch = 0;    ///< of its lease
  };

  /// What has been put together waits until the job has been read once more.
  struct joined {
    std::uint64_t seq = 0;
    bool is_asked = false;   ///< a read has begun since
    bool is_checked = false; ///< and was answered
  };

  actions advanced(moment at);
  void settle_joined(actions& out);
  void work(actions& out, moment at);
  void leave(actions& out, moment at);
  void limit_drain(time_point ends);
  actions cut_drain(moment at);
  actions drop_held_up();
  actions end();
  void fail_job(std::string why);
  void give_up(std::string why);
  void later(time_point now, const failure& why);
  bool is_quiet() const noexcept;

  // the job (batch_store.cpp)
  std::string clash_with(const job& other) const;
  void adopt(job found);
  bool know_job(actions& out, moment at);
  void begin_round(actions& out, moment at);
  job first_job(moment at) const;
  void clean_before(actions& out);
  void clean(std::uint64_t run, actions& out);
  bool fail_for_rejected(job& next, moment at) const;
  void store(job next, std::vector<split> splits, std::vector<record_block> results, actions& out);
  void store_progress(actions& out, moment at);
  void store_finish(const finish_outcome& what, std::uint64_t seq, actions& out, moment at);
  void store_failure(actions& out, moment at);

  // splits (batch_splits.cpp)
  void store_cut(actions& out, moment at);
  void stop_cutting(const std::string& why);
  void drop_pulled();
  void give_back(actions& out);
  void cut_more(actions& out);
  void end_work(actions& out);
  void settle_done(actions& out);
  void take_more(actions& out);
  void take_one(const leased_split& one);
  void begin_held(actions& out);
  void note_failed(std::uint64_t seq, const held& one, const std::string& why);
  std::uint32_t attempts_max(const split& of) const;
  bool is_over(const split& which) const;
  void sweep(actions& out);

  bool is_planned() const noexcept { return known_ && known_->split_bytes != 0; }
  bool is_usable() const noexcept {
    return known_ && !may_take_up() && (checked_ || known_->phase != job_phase::running);
  }
  bool has_ended() const noexcept { return known_ && known_->phase != job_phase::running && !may_take_up(); }
  /// What is left of the splits of a job that has ended is of no use, but where they have records.
  bool may_sweep() const noexcept {
    return has_ended() && !(opts_.from_queue && known_->phase == job_phase::failed);
  }
  bool may_take_up() const noexcept {
    return opts_.takes_up_failed && !taken_up_ && known_ && known_->phase == job_phase::failed;
  }

  state_options opts_;
  replica_phase phase_ = replica_phase::starting;
  step step_ = step::body;
  bool drain_wanted_ = false;
  std::optional<std::string> fatal_;     ///< ends as failed, with this text
  std::optional<time_point> drain_ends_; ///< the step that it has come to, or the whole of it

  std::string stored_; ///< the text that `known_` was read from
  std::optional<job> known_;
  std::optional<source_plan> plan_;
  std::uint64_t run_before_ = 0; ///< of the job that this run replaces
  std::optional<job> passed_on_; ///< by the run before, which has not done it
  bool taken_up_ = false;
  bool must_read_ = true;
  bool reading_ = false;
  bool looking_ = false;
  bool checked_ = false;       ///< the source is that of the job
  std::optional<job> storing_; ///< under way
  std::vector<std::uint64_t> storing_seqs_;
  std::optional<std::string> failing_; ///< the job is to be stored as failed, with this text
  bool told_stop_ = false;
  bool cleaned_ = false;
  std::uint32_t cleaning_ = 0; ///< under way

  std::map<std::uint64_t, held> held_; ///< by seq
  std::uint32_t working_ = 0;
  std::vector<std::uint64_t> acks_;
  std::vector<std::pair<std::uint64_t, std::string>> nacks_;
  bool settling_ = false;
  bool taking_ = false;
  bool found_none_ = false;       ///< since the last tick
  bool sweeping_ = false;         ///< the take under way is for what is left in the end
  bool swept_ = false;            ///< there is nothing left, or it cannot be said
  bool takes_unknown_ = false;    ///< an answer was lost: splits may be leased that are not known here
  bool giving_up_leases_ = false; ///< all of them, while nothing is held
  bool combining_ = false;        ///< the parts are put together, or what came of it is published
  std::optional<job> joining_;    ///< as it was known when that began
  std::optional<joined> joined_;

  // Of a queue as source; all of it only while this replica is the one that cuts.
  std::optional<std::uint64_t> cutting_; ///< the leased split that says so
  bool pulling_ = false;
  bool more_may_come_ = false;         ///< there was nothing to take; asked again at the next tick
  std::optional<record_block> pulled_; ///< to be stored as the next split; empty = there are no more
  std::uint32_t pulled_index_ = 0;     ///< of that split
  bool must_give_back_ = false;        ///< records are leased that nobody here knows or wants
  bool giving_back_ = false;

  std::uint32_t tries_ = 0;
  time_point not_before_{};
  time_point read_at_{};
  time_point renew_at_{};
  std::uint64_t stale_total_ = 0;
  std::string last_error_;
  std::string store_trouble_; ///< why the job could not be stored the last time; empty = it could
};

} // namespace sluice::batch
