#include "actors/batch/batch_state.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <utility>

namespace sluice::batch {

namespace {

using namespace std::chrono_literals;

constexpr auto look_every_idle = 500ms; ///< has somebody else ended it?
constexpr auto look_every_busy = 3s;
constexpr auto renew_every = limits::lease_visibility / 3;
constexpr auto setup_wait_max = 10s; ///< of a drain: nothing is in hand yet
constexpr auto drain_step_min = 10s; ///< for giving leases back, and again for tearing down

/// Whether the same may go better another time.
bool is_transient(errc code) noexcept {
  return code != errc::invalid_argument && code != errc::not_found && code != errc::permission_denied
         && code != errc::unsupported;
}

} // namespace

// ---- events ---------------------------------------------------------------------------

actions state::on_spawned(moment) {
  actions out;
  out.emplace_back(make_body{});
  return out;
}

actions state::on_body(const result<void>& outcome, moment at) {
  step_ = step::running;
  if (!outcome)
    give_up(outcome.error().message);
  else if (!drain_wanted_)
    phase_ = replica_phase::running;
  return advanced(at);
}

actions state::on_job(const result<std::string>& text, moment at) {
  reading_ = false;
  if (!text) {
    later(at.now, text.error());
    return advanced(at);
  }
  if (joined_)
    joined_->is_checked = joined_->is_asked;
  must_read_ = joined_ && !joined_->is_checked; // this read began before
  if (*text != stored_)
    store_trouble_.clear(); // it was stored and not heard of, or somebody else has gone on
  if (!is_retrying())
    tries_ = 0;
  stored_ = *text;
  known_.reset();
  passed_on_.reset();
  if (!stored_.empty()) {
    auto read = job_from_text(stored_);
    if (!read)
      give_up(read.error().message);
    else if (read->run > opts_.run)
      give_up(newer_run(read->run));
    else if (auto why = clash_with(*read); !why.empty())
      give_up(std::move(why));
    else
      adopt(std::move(*read));
    if (pulled_ && (!known_ || known_->split_count != pulled_index_))
      drop_pulled(); // it is stored, or not ours any more
    taken_up_ = taken_up_ || (known_ && known_->phase == job_phase::running);
  }
  auto out = advanced(at);
  clean_before(out);
  return out;
}

actions state::on_source(const result<source_plan>& plan, moment at) {
  looking_ = false;
  if (!plan && is_transient(plan.error().code))
    later(at.now, plan.error());
  else if (!plan)
    fail_job(plan.error().message);
  else if (is_planned() && !(known_->source == plan->source))
    fail_job(describe_change(known_->source, plan->source));
  else {
    checked_ = is_planned();
    if (!known_ || may_take_up())
      plan_ = *plan;
  }
  return advanced(at);
}

actions state::on_stored(const result<void>& outcome, moment at) {
  auto next = std::exchange(storing_, std::nullopt);
  auto seqs = std::exchange(storing_seqs_, {});
  if (outcome && next) {
    tries_ = 0;
    store_trouble_.clear();
    stored_ = to_text(*next);
    known_ = std::move(next);
    checked_ = true;
    taken_up_ = true; // a failure from now on is news, not a leftover
    plan_.reset();
    if (known_->phase == job_phase::failed)
      failing_.reset();
    for (auto seq : seqs)
      if (auto found = held_.find(seq); found != held_.end())
        found->second.at = held::place::stored;
    if (pulled_ && (known_->split_count != pulled_index_ || !known_->is_open))
      pulled_.reset();
    if (cutting_ && !known_->is_open)
      cutting_.reset();
  } else {
    must_read_ = true; // somebody else was first, or it is not known
    store_trouble_.clear();
    if (outcome.error().code == errc::conflict)
      stop_cutting(outcome.error().message);
    else if (!is_transient(outcome.error().code) && pulled_)
      fail_job("taking records off the queue: " + outcome.error().message);
    else if (outcome.error().code != errc::stale) {
      store_trouble_ = outcome.error().message;
      later(at.now, outcome.error());
    }
  }
  auto out = advanced(at);
  clean_before(out);
  return out;
}

actions state::on_records(const result<pulled_records>& records, moment at) {
  pulling_ = false;
  if (step_ != step::running)
    return {};    // what it brings is given back with the rest
  if (!records) { // they may be leased all the same, and would be missing in the end
    must_give_back_ = true;
    later(at.now, records.error());
  } else if (const auto cut = cutting_ ? held_.find(*cutting_) : held_.end();
             cut != held_.end() && cut->second.epoch != records->epoch) {
    must_give_back_ = must_give_back_ || !records->records.empty();
    stop_cutting("the head has started anew");
  } else if (cutting_ && known_ && !(records->records.empty() && records->more_may_come)) {
    pulled_ = records->records;
    pulled_index_ = known_->split_count;
  } else if (!records->records.empty()) {
    must_give_back_ = true; // somebody else cuts meanwhile, or has come to the end
  } else {
    more_may_come_ = true;
  }
  return advanced(at);
}

actions state::on_given_back(const result<void>& outcome, moment at) {
  giving_back_ = false;
  if (!outcome) {
    must_give_back_ = true;
    later(at.now, outcome.error());
  }
  return advanced(at);
}

actions state::on_taken(const result<std::vector<leased_split>>& splits, moment at) {
  taking_ = false;
  sweeping_ = false;
  if (step_ != step::running && step_ != step::leaving)
    return {}; // what it brings has been given back with the rest
  if (has_ended() && (!splits || splits->empty()))
    swept_ = true; // the next run takes the rest, if there is any
  if (!splits) {
    takes_unknown_ = true;
    if (splits.error().code != errc::timeout)
      later(at.now, splits.error());
  } else {
    found_none_ = splits->empty();
    for (const auto& one : *splits)
      take_one(one);
  }
  return advanced(at);
}

actions state::on_worked(std::uint64_t seq, result<split_result> outcome, moment at) {
  --working_;
  auto found = held_.find(seq);
  if (found == held_.end())
    return advanced(at); // given back meanwhile
  if (outcome) {
    found->second.at = held::place::ready;
    found->second.result = std::move(*outcome);
    return advanced(at);
  }
  const auto one = held_.extract(found).mapped();
  if (outcome.error().code == errc::invalid_argument)
    fail_job(outcome.error().message);
  else if (outcome.error().code != errc::shutting_down)
    note_failed(seq, one, describe(one.which) + ": " + outcome.error().message);
  return advanced(at);
}

actions state::on_joined(std::uint64_t seq, const result<void>& outcome, moment at) {
  if (!outcome)
    return on_published(seq, fail(outcome), at);
  joined_ = joined{seq};
  must_read_ = true;
  if (step_ == step::running || step_ == step::leaving)
    return advanced(at);
  return drop_held_up();
}

/// Nobody waits for what has been put together.
actions state::drop_held_up() {
  actions out;
  if (std::exchange(joined_, std::nullopt)) {
    combining_ = false;
    out.emplace_back(drop_joined{});
  }
  return out;
}

actions state::on_published(std::uint64_t seq, result<finish_outcome> outcome, moment at) {
  combining_ = false;
  auto found = held_.find(seq);
  if (found == held_.end())
    return advanced(at);
  if (outcome) {
    found->second.at = held::place::finished;
    found->second.finish = std::move(*outcome);
    return advanced(at);
  }
  const auto one = held_.extract(found).mapped();
  if (outcome.error().code == errc::invalid_argument)
    fail_job(outcome.error().message);
  else
    note_failed(seq, one, outcome.error().message);
  must_read_ = true; // another one may have ended it, and cleaned up behind itself
  return advanced(at);
}

actions state::on_settled(const result<std::size_t>& stale, moment at) {
  settling_ = false;
  if (
    !stale) // they may be leased still, and would be renewed with the rest: they come again once that is given up
    takes_unknown_ = true;
  else
    stale_total_ += *stale;
  return advanced(at);
}

actions state::on_released(const result<void>& outcome, moment at) {
  if (std::exchange(giving_up_leases_, false)) {
    takes_unknown_ = !outcome;
    if (!outcome)
      later(at.now, outcome.error());
    return advanced(at);
  }
  if (working_ > 0 || combining_)
    return end(); // user code is still at work: it is not torn down under it
  step_ = step::tearing_down;
  limit_drain(at.now + drain_step_min);
  actions out;
  out.emplace_back(tear_down{});
  return out;
}

actions state::on_cleaned(moment at) {
  --cleaning_;
  return advanced(at);
}

actions state::on_torn_down(const result<void>& outcome, moment) {
  if (!outcome && !fatal_)
    fatal_ = outcome.error().message;
  return end();
}

actions state::end() {
  step_ = step::ended;
  store_trouble_.clear();
  phase_ = fatal_ ? replica_phase::failed : replica_phase::down;
  if (fatal_)
    last_error_ = *fatal_;
  actions out;
  out.emplace_back(finish{});
  return out;
}

/// Never sooner than it was.
void state::limit_drain(time_point ends) { drain_ends_ = std::max(drain_ends_.value_or(ends), ends); }

/// User code, or whatever it waits for, does not answer: what is held goes back.
actions state::cut_drain(moment at) {
  last_error_ = "the drain did not end in time; what is not stored will be done again";
  if (step_ != step::running && step_ != step::leaving)
    return end();
  step_ = step::releasing;
  giving_up_leases_ = false;
  limit_drain(at.now + drain_step_min);
  held_.clear();
  auto out = drop_held_up();
  out.emplace_back(release_leases{});
  return out;
}

actions state::on_drain(moment at) {
  if (!std::exchange(drain_wanted_, true) && phase_ != replica_phase::failed && phase_ != replica_phase::down)
    phase_ = replica_phase::draining;
  if (!drain_ends_)
    limit_drain(at.now + (step_ == step::body ? setup_wait_max : limits::drain_timeout));
  return advanced(at);
}

actions state::on_tick(moment at) {
  found_none_ = false;
  more_may_come_ = false;
  if (drain_ends_ && at.now >= *drain_ends_ && step_ != step::ended)
    return cut_drain(at);
  const bool may_look = step_ == step::running && known_ && !has_ended() && !storing_ && !reading_;
  if (may_look && at.now - read_at_ >= (working_ == 0 ? look_every_idle : look_every_busy))
    must_read_ = true;
  auto out = advanced(at);
  if (!held_.empty() && at.now >= renew_at_) {
    renew_at_ = at.now + renew_every;
    out.emplace_back(renew_leases{});
  }
  return out;
}

// ---- decisions ------------------------------------------------------------------------

actions state::advanced(moment at) {
  actions out;
  if (step_ != step::running && step_ != step::leaving)
    return out;
  if (drain_wanted_ || fatal_) {
    step_ = step::leaving;
    if (!drain_ends_)
      limit_drain(at.now + limits::drain_timeout);
  }
  settle_joined(out);
  if (step_ == step::running || !fatal_)
    work(out, at);
  if (step_ == step::leaving)
    leave(out, at);
  return out;
}

/// The fence of the finish: who was held up while it put the parts together, and has lost its lease, must not put the output
/// of a run that is over in the place of a newer one's. A cut between this look at the job and the rename remains.
void state::settle_joined(actions& out) {
  if (!joined_ || !(joined_->is_checked || fatal_))
    return;
  const auto seq = std::exchange(joined_, std::nullopt)->seq;
  const bool is_same = known_ && joining_ && known_->run == joining_->run
                       && known_->first_run == joining_->first_run && known_->round == joining_->round
                       && known_->phase == job_phase::running;
  if (is_same && !fatal_ && !failing_) {
    out.emplace_back(publish{seq});
    return;
  }
  combining_ = false;
  out.emplace_back(drop_joined{});
  if (auto found = held_.find(seq); found != held_.end())
    found->second.at = held::place::stored; // who goes on with the job has a finish of its own
}

void state::work(actions& out, moment at) {
  if (at.now < not_before_ || !know_job(out, at))
    return;
  if (has_ended())
    end_work(out);
  else
    store_progress(out, at);
  settle_done(out);
  give_back(out);
  if (has_ended())
    return sweep(out);
  if (failing_ || step_ == step::leaving)
    return;
  begin_held(out);
  cut_more(out);
  take_more(out);
}

bool state::is_quiet() const noexcept {
  return working_ == 0 && !combining_ && !reading_ && !looking_ && !storing_ && !settling_
         && !giving_up_leases_ && !sweeping_ && cleaning_ == 0;
}

void state::leave(actions& out, moment at) {
  if (working_ > 0 && !std::exchange(told_stop_, true))
    out.emplace_back(stop_work{});
  if (!is_quiet())
    return;
  // A wait for more splits may be under way. The release comes behind it, ends it, and gives back what it has got.
  step_ = step::releasing;
  limit_drain(at.now + drain_step_min);
  out.emplace_back(release_leases{});
}

void state::fail_job(std::string why) {
  last_error_ = why;
  if (!failing_)
    failing_ = std::move(why);
}

void state::give_up(std::string why) {
  if (!fatal_)
    fatal_ = std::move(why);
}

void state::later(time_point now, const failure& why) {
  last_error_ = why.message;
  const auto delay = std::min<std::chrono::nanoseconds>(
    limits::retry_delay_max / 10, limits::retry_delay_min * (1u << std::min(tries_, 10u)));
  ++tries_;
  not_before_ = now + delay;
}

} // namespace sluice::batch
