#include "actors/ingress/router_state.hpp"

#include <algorithm>
#include <utility>

namespace sluice::ingress {

route_state::leftovers route_state::update(const route_entry& entry, const node_id& here,
                                           const std::function<target_ptr(const route_target&)>& reach) {
  statistics_.flow = entry.flow;
  statistics_.processor = entry.processor;
  statistics_.method = entry.http.method;
  statistics_.route = entry.http.route;
  errors_ = errors_of(entry.kind);
  is_websocket_ = entry.kind == pattern::websocket;
  is_collector_ = entry.kind == pattern::collector;
  in_flight_max_ = is_websocket_ ? entry.http.max_connections : in_flight_max(entry.num_concurrency);
  waiting_max_ = entry.http.max_queued_requests;
  rate_ = {entry.http.rate_limit, entry.http.rate_burst};
  is_draining_ = entry.is_draining;
  is_failed_ = entry.is_failed;
  leftovers old{targets_.begin(), targets_.end()};
  std::vector<slot_ptr> local;
  std::vector<slot_ptr> remote;
  for (const auto& where : entry.targets) {
    auto known = std::ranges::find_if(
      targets_, [&](const slot_ptr& slot) { return slot->where.replica == where.replica; });
    slot_ptr slot = known == targets_.end() ? std::make_shared<target_slot>() : *known;
    if (!slot->port || slot->where != where) {
      old.push_back(std::move(slot->port));
      slot->where = where;
      slot->is_local = where.node == here;
      slot->port = reach(where);
    }
    (slot->is_local ? local : remote).push_back(std::move(slot));
  }
  local_count_ = local.size();
  targets_ = std::move(local);
  targets_.insert(targets_.end(), remote.begin(), remote.end());
  return old;
}

route_state::leftovers route_state::close() {
  leftovers old{targets_.begin(), targets_.end()};
  is_draining_ = true;
  targets_.clear();
  local_count_ = 0;
  return old;
}

/// Of what user code is not done with.
std::uint32_t route_state::bound_of(const target_slot& target) const noexcept {
  // Connections have the bound that the route says, however quickly they came.
  return is_websocket_ ? in_flight_max_ : std::max(in_flight_max_, target.ahead);
}

bool route_state::is_open(const target_slot& target, time_point now) const noexcept {
  return occupied(target) < bound_of(target) && target.at_sink < at_sink_max && target.port
         && target.closed_until <= now;
}

void route_state::look_at_pace(target_slot& target, time_point now) noexcept {
  if (target.counted_from == time_point::min())
    target.counted_from = now;
  const auto elapsed = now - target.counted_from;
  if (elapsed < ahead_window)
    return;
  target.ahead = requests_ahead(target.answered, elapsed);
  target.answered = 0;
  target.counted_from = now;
}

bool route_state::choose(time_point now, assigned& out) {
  auto load_of = [&](std::size_t i) -> std::optional<std::uint32_t> {
    auto& target = *targets_[i];
    look_at_pace(target, now);
    return is_open(target, now) ? std::optional{occupied(target)} : std::nullopt;
  };
  auto chosen = is_held_back_ ? std::nullopt
                              : choose_target(local_count_, targets_.size(), load_of, next_random(random_));
  if (!chosen)
    return false;
  out.target = targets_[*chosen];
  out.port = out.target->port;
  ++out.target->in_flight;
  out.target->is_full = false;
  out.wants_sink_notice = is_collector_ && wants_sink_notice(occupied(*out.target), bound_of(*out.target));
  ++statistics_.in_flight;
  return true;
}

std::optional<std::chrono::seconds> route_state::limit_rate(time_point now) noexcept {
  if (rate_.per_s <= 0)
    return std::nullopt;
  auto wait = tokens_.take(rate_, now);
  if (wait)
    count_answer(429);
  return wait;
}

admission route_state::admit(pending_ptr request, time_point now, assigned& out) {
  if (is_draining())
    return admission::draining;
  request->since = now;
  if (waiting_.empty() && choose(now, out)) {
    out.request = std::move(request);
    return admission::taken;
  }
  if (waiting_.size() >= waiting_max_ || turns_away(now)) {
    ++statistics_.queue_full_total;
    return admission::queue_full;
  }
  auto& waits = *request;
  waits.place_ = waiting_.insert(waiting_.end(), std::move(request));
  waits.is_waiting_ = true;
  return admission::waiting;
}

bool route_state::turns_away(time_point now) const noexcept {
  return is_websocket_
         && std::ranges::any_of(targets_, [](const slot_ptr& each) { return each->port != nullptr; })
         && std::ranges::none_of(targets_, [&](const slot_ptr& each) { return is_open(*each, now); });
}

std::string route_state::full_text(time_point now) const {
  if (turns_away(now))
    return name() + " has all the connections that it takes: " + std::to_string(in_flight_max_)
           + " for each of its replicas (max_connections)";
  return name() + " has all the requests waiting that it takes: " + std::to_string(waiting_max_)
         + " (max_queued_requests)";
}

std::optional<assigned> route_state::next(time_point now) {
  assigned out;
  if (waiting_.empty() || !choose(now, out))
    return std::nullopt;
  out.request = std::move(waiting_.front());
  waiting_.pop_front();
  out.request->is_waiting_ = false;
  return out;
}

bool route_state::note_at_sink(target_place& place) noexcept {
  if (place.has_left || std::exchange(place.is_at_sink, true))
    return false;
  ++place.target->at_sink;
  ++place.target->answered;
  reopen(*place.target);
  return true;
}

void route_state::leave(target_place& place) noexcept {
  auto& target = *place.target;
  place.has_left = true;
  --target.in_flight;
  --statistics_.in_flight;
  if (place.is_at_sink)
    --target.at_sink;
  else
    ++target.answered;
  reopen(target);
}

/// There is room again at one that said that it is full.
void route_state::reopen(target_slot& target) noexcept {
  if (target.is_full) {
    target.is_full = false;
    target.closed_until = time_point::min();
  }
}

void route_state::leave_full(target_place& place, time_point until) noexcept {
  leave(place);
  auto& target = *place.target;
  target.closed_until = std::max(target.closed_until, until);
  target.is_full = true;
  target.ahead = 0;
}

target_ptr route_state::leave_gone(target_place& place, time_point until) noexcept {
  leave(place);
  auto& target = *place.target;
  target.closed_until = std::max(target.closed_until, until);
  target.ahead = 0;
  target.answered = 0;
  return std::exchange(target.port, nullptr);
}

bool route_state::put_back(pending_ptr request) {
  if (is_draining())
    return false;
  auto& waits = *request;
  waits.place_ = waiting_.insert(waiting_.begin(), std::move(request));
  waits.is_waiting_ = true;
  return true;
}

bool route_state::cancel(pending& request, bool is_expired) noexcept {
  if (!request.is_waiting_)
    return false;
  request.is_waiting_ = false;
  waiting_.erase(request.place_);
  ++(is_expired ? statistics_.expired_total : statistics_.cancelled_total);
  return true;
}

std::vector<pending_ptr> route_state::expire(time_point now) {
  std::vector<pending_ptr> out;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    if ((*at)->deadline > now) {
      ++at;
      continue;
    }
    (*at)->is_waiting_ = false;
    out.push_back(std::move(*at));
    at = waiting_.erase(at);
    ++statistics_.expired_total;
  }
  return out;
}

std::vector<pending_ptr> route_state::take_all() {
  std::vector<pending_ptr> out{waiting_.begin(), waiting_.end()};
  waiting_.clear();
  for (auto& request : out)
    request->is_waiting_ = false;
  return out;
}

void route_state::reach_again(time_point now, const std::function<target_ptr(const route_target&)>& reach) {
  for (auto& target : targets_)
    if (!target->port && target->closed_until <= now) {
      target->port = reach(target->where);
      if (!target->port)
        target->closed_until = now + gone_pause;
    }
}

route_statistics route_state::statistics(time_point now) const {
  auto out = statistics_;
  out.waiting = static_cast<std::uint32_t>(waiting_.size());
  out.targets = static_cast<std::uint32_t>(
    std::ranges::count_if(targets_, [&](const slot_ptr& target) { return target->port != nullptr; }));
  for (const auto& request : waiting_)
    out.wait_oldest =
      std::max(out.wait_oldest, std::chrono::duration_cast<std::chrono::milliseconds>(now - request->since));
  return out;
}

} // namespace sluice::ingress
