#include "actors/cluster/failure_detector.hpp"

namespace sluice::cluster {

void failure_detector::watch(const node_id& node, time_point now) {
  peers_[node] = peer{liveness::alive, now, std::nullopt, std::nullopt};
}

void failure_detector::expect(const node_id& node, time_point now, std::chrono::nanoseconds grace) {
  peers_[node] = peer{liveness::suspect, now, std::nullopt, now + grace};
}

void failure_detector::watch_dead(const node_id& node, time_point now) {
  peers_[node] = peer{liveness::dead, now, std::nullopt, std::nullopt};
}

void failure_detector::forget(const node_id& node) { peers_.erase(node); }

std::optional<transition> failure_detector::heard(const node_id& node, time_point now) {
  auto found = peers_.find(node);
  if (found == peers_.end())
    return std::nullopt;
  auto& it = found->second;
  transition change{node, it.state, liveness::alive, now - it.heard_at, it.link_lost_at.has_value()};
  it = peer{liveness::alive, now, std::nullopt, std::nullopt};
  if (change.before == liveness::alive)
    return std::nullopt;
  return change;
}

std::optional<transition> failure_detector::link_lost(const node_id& node, time_point now) {
  auto found = peers_.find(node);
  if (found == peers_.end() || found->second.state == liveness::dead)
    return std::nullopt;
  auto& it = found->second;
  if (!it.link_lost_at)
    it.link_lost_at = now;
  if (it.state == liveness::suspect)
    return std::nullopt;
  it.state = liveness::suspect;
  return transition{node, liveness::alive, liveness::suspect, now - it.heard_at, true};
}

bool failure_detector::is_overdue(const peer& it, time_point now) const {
  if (it.expected_until)
    return now >= *it.expected_until;
  if (it.link_lost_at && now - *it.link_lost_at >= limits_.dead_after_link_lost)
    return true;
  return now - it.heard_at >= limits_.dead_after;
}

std::vector<transition> failure_detector::tick(time_point now) {
  const auto gap = ticked_at_ ? now - *ticked_at_ : std::chrono::nanoseconds{0};
  ticked_at_ = now;
  std::vector<transition> changes;
  for (auto& [node, it] : peers_) {
    if (it.state == liveness::dead)
      continue;
    if (gap > limits_.tick_gap_max) {
      it.heard_at = now;
      if (it.link_lost_at)
        it.link_lost_at = now;
      if (it.expected_until)
        *it.expected_until += gap;
      continue;
    }
    const auto before = it.state;
    if (is_overdue(it, now))
      it.state = liveness::dead;
    else if (now - it.heard_at >= limits_.suspect_after)
      it.state = liveness::suspect;
    if (it.state != before)
      changes.push_back({node, before, it.state, now - it.heard_at, it.link_lost_at.has_value()});
  }
  return changes;
}

liveness failure_detector::of(const node_id& node) const {
  auto found = peers_.find(node);
  return found == peers_.end() ? liveness::dead : found->second.state;
}

std::chrono::nanoseconds failure_detector::silence(const node_id& node, time_point now) const {
  auto found = peers_.find(node);
  return found == peers_.end() ? std::chrono::nanoseconds{0} : now - found->second.heard_at;
}

} // namespace sluice::cluster
