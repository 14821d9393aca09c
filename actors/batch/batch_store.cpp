// How the job is known, begun and stored.
#include "actors/batch/batch_state.hpp"

#include <sluice/core/limits.hpp>

#include <utility>

namespace sluice::batch {

/// Why what an earlier run has left cannot go on with the source and sink of this one; empty = it can. Its records are
/// nowhere but in its splits, and the results of those that are done nowhere but at its sink.
std::string state::clash_with(const job& other) const {
  const auto& [from, to] = opts_.ends;
  const bool has_records = other.is_of_queue() && other.phase != job_phase::done && other.split_count > 0;
  if (!has_records || (other.from == from && (other.to == to || other.done.count() == 0)))
    return {};
  return "an earlier run took records off " + other.from + " and has not come to its end ("
         + std::to_string(other.totals.records_in) + " are done, for " + other.to + "); this one reads "
         + from + " and writes " + to
         + ". Run it with that source and sink until it is completed, or give the processor another name, "
           "which "
           "leaves those records where they are";
}

/// A job that is this run's, goes on in it, or is over with it.
void state::adopt(job found) {
  const bool has_splits = found.is_open || found.split_count > 0;
  const bool may_be_of_queue = found.is_of_queue() || found.from.empty();
  if (opts_.from_queue) { // others only if there was nothing yet, or nothing done
    found.from = opts_.ends.from;
    found.to = opts_.ends.to;
  }
  if (found.run == opts_.run)
    known_ = std::move(found);
  else if (opts_.from_queue && may_be_of_queue && has_splits && found.phase != job_phase::done)
    passed_on_ = std::move(found);
  else
    run_before_ = found.first_run;
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
  if (!opts_.from_queue) {
    splits = splits_left(next, plan_->borders);
  } else if (const bool has_cut = (is_planned() || passed_on_) && next.is_open; !has_cut) {
    next.is_open = true; // again, if it goes on: more may have come
    splits.push_back({next.run, next.round, split::cut_index, 0, 0});
  }
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
  next.from = opts_.ends.from;
  next.to = opts_.ends.to;
  if (opts_.from_queue) {
    next.split_bytes = opts_.block_bytes;
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
    clean(std::exchange(run_before_, 0), out);
}

void state::clean(std::uint64_t run, actions& out) {
  ++cleaning_;
  out.emplace_back(clean_up{run});
}

void state::store(job next, std::vector<split> splits, std::vector<record_block> results, actions& out) {
  storing_ = next;
  out.emplace_back(store_job{stored_, std::move(next), std::move(splits), std::move(results), {}});
}

void state::store_failure(actions& out, moment at) {
  auto next = known_.value_or(job{});
  if (!known_) {
    next.from = opts_.ends.from;
    next.to = opts_.ends.to;
  }
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

} // namespace sluice::batch
