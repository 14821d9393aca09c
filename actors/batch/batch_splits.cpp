// How a queue is cut into splits, and how splits are taken, begun and settled.
#include "actors/batch/batch_state.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <utility>

namespace sluice::batch {

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
  if (!cutting_ || pulling_ || pulled_ || more_may_come_ || must_read_ || must_give_back_ || giving_back_)
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
    clean(known_->first_run, out);
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
  std::erase_if(nacks_,
                [&](const auto& each) { return each.first == one.seq; }); // meant for the lease before
  if (auto ours = held_.find(one.seq); ours != held_.end()) {
    ours->second.epoch = one.epoch; // it is ours again
    return;
  }
  auto which = split_from_text(one.text);
  if (!which && opts_.from_queue)
    return fail_job(which.error().message); // it may have records
  if (which && which->run > opts_.run)
    return give_up(newer_run(which->run)); // its leases go back as this replica leaves
  if (!which || is_over(*which) || (may_sweep() && which->round <= known_->round)) {
    acks_.push_back(one.seq);
    return;
  }
  if (one.attempts >= attempts_max(*which)) {
    fail_job(describe(*which) + " was tried " + std::to_string(one.attempts)
             + " times; the last time its process ended");
    return;
  }
  auto& taken = held_[one.seq];
  taken.which = *which;
  taken.attempts = one.attempts;
  taken.epoch = one.epoch;
}

/// A run that takes the job up has as many again; with a file they come as new ones. Cutting runs no user code: it is
/// not to blame where it does not come to its end.
std::uint32_t state::attempts_max(const split& of) const {
  if (of.is_cut())
    return limits::attempts_max - 1;
  return opts_.from_queue && known_ ? opts_.attempts_max * known_->round : opts_.attempts_max;
}

/// Whether it is of a run that has ended, or done.
bool state::is_over(const split& which) const {
  const auto oldest = opts_.from_queue && known_ ? known_->first_run : opts_.from_queue ? 0 : opts_.run;
  if (which.run < oldest || !known_)
    return which.run < oldest;
  if (opts_.from_queue
        ? which.is_finish() && which.round < known_->round // more came in, to be put together as well
        : which.run == known_->run && which.round < known_->round)
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

/// Splits whose settlement was lost have come back. Nobody else would take them off the queue.
void state::sweep(actions& out) {
  if (swept_ || taking_ || !may_sweep())
    return; // who waits in vain has seen that there is nothing
  if (takes_unknown_)
    return take_more(out);
  taking_ = sweeping_ = true;
  out.emplace_back(take_splits{limits::block_count_max, false});
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

/// Who fails it for the last time knows why, so that one ends the batch.
void state::note_failed(std::uint64_t seq, const held& one, const std::string& why) {
  last_error_ = why;
  nacks_.emplace_back(seq, why);
  if (const auto tries = one.attempts + 1; tries >= attempts_max(one.which))
    fail_job(describe(one.which) + " was tried " + std::to_string(tries) + " times; last: " + why);
}

} // namespace sluice::batch
