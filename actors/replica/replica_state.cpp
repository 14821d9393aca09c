#include "actors/replica/replica_state.hpp"

#include "actors/replica/replica_policy.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <utility>

namespace sluice::replica {

namespace {

/// After an empty answer that came at once, so that a source which does not wait is
/// not asked without pause.
constexpr std::chrono::milliseconds empty_pause{50};

/// For giving leases back, and again for tearing down, however little is left of the drain.
constexpr std::chrono::seconds drain_step_min{10};

/// After a refusal nothing was done; after these something may have been.
bool outcome_is_unknown(errc code) noexcept {
  return code == errc::unavailable || code == errc::timeout || code == errc::cancelled
         || code == errc::internal;
}

} // namespace

bool is_transient(errc code) noexcept {
  switch (code) {
  case errc::invalid_argument:
  case errc::not_found:
  case errc::unauthenticated:
  case errc::permission_denied:
  case errc::unsupported:
    return false;
  default:
    return true;
  }
}

state::state(state_options opts) : opts_(opts), retries_(opts.attempts_max), random_(opts.seed) {}

time_point state::later(time_point now, std::uint32_t tries) {
  return now + backoff_delay(tries, next_random(random_), backoff_min, backoff_max);
}

bool state::exhausted() const noexcept {
  return phase_ == replica_phase::running && source_ended_ && in_hand_ == 0;
}

// ---- starting ----------------------------------------------------------------------

actions state::on_spawned(time_point now) {
  actions out;
  begin_step(step::body, out, now); // (1)
  return out;
}

void state::begin_step(step next, actions& out, time_point now) {
  if (next != step_) {
    step_tries_ = 0;
    trouble_with(trouble::start).clear();
  }
  step_ = next;
  step_waiting_ = true;
  switch (next) {
  case step::body:
    out.push_back(make_body{});
    return;
  case step::sink:
    if (opts_.sink == sink_kind::port) {
      out.push_back(open_sink{});
      return;
    }
    return begin_step(step::cursor, out, now);
  case step::cursor:
    if (opts_.source == source_kind::position) {
      out.push_back(read_cursor{});
      return;
    }
    return begin_step(step::source, out, now);
  case step::source:
    if (!is_queue()) {
      out.push_back(open_source{read_position(cursor_).value_or(source_position{})});
      return;
    }
    return begin_step(step::ready, out, now);
  case step::ready:
    step_waiting_ = false;
    phase_ = replica_phase::running; // (2)
    return;
  case step::settling:
    step_waiting_ = false;
    return;
  case step::releasing:
    limit_drain(now + drain_step_min);
    out.push_back(release{});
    return;
  case step::tearing_down:
    limit_drain(now + drain_step_min);
    out.push_back(tear_down{});
    return;
  case step::ended:
    step_waiting_ = false;
    in_hand_ = 0;
    phase_ = fatal_ ? replica_phase::failed : replica_phase::down; // (5) (6) (7)
    out.push_back(finish{});
    return;
  }
}

void state::step_failed(const failure& why, actions& out, time_point now) {
  step_waiting_ = false;
  if (is_transient(why.code)) {
    trouble_with(trouble::start) = why.message;
    step_not_before_ = later(now, ++step_tries_);
    return;
  }
  fatal_ = last_error_ = why.message;
  begin_drain(out, now);
}

const std::string& state::last_error() const noexcept {
  if (!fatal_)
    for (const auto& one : troubles_)
      if (!one.empty())
        return one;
  return last_error_;
}

bool state::is_retrying() const noexcept {
  return !fatal_
         && std::any_of(troubles_.begin(), troubles_.end(), [](const auto& one) { return !one.empty(); });
}

actions state::on_body(result<void> outcome, time_point now) {
  actions out;
  step_waiting_ = false;
  if (!outcome) {
    // What setup throws is the user's to explain; trying again is left to the cluster.
    fatal_ = last_error_ = outcome.error().message;
    begin_step(step::ended, out, now);
    return out;
  }
  if (drain_wanted_)
    begin_drain(out, now);
  else
    begin_step(step::sink, out, now);
  advance(out, now);
  return out;
}

actions state::on_sink_open(result<void> outcome, time_point now) {
  actions out;
  step_waiting_ = false;
  if (!outcome)
    step_failed(outcome.error(), out, now);
  else if (!drain_wanted_)
    begin_step(step::cursor, out, now);
  advance(out, now);
  return out;
}

actions state::on_cursor(result<std::string> stored, time_point now) {
  actions out;
  step_waiting_ = false;
  if (!stored)
    step_failed(stored.error(), out, now);
  else if (!read_position(*stored))
    step_failed({errc::invalid_argument, "the stored position \"" + *stored + "\" is no number"}, out, now);
  else {
    cursor_ = std::move(*stored);
    if (!drain_wanted_)
      begin_step(step::source, out, now);
  }
  advance(out, now);
  return out;
}

actions state::on_source_open(result<void> outcome, time_point now) {
  actions out;
  step_waiting_ = false;
  if (!outcome)
    step_failed(outcome.error(), out, now);
  else if (!drain_wanted_)
    begin_step(step::ready, out, now);
  advance(out, now);
  return out;
}

// ---- running -----------------------------------------------------------------------

void state::advance(actions& out, time_point now) {
  switch (step_) {
  case step::body:
  case step::ended:
    return;
  case step::sink:
  case step::cursor:
  case step::source:
    if (step_waiting_)
      return;
    if (drain_wanted_)
      begin_drain(out, now);
    else if (now >= step_not_before_) {
      begin_step(step_, out, now);
      if (step_ == step::ready)
        advance(out, now);
      return;
    } else
      return;
    return advance(out, now);
  case step::ready:
    retry_due(out, now);
    cut_groups(out, now);
    send_groups(out, now);
    settle_unknown_leases(out, now);
    take_more(out, now);
    return;
  case step::settling:
    cut_groups(out, now);
    send_groups(out, now);
    finish_drain(out, now);
    return;
  case step::releasing:
    if (!step_waiting_ && now >= step_not_before_)
      begin_step(step::releasing, out, now);
    return;
  case step::tearing_down:
    return;
  }
}

bool state::may_take(time_point now) const noexcept {
  return !taking_ && !source_ended_ && !lease_unknown_since_ && now >= take_not_before_
         && unprocessed_ <= count_next_
         && in_hand_ < std::uint64_t{blocks_in_hand_max} * std::max(opts_.batch_size, 1u)
         && held_bytes() < bytes_in_hand_max;
}

/// Of records in hand that do not come from a queue.
std::size_t state::held_bytes() const noexcept {
  auto total = ordered_.held_bytes();
  for (const auto& [_, group] : groups_)
    total += group.content.freed_bytes;
  return total;
}

void state::take_more(actions& out, time_point now) {
  if (!may_take(now))
    return;
  count_next_ = records_next(count_next_, per_record_, opts_.num_concurrency, opts_.batch_size);
  taking_ = true;
  take_started_ = now;
  out.push_back(take{count_next_});
}

actions state::on_taken(result<record_block> records, bool end, time_point now,
                        std::vector<refused_record> refused, std::string mark) {
  actions out;
  taking_ = false;
  if (!records) {
    if (!is_transient(records.error().code) && step_ == step::ready) {
      fatal_ = last_error_ = records.error().message;
      begin_drain(out, now);
    } else {
      trouble_with(trouble::take) = records.error().message;
      take_not_before_ = later(now, ++take_tries_);
      if (is_queue() && outcome_is_unknown(records.error().code))
        lease_unknown_since_ = now;
    }
    advance(out, now);
    return out;
  }
  take_tries_ = 0;
  trouble_with(trouble::take).clear();
  source_ended_ = source_ended_ || end;
  const auto count = records->count();
  if (step_ != step::ready) {
    // A drain began meanwhile.
    if (count > 0 && is_queue()) {
      release back;
      for (auto record : *records)
        back.seqs.push_back(record.seq);
      out.push_back(std::move(back));
    }
  } else if (count == 0 && refused.empty()) {
    if (now - take_started_ < take_wait_max / 2)
      take_not_before_ = now + empty_pause;
  } else {
    if (in_hand_ == 0)
      renew_at_ = now + limits::lease_visibility / 3;
    in_hand_ += count + refused.size();
    unprocessed_ += count;
    failed_total_ += refused.size();
    if (!is_queue())
      ordered_.taken(*records, refused, std::move(mark));
    for (auto& each : refused) {
      last_error_ = each.why;
      ordered_.bury(each.seq, {std::move(each.payload), std::move(each.why), 1});
    }
    if (count > 0)
      out.push_back(submit{std::move(*records)});
  }
  advance(out, now);
  return out;
}

actions state::on_done(work_done chunk, time_point now) {
  actions out;
  const auto count = chunk.count();
  unprocessed_ -= std::min<std::uint64_t>(unprocessed_, count);
  failed_total_ += chunk.nacks.size();
  if (!chunk.nacks.empty())
    last_error_ = chunk.nacks.back().error;
  if (count > 0) {
    const auto mean = chunk.busy / static_cast<std::int64_t>(count);
    per_record_ =
      per_record_.count() == 0 ? std::max(mean, std::chrono::nanoseconds{1}) : (per_record_ * 3 + mean) / 4;
  }
  if (abandoned_)
    out.push_back(settled{chunk.results.bytes().size(), std::nullopt});
  else if (is_queue())
    leased_.add(std::move(chunk));
  else {
    for (auto seq : chunk.acks)
      retries_.succeeded(seq);
    for (const auto& why : chunk.nacks) {
      if (auto burial = retries_.failed(why, ordered_.payload_of(why.seq), now, next_random(random_)))
        ordered_.bury(why.seq, std::move(*burial));
    }
    ordered_.add(chunk);
  }
  advance(out, now);
  return out;
}

void state::retry_due(actions& out, time_point now) {
  if (retries_.empty())
    return;
  auto records = retries_.due(now);
  if (records.empty())
    return;
  unprocessed_ += records.count();
  out.push_back(submit{std::move(records)});
}

// ---- draining ----------------------------------------------------------------------

actions state::on_drain(time_point now) {
  actions out;
  if (std::exchange(drain_wanted_, true))
    return out;
  const std::chrono::nanoseconds step_max = step_ == step::body ? setup_wait_max : opts_.drain_max;
  limit_drain(now + std::min(step_max, opts_.drain_max));
  if (step_ == step::ready)
    begin_drain(out, now); // (3)
  advance(out, now);       // (4), once nothing is being set up
  return out;
}

void state::begin_drain(actions& out, time_point now) {
  const bool was_running = step_ == step::ready;
  phase_ = replica_phase::draining;
  drain_wanted_ = true;
  if (!drain_ends_)
    limit_drain(now + opts_.drain_max);
  begin_step(step::settling, out, now);
  for (auto& [_, group] : groups_) {
    if (group.at != group_in_flight::step::push)
      continue;
    group.tries = group.waiting ? 1 : 0;
    group.not_before = now;
  }
  if (was_running)
    out.push_back(withdraw{});
}

void state::abandon(std::string why, actions& out, time_point now) {
  fatal_ = last_error_ = std::move(why);
  abandoned_ = true;
  groups_.clear();
  leased_.clear();
  ordered_ = {};
  if (step_ == step::ready)
    begin_drain(out, now);
}

actions state::on_withdrawn(const std::vector<std::uint64_t>& seqs, time_point now) {
  actions out;
  unprocessed_ -= std::min<std::uint64_t>(unprocessed_, seqs.size());
  in_hand_ -= std::min<std::uint64_t>(in_hand_, seqs.size());
  if (is_queue() && !seqs.empty())
    out.push_back(release{seqs});
  advance(out, now);
  return out;
}

void state::finish_drain(actions& out, time_point now) {
  // A wait at the queue is not waited for: the release comes behind it, ends it, and gives back what it has got.
  const bool waits_for_source = taking_ && !is_queue();
  if (unprocessed_ != 0 || waits_for_source || !leased_.empty() || ordered_.ready() || !groups_.empty())
    return;
  release_tries_ = 0;
  begin_step(is_queue() ? step::releasing : step::tearing_down, out, now);
}

/// Never sooner than it was.
void state::limit_drain(time_point ends) { drain_ends_ = std::max(drain_ends_.value_or(ends), ends); }

void state::cut_drain(actions& out, time_point now) {
  const auto no_sink = std::exchange(trouble_with(trouble::push), {});
  troubles_ = {};
  last_error_ = (no_sink.empty() ? "the drain did not end in time" : no_sink) + "; "
                + std::to_string(in_hand_) + (in_hand_ == 1 ? " record is" : " records are")
                + " not settled and will be handed out again";
  const bool is_settling = step_ == step::settling;
  drain_cut_ = true;
  abandoned_ = true;
  groups_.clear();
  leased_.clear();
  ordered_ = {};
  if (is_settling && is_queue())
    begin_step(step::releasing, out, now);
  else if (is_settling && unprocessed_ == 0)
    begin_step(step::tearing_down, out, now);
  else // user code, the sink or the queue does not answer
    begin_step(step::ended, out, now);
}

actions state::on_torn_down(result<void> outcome, time_point now) {
  actions out;
  troubles_ = {};
  if (!outcome)
    last_error_ = outcome.error().message;
  begin_step(step::ended, out, now);
  return out;
}

actions state::on_tick(time_point now) {
  actions out;
  if (is_queue() && in_hand_ > 0 && now >= renew_at_) {
    renew_at_ = now + limits::lease_visibility / 3;
    out.push_back(renew{});
  }
  if (drain_ends_ && now >= *drain_ends_ && step_ != step::ended)
    cut_drain(out, now);
  advance(out, now);
  return out;
}

} // namespace sluice::replica
