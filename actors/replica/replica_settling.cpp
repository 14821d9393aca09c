#include "actors/replica/replica_policy.hpp"
#include "actors/replica/replica_state.hpp"

#include <sluice/core/limits.hpp>

#include <algorithm>
#include <utility>

// The half of `state` that brings results to their sink and records to rest.
namespace sluice::replica {

namespace {

/// How much longer than `take_wait_max` a lease may still be granted whose asker has
/// given up.
constexpr std::chrono::seconds lease_grant_late_max{1};

constexpr std::uint32_t release_tries_max = 3;

/// Commits of leases are independent, so the next can travel while one is written. With a
/// stored position each expects what the one before has stored.
constexpr std::size_t leased_groups_max = 2;
constexpr std::size_t ordered_groups_max = 1;

std::size_t results_bytes(const settle_group& group) {
  std::size_t total = 0;
  for (const auto& block : group.results)
    total += block.bytes().size();
  return total;
}

} // namespace

void state::cut_groups(actions& out, time_point now) {
  const auto groups_max = is_queue() ? leased_groups_max : ordered_groups_max;
  while (groups_.size() < groups_max && (is_queue() ? !leased_.empty() : ordered_.ready())) {
    group_in_flight made;
    made.content = is_queue() ? leased_.cut() : ordered_.cut();
    made.results_bytes = results_bytes(made.content);
    made.cursor_expected = cursor_;
    if (made.content.position)
      made.cursor_next = position_text({*made.content.position, made.content.mark});
    made.not_before = now;
    if (opts_.sink == sink_kind::none)
      made.content.results.clear();
    const bool pushes = opts_.sink == sink_kind::port && !made.content.results.empty();
    made.at = pushes ? group_in_flight::step::push : group_in_flight::step::commit;
    const auto id = next_group_++;
    groups_.emplace(id, std::move(made));
    if (!pushes && !needs_commit(id))
      conclude(id, {}, out);
  }
}

bool state::needs_commit(std::uint64_t id) const {
  const auto& content = groups_.at(id).content;
  return opts_.source != source_kind::no_position || !content.burials.empty()
         || (opts_.sink == sink_kind::queue && !content.results.empty());
}

void state::send_groups(actions& out, time_point now) {
  bool push_is_next = true; // pushes go in order, one at a time
  for (auto& [id, group] : groups_) {
    const bool pushes = group.at == group_in_flight::step::push;
    const bool my_turn = !pushes || std::exchange(push_is_next, false);
    if (group.waiting || !my_turn || now < group.not_before)
      continue;
    group.waiting = true;
    ++group.tries;
    if (pushes)
      out.push_back(push{id});
    else if (group.at == group_in_flight::step::commit)
      out.push_back(commit{id});
    else
      out.push_back(check_cursor{id});
  }
}

actions state::on_pushed(std::uint64_t id, result<std::vector<queue::nack>> refused, time_point now) {
  actions out;
  auto found = groups_.find(id);
  if (found == groups_.end())
    return out;
  auto& [_, group] = *found;
  group.waiting = false;
  if (!refused && !is_transient(refused.error().code)) {
    abandon(refused.error().message, out, now);
    advance(out, now);
    return out;
  }
  if (!refused) {
    trouble_with(trouble::push) = refused.error().message;
    if (step_ == step::settling && unprocessed_ == 0 && group.tries >= drain_push_tries_max)
      cut_drain(out, now);
    else
      group.not_before = later(now, group.tries);
    advance(out, now);
    return out;
  }
  trouble_with(trouble::push).clear();
  for (auto& why : *refused) {
    ++failed_total_;
    last_error_ = why.error;
    std::erase(group.content.acks, why.seq);
    if (is_queue())
      group.content.nacks.push_back(std::move(why));
    else
      group.content.burials.push_back(
        {std::string{find_payload(group.content.inputs, why.seq)}, std::move(why.error), 1});
  }
  group.at = group_in_flight::step::commit;
  group.tries = 0;
  if (!needs_commit(id))
    conclude(id, {}, out);
  advance(out, now);
  return out;
}

actions state::on_committed(std::uint64_t id, result<std::vector<std::uint64_t>> stale, time_point now) {
  actions out;
  auto found = groups_.find(id);
  if (found == groups_.end())
    return out;
  auto& group = found->second;
  group.waiting = false;
  trouble_with(trouble::commit).clear();
  if (stale)
    conclude(id, std::move(*stale), out);
  else if (stale.error().code == errc::stale && is_queue())
    conclude(id, leases_of(group.content), out);
  else if (stale.error().code == errc::stale && group.content.position)
    group.at = group_in_flight::step::check;
  else {
    if (is_transient(stale.error().code)) {
      trouble_with(trouble::commit) = stale.error().message;
      group.not_before = later(now, group.tries);
    } else
      abandon(stale.error().message, out, now);
  }
  advance(out, now);
  return out;
}

actions state::on_cursor_checked(std::uint64_t id, result<std::string> stored, time_point now) {
  actions out;
  auto found = groups_.find(id);
  if (found == groups_.end())
    return out;
  auto& group = found->second;
  group.waiting = false;
  trouble_with(trouble::commit).clear();
  if (!stored) {
    trouble_with(trouble::commit) = stored.error().message;
    group.not_before = later(now, group.tries);
  } else if (*stored == group.cursor_next) {
    conclude(id, {}, out); // an earlier try was stored and its answer lost
  } else if (*stored == group.cursor_expected) {
    group.at = group_in_flight::step::commit;
    group.not_before = later(now, group.tries);
  } else {
    abandon("another replica reads the same source: its stored position is " + *stored + ", expected "
              + (group.cursor_expected.empty() ? "none" : group.cursor_expected)
              + "; a source that is no queue can feed one replica",
            out, now);
  }
  advance(out, now);
  return out;
}

std::vector<std::uint64_t> state::leases_of(const settle_group& group) {
  auto all = group.acks;
  for (const auto& why : group.nacks)
    all.push_back(why.seq);
  return all;
}

void state::conclude(std::uint64_t id, std::vector<std::uint64_t> stale, actions& out) {
  auto found = groups_.find(id);
  auto& content = found->second.content;
  in_hand_ -= std::min<std::uint64_t>(in_hand_, content.count());
  std::sort(stale.begin(), stale.end());
  processed_total_ +=
    static_cast<std::uint64_t>(std::count_if(content.acks.begin(), content.acks.end(), [&](auto seq) {
      return !std::binary_search(stale.begin(), stale.end(), seq);
    }));
  stale_total_ += stale.size();
  if (content.position)
    cursor_ = found->second.cursor_next;
  out.push_back(settled{found->second.results_bytes, content.position});
  groups_.erase(found);
}

void state::settle_unknown_leases(actions& out, time_point now) {
  if (!lease_unknown_since_ || taking_ || releasing_all_ || in_hand_ != 0 || now < release_not_before_
      || now < *lease_unknown_since_ + take_wait_max + lease_grant_late_max)
    return;
  releasing_all_ = true;
  out.push_back(release{});
}

actions state::on_released(bool all, bool ok, time_point now) {
  actions out;
  if (!all)
    return out; // what could not be given back goes with the release at the end
  releasing_all_ = false;
  if (step_ == step::releasing) {
    step_waiting_ = false;
    if (ok || ++release_tries_ >= release_tries_max)
      begin_step(drain_cut_ && unprocessed_ > 0 ? step::ended : step::tearing_down, out, now);
    else
      step_not_before_ = later(now, release_tries_);
  } else if (ok) {
    lease_unknown_since_.reset();
    release_tries_ = 0;
  } else
    release_not_before_ = later(now, ++release_tries_);
  advance(out, now);
  return out;
}

} // namespace sluice::replica
