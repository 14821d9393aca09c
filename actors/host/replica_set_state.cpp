#include "actors/host/replica_set_state.hpp"

#include <utility>

namespace sluice::host {

std::string_view to_string(batch_phase phase) noexcept {
  switch (phase) {
  case batch_phase::running:
    return "running";
  case batch_phase::done:
    return "done";
  case batch_phase::failed:
    return "failed";
  }
  return "unknown";
}

std::string_view to_string(replica_phase phase) noexcept {
  switch (phase) {
  case replica_phase::starting:
    return "starting";
  case replica_phase::running:
    return "running";
  case replica_phase::draining:
    return "draining";
  case replica_phase::down:
    return "down";
  case replica_phase::failed:
    return "failed";
  }
  return "unknown";
}

replica_set_actions replica_set_state::on_desired(const desired_replicas& desired) {
  replica_set_actions out;
  if (desired.revision < revision_)
    return out;
  revision_ = desired.revision;
  for (auto& [id, known] : replicas_)
    known.wanted = false;
  for (const auto& order : desired.replicas) {
    auto [at, is_new] = replicas_.try_emplace(order.id);
    auto& known = at->second;
    known.wanted = true;
    if (is_new) {
      known.report.id = order.id;
      known.report.processor = order.processor;
      if (order.goal == replica_goal::run)
        out.start.push_back(order);
      else
        known.report.phase = replica_phase::down; // never ran here, so there is nothing to drain
    } else if (order.goal == replica_goal::drain && !known.has_ended())
      out.drain.push_back(order.id);
  }
  for (const auto& [id, known] : replicas_) {
    if (!known.wanted && !known.has_ended())
      out.drain.push_back(id);
  }
  forget_ended();
  return out;
}

bool replica_set_state::on_report(const replica_report& report) {
  auto found = replicas_.find(report.id);
  if (found == replicas_.end() || found->second.has_ended())
    return false;
  auto& known = found->second.report;
  const bool changed = known.phase != report.phase || known.exhausted != report.exhausted;
  known = report;
  forget_ended();
  return changed;
}

void replica_set_state::on_lost(const replica_id& id, std::string why) {
  auto found = replicas_.find(id);
  if (found == replicas_.end() || found->second.has_ended())
    return;
  found->second.report.phase = replica_phase::failed;
  found->second.report.last_error = std::move(why);
  forget_ended();
}

void replica_set_state::forget_ended() {
  std::erase_if(replicas_, [](const auto& each) { return !each.second.wanted && each.second.has_ended(); });
}

std::vector<replica_report> replica_set_state::reports() const {
  std::vector<replica_report> out;
  out.reserve(replicas_.size());
  for (const auto& [id, known] : replicas_)
    out.push_back(known.report);
  return out;
}

} // namespace sluice::host
