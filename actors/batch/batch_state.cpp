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

std::string newer_run(std::uint64_t run) {
  return "run " + std::to_string(run)
         + " of this batch has begun; submit it again to run this version of it anew";
}

/// Whether the same may go better another time.
bool is_transient(errc code) noexcept {
  return code != errc::invalid_argument && code != errc::not_found && code != errc::permission_denied
         && code != errc::unsupported;
}

std::string describe(const split& which) {
  if (which.is_finish())
    return "putting the parts together";
  if (which.is_cut())
    return "taking records off the queue";
  return "the split of bytes " + std::to_string(which.begin) + " to " + std::to_string(which.end);
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
    else if (read->run == opts_.run)
      known_ = std::move(*read);
    else if (opts_.from_queue && read->phase != job_phase::done)
      passed_on_ = std::move(*read);
    else
      run_before_ = read->first_run;
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
    if (outcome.error().code == errc::conflict)
      stop_cutting(outcome.error().message);
    else if (!is_transient(outcome.error().code) && pulled_)
      fail_job("taking records off the queue: " + outcome.error().message);
    else if (outcome.error().code != errc::stale)
      later(at.now, outcome.error());
  }
  auto out = advanced(at);
  clean_before(out);
  return out;
}

actions state::on_records(const result<record_block>& records, moment at) {
  pulling_ = false;
  if (step_ != step::running)
    return {};    // what it brings is given back with the rest
  if (!records) { // they may be leased all the same, and would be missing in the end
    must_give_back_ = true;
    later(at.now, records.error());
  } else if (cutting_ && known_) {
    pulled_ = *records;
    pulled_index_ = known_->split_count;
  } else if (!records->empty()) {
    must_give_back_ = true; // somebody else cuts meanwhile, or has come to the end
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
  if (step_ != step::running && step_ != step::leaving)
    return {}; // what it brings has been given back with the rest
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
  const auto why = describe(found->second.which) + ": " + outcome.error().message;
  held_.erase(found);
  if (outcome.error().code == errc::invalid_argument)
    fail_job(outcome.error().message);
  else if (outcome.error().code != errc::shutting_down) {
    last_error_ = why;
    nacks_.emplace_back(seq, why);
  }
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
  held_.erase(found);
  last_error_ = outcome.error().message;
  if (outcome.error().code == errc::invalid_argument)
    fail_job(last_error_);
  else
    nacks_.emplace_back(seq, last_error_);
  must_read_ = true; // another one may have ended it, and cleaned up behind itself
  return advanced(at);
}

actions state::on_settled(bool ok, moment at) {
  settling_ = false;
  if (!ok) // the splits come again and are then known to be done
    ++stale_total_;
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

actions state::on_torn_down(const result<void>& outcome, moment) {
  if (!outcome && !fatal_)
    fatal_ = outcome.error().message;
  return end();
}

actions state::end() {
  step_ = step::ended;
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
  if (has_ended() || failing_ || step_ == step::leaving)
    return;
  begin_held(out);
  cut_more(out);
  take_more(out);
}

/// False while the job is not known or not this run's, or the source has to be looked at.
bool state::know_job(actions& out, moment at) {
  if (storing_ || reading_ || looking_)
    return is_usable();
  if (must_read_) {
    reading_ = true;
    read_at_ = at.now;
    if (joined_)
      joined_->is_asked = true;
    out.emplace_back(read_job{});
    return is_usable();
  }
  if (failing_ && !has_ended()) {
    store_failure(out, at);
    return is_usable();
  }
  const bool is_new = !known_ || may_take_up();
  const bool is_unchecked = is_new || (known_->phase == job_phase::running && !checked_);
  if (!is_unchecked || step_ == step::leaving)
    return is_usable();
  if (!plan_ && !opts_.from_queue) {
    looking_ = true;
    out.emplace_back(look_at_source{is_planned() ? std::optional{known_->split_bytes} : std::nullopt});
  } else if (is_new) {
    begin_round(out, at);
  }
  return false;
}

/// Hands out all splits, or those that are left of a run that failed.
void state::begin_round(actions& out, moment at) {
  job next;
  if (is_planned()) {
    next = *known_;
    next.phase = job_phase::running;
    next.error.clear();
    next.ended_at_ms = 0;
  } else {
    next = first_job(at);
  }
  if (known_ || passed_on_)
    ++next.round;
  if (fail_for_rejected(next, at)) { // as before; it may be said anew how many may be rejected
    plan_.reset();
    return store(std::move(next), {}, {}, out);
  }
  std::vector<split> splits;
  if (!opts_.from_queue)
    splits = splits_left(next, plan_->borders);
  else if (!is_planned() && !passed_on_)
    splits.push_back({next.run, next.round, split::cut_index, 0, 0});
  if (next.all_split_done())
    splits.push_back({next.run, next.round, split::finish_index, 0, 0});
  plan_.reset();
  store(std::move(next), std::move(splits), {}, out);
}

/// The job of a run that has none: a new one, or that of the run before with what is left of it.
job state::first_job(moment at) const {
  job next;
  if (passed_on_) {
    next = *passed_on_;
    next.run = opts_.run;
    next.phase = job_phase::running;
    next.error.clear();
    next.ended_at_ms = 0;
    return next;
  }
  next.run = next.first_run = opts_.run;
  next.began_at_ms = at.unix_ms;
  if (opts_.from_queue) {
    next.split_bytes = opts_.block_bytes;
    next.is_open = true;
  } else {
    next.source = plan_->source;
    next.split_bytes = plan_->split_bytes;
    next.split_count = static_cast<std::uint32_t>(plan_->borders.size() - 1);
  }
  return next;
}

/// The run before is over only once this one is stored: until then its parts are all there is of it.
void state::clean_before(actions& out) {
  if (known_ && run_before_ != 0)
    out.emplace_back(clean_up{std::exchange(run_before_, 0)});
}

void state::store(job next, std::vector<split> splits, std::vector<record_block> results, actions& out) {
  storing_ = next;
  out.emplace_back(store_job{stored_, std::move(next), std::move(splits), std::move(results), {}});
}

void state::store_failure(actions& out, moment at) {
  auto next = known_.value_or(job{});
  next.run = opts_.run;
  if (next.first_run == 0)
    next.first_run = opts_.run;
  next.phase = job_phase::failed;
  next.error = *failing_;
  if (next.began_at_ms == 0)
    next.began_at_ms = at.unix_ms;
  next.ended_at_ms = at.unix_ms;
  store(std::move(next), {}, {}, out);
}

/// True if more records are rejected than may be: the job has failed then.
bool state::fail_for_rejected(job& next, moment at) const {
  if (next.totals.rejected <= opts_.rejected_max)
    return false;
  next.phase = job_phase::failed;
  next.error =
    too_many_rejected(next.totals.rejected, opts_.rejected_max, next.first_rejected, opts_.from_queue);
  next.ended_at_ms = at.unix_ms;
  return true;
}

void state::store_progress(actions& out, moment at) {
  if (storing_ || reading_ || failing_)
    return;
  job next = *known_;
  std::vector<record_block> results;
  std::size_t results_bytes = 0;
  for (auto& [seq, one] : held_) {
    if (one.at == held::place::finished)
      return store_finish(one.finish, seq, out, at);
    if (one.at != held::place::ready)
      continue;
    std::size_t bytes = 0;
    for (const auto& block : one.result.results)
      bytes += block.bytes().size();
    if (!storing_seqs_.empty() && results_bytes + bytes > limits::batch_queue_result_bytes_max)
      break;
    if (!add_split(next, one.which, one.result.counts)) {
      one.at = held::place::stored; // another replica had it as well, or a commit came through unheard
      continue;
    }
    results_bytes += bytes;
    results.insert(results.end(), one.result.results.begin(), one.result.results.end());
    storing_seqs_.push_back(seq);
  }
  if (storing_seqs_.empty())
    return store_cut(out, at);
  std::vector<split> splits;
  if (!fail_for_rejected(next, at) && next.all_split_done())
    splits.push_back({next.run, next.round, split::finish_index, 0, 0});
  store(std::move(next), std::move(splits), std::move(results), out);
}

void state::store_finish(const finish_outcome& what, std::uint64_t seq, actions& out, moment at) {
  job next = *known_;
  next.phase = job_phase::done;
  next.totals.records_out = what.records_out;
  next.ended_at_ms = at.unix_ms;
  storing_seqs_ = {seq};
  store(std::move(next), {}, what.results, out);
}

/// Makes a split of what was pulled off the source, or notes that there is no more.
void state::store_cut(actions& out, moment at) {
  if (!pulled_ || !cutting_)
    return;
  job next = *known_;
  if (!pulled_->empty()) {
    std::vector<std::uint64_t> taken;
    for (auto record : *pulled_)
      taken.push_back(record.seq);
    auto made = cut_split(next, *pulled_);
    storing_ = next;
    out.emplace_back(store_job{stored_, std::move(next), {std::move(made)}, {}, std::move(taken)});
    return;
  }
  next.is_open = false;
  storing_seqs_ = {*cutting_};
  std::vector<split> splits;
  if (next.split_count == 0) { // there was nothing: the sink stays as it is
    next.phase = job_phase::done;
    next.ended_at_ms = at.unix_ms;
  } else if (next.all_split_done()) {
    splits.push_back({next.run, next.round, split::finish_index, 0, 0});
  }
  store(std::move(next), std::move(splits), {}, out);
}

/// Its lease has gone, or that of the records: somebody else will go on, from where the job is.
void state::stop_cutting(const std::string& why) {
  drop_pulled();
  if (!cutting_)
    return;
  held_.erase(*cutting_);
  nacks_.emplace_back(*std::exchange(cutting_, std::nullopt), why);
}

void state::drop_pulled() {
  must_give_back_ = must_give_back_ || (pulled_ && !pulled_->empty());
  pulled_.reset();
}

void state::give_back(actions& out) {
  if (!must_give_back_ || giving_back_ || pulling_ || storing_)
    return;
  must_give_back_ = false;
  giving_back_ = true;
  out.emplace_back(give_back_records{});
}

void state::cut_more(actions& out) {
  if (cutting_ && !known_->is_open) { // somebody else has had it meanwhile, and has finished
    held_.at(*cutting_).at = held::place::stored;
    cutting_.reset();
    drop_pulled();
  }
  if (!cutting_ || pulling_ || pulled_ || must_read_ || must_give_back_ || giving_back_)
    return;
  pulling_ = true;
  out.emplace_back(take_records{split_records_for(known_->split_count), opts_.block_bytes});
}

/// The job has ended: what is under way is of no use, but to the next run of a queue's job that has failed.
void state::end_work(actions& out) {
  if (working_ > 0 && !std::exchange(told_stop_, true))
    out.emplace_back(stop_work{});
  const bool has_failed = known_->phase == job_phase::failed;
  for (auto& [seq, one] : held_) {
    if (one.which.round > known_->round)
      must_read_ = true; // somebody has taken the run up again
    else if (one.at != held::place::work && !(has_failed && opts_.from_queue))
      one.at = held::place::stored;
  }
  const bool keeps_parts = has_failed && (opts_.takes_up_failed || opts_.from_queue);
  if (!keeps_parts && working_ == 0 && !combining_ && !std::exchange(cleaned_, true))
    out.emplace_back(clean_up{known_->first_run});
}

void state::settle_done(actions& out) {
  for (auto one = held_.begin(); one != held_.end();) {
    if (one->second.at == held::place::stored) {
      acks_.push_back(one->first);
      one = held_.erase(one);
    } else {
      ++one;
    }
  }
  if (settling_ || (acks_.empty() && nacks_.empty()))
    return;
  settling_ = true;
  out.emplace_back(settle_splits{std::exchange(acks_, {}), std::exchange(nacks_, {})});
}

void state::take_one(const leased_split& one) {
  if (held_.contains(one.seq))
    return; // it is ours still, or again
  auto which = split_from_text(one.text);
  if (!which && opts_.from_queue)
    return fail_job(which.error().message); // it may have records
  if (which && which->run > opts_.run)
    return give_up(newer_run(which->run)); // its leases go back as this replica leaves
  if (!which || is_over(*which)) {
    acks_.push_back(one.seq);
    return;
  }
  // A run that takes the job up has as many again; with a file they come as new ones.
  const auto attempts_max =
    opts_.from_queue && known_ ? opts_.attempts_max * known_->round : opts_.attempts_max;
  if (one.attempts >= attempts_max) {
    fail_job(describe(*which) + " was tried " + std::to_string(one.attempts) + " times"
             + (last_error_.empty() ? ": its process ended each time" : "; last: " + last_error_));
    return;
  }
  held_[one.seq].which = *which;
}

/// Whether it is of a run that has ended, or done.
bool state::is_over(const split& which) const {
  const auto oldest = opts_.from_queue && known_ ? known_->first_run : opts_.from_queue ? 0 : opts_.run;
  if (which.run < oldest || !known_)
    return which.run < oldest;
  if (!opts_.from_queue && which.run == known_->run && which.round < known_->round)
    return true;
  return !which.is_finish() && !which.is_cut() && which.run == known_->first_run
         && known_->done.contains(which.index);
}

/// What is leased and may be begun with what is known.
void state::begin_held(actions& out) {
  for (auto& [seq, one] : held_) {
    if (one.at != held::place::waiting)
      continue;
    if (one.which.round > known_->round) {
      must_read_ = true;
    } else if (one.which.is_cut()) {
      one.at = known_->is_open ? held::place::work : held::place::stored;
      if (known_->is_open)
        cutting_ = seq;
    } else if (!one.which.is_finish()) {
      if (working_ < opts_.threads) {
        one.at = held::place::work;
        ++working_;
        out.emplace_back(work_on{seq, one.which});
      }
    } else if (!known_->all_split_done()) {
      must_read_ = true;
    } else if (!std::exchange(combining_, true)) {
      one.at = held::place::work;
      joining_ = known_;
      out.emplace_back(put_together{seq});
    }
  }
}

void state::take_more(actions& out) {
  if (takes_unknown_) { // what is renewed with the rest would never come back
    if (held_.empty() && !settling_ && !std::exchange(giving_up_leases_, true))
      out.emplace_back(release_leases{});
    return;
  }
  // A split that is ready still holds its results: those of as many as there are threads may wait.
  const auto free = 2 * opts_.threads - std::min<std::size_t>(held_.size(), 2 * opts_.threads);
  const auto wanted = std::min<std::size_t>(free, opts_.threads - std::min(working_, opts_.threads));
  if (taking_ || found_none_ || wanted == 0)
    return;
  taking_ = true;
  out.emplace_back(take_splits{static_cast<std::uint32_t>(wanted)});
}

bool state::is_quiet() const noexcept {
  return working_ == 0 && !combining_ && !reading_ && !looking_ && !storing_ && !settling_
         && !giving_up_leases_;
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
