#include "actors/ingress/lane.hpp"

#include <algorithm>
#include <utility>

namespace sluice::ingress {

namespace {

/// Gives a request to its target. What ends there at once may send the next one off from inside `submit`:
/// such a chain runs as a loop, not as a recursion.
void submit_in_turn(target_ptr port, exchange_ptr what) {
  struct turn {
    target_ptr port;
    exchange_ptr what;
  };
  thread_local std::vector<turn>* queue = nullptr;
  if (queue != nullptr) {
    queue->push_back({std::move(port), std::move(what)});
    return;
  }
  std::vector<turn> later;
  struct turn_end { // before `later` goes, also when a target throws: what is dropped then may submit anew
    ~turn_end() { queue = nullptr; }
  } const end;
  queue = &later;
  port->submit(std::move(what));
  for (std::size_t i = 0; i < later.size(); ++i) {
    auto next = std::move(later[i]);
    next.port->submit(std::move(next.what));
  }
}

} // namespace

failure lane::not_now(bool is_failed) const {
  return is_failed ? failure{errc::unavailable,
                             "no replica of " + name() + " comes up; the status of its flow says why"}
                   : failure{errc::shutting_down, name() + " takes no requests now"};
}

std::string lane::name() const {
  std::lock_guard lock{mutex_};
  return state_.name();
}

void lane::hand_over(assigned next) {
  auto request = std::static_pointer_cast<call>(std::move(next.request));
  if (request->log != nullptr)
    request->log->given_to(next.target->where.replica);
  submit_in_turn(std::move(next.port), std::make_shared<attempt>(std::move(request), std::move(next.target),
                                                                 next.wants_sink_notice));
}

void lane::pump() {
  while (true) {
    std::optional<assigned> next;
    {
      std::lock_guard lock{mutex_};
      look_at_sinks();
      if (state_.waiting() != 0)
        next = state_.next(options_->now());
    }
    if (!next)
      return;
    hand_over(std::move(*next));
  }
}

std::optional<std::chrono::seconds> lane::limit_rate() {
  const auto now = options_->now();
  std::lock_guard lock{mutex_};
  return state_.limit_rate(now);
}

void lane::submit(exchange_ptr client) {
  auto request = std::make_shared<call>(std::move(client), shared_from_this());
  assigned next;
  admission admitted{};
  bool is_failed = false;
  std::string full;
  {
    std::lock_guard lock{mutex_};
    look_at_sinks();
    is_failed = state_.is_failed();
    admitted = state_.admit(request, options_->now(), next);
    if (admitted == admission::queue_full || admitted == admission::draining)
      state_.count_answer(503);
    if (admitted == admission::queue_full)
      full = state_.full_text(options_->now());
  }
  switch (admitted) {
  case admission::taken:
    hand_over(std::move(next));
    break;
  case admission::waiting:
    note_waiting();
    request->watch();
    pump();
    break;
  case admission::queue_full:
    request->client->refuse({errc::overloaded, std::move(full)});
    break;
  case admission::draining:
    request->client->refuse(not_now(is_failed));
    break;
  }
}

std::shared_ptr<rooms::member> lane::enter(std::shared_ptr<websocket_session> session, slot_ptr target) {
  constexpr unsigned switching_protocols = 101;
  flow_name flow;
  processor_name processor;
  {
    std::lock_guard lock{mutex_};
    flow = state_.flow();
    processor = state_.processor();
  }
  return options_->rooms->enter(std::move(flow), std::move(processor), std::move(session),
                                [self = shared_from_this(), target = std::move(target)] {
                                  target_place place{target};
                                  self->answered(place, switching_protocols);
                                });
}

void lane::update(const route_entry& entry) {
  std::vector<pending_ptr> refused;
  route_state::leftovers old;
  decltype(collectors_)
    sinks; // another version may have another one, and the one before shall not hold it up
  std::set<flow_version> versions;
  for (const auto& target : entry.targets)
    versions.insert(target.version);
  {
    std::lock_guard lock{mutex_};
    if (versions != versions_)
      sinks.swap(collectors_);
    versions_.swap(versions);
    old = state_.update(entry, options_->here, options_->reach);
    if (state_.is_draining())
      refused = state_.take_all();
  }
  refuse_all(refused, not_now(entry.is_failed));
  pump();
}

void lane::close() {
  std::vector<pending_ptr> refused;
  route_state::leftovers old;
  decltype(collectors_) sinks;
  {
    std::lock_guard lock{mutex_};
    is_closed_ = true;
    sinks.swap(collectors_);
    old = state_.close();
    refused = state_.take_all();
  }
  refuse_all(refused, not_now(false));
}

void lane::note_waiting() const {
  if (options_->on_waiting)
    options_->on_waiting();
}

bool lane::tick() {
  std::vector<pending_ptr> expired;
  bool has_replicas = false;
  {
    std::lock_guard lock{mutex_};
    const auto now = options_->now();
    state_.reach_again(now, options_->reach);
    expired = state_.expire(now);
    has_replicas = !state_.targets().empty();
    for (std::size_t i = 0; i < expired.size(); ++i)
      state_.count_answer(504);
  }
  if (!expired.empty())
    refuse_all(expired, {errc::timeout, "no replica of " + name()
                                          + (has_replicas ? " had room in time"
                                                          : " runs; the status of its flow says why")});
  pump();
  std::lock_guard lock{mutex_};
  return state_.waiting() > 0;
}

void lane::refuse_all(const std::vector<pending_ptr>& requests, const failure& why) {
  for (const auto& request : requests)
    static_cast<call&>(*request).client->refuse(why);
}

route_statistics lane::statistics() const {
  std::lock_guard lock{mutex_};
  auto out = state_.statistics(options_->now());
  for (const auto& [queue, sink] : collectors_)
    if (auto why = sink->trouble(); !why.empty())
      out.sink_error = std::move(why);
  return out;
}

// ---- from targets -----------------------------------------------------------------------

void lane::handed_to_sink(target_place& place) noexcept {
  {
    std::lock_guard lock{mutex_};
    if (!state_.note_at_sink(place) || state_.waiting() == 0)
      return;
  }
  pump();
}

void lane::collect(exchange_ptr request, target_place& place, queue_results results) noexcept {
  auto to = collector_for(results.queue);
  if (!to) // this process ends
    return;
  bool has_room = false;
  {
    std::lock_guard lock{mutex_};
    has_room = state_.note_at_sink(place) && state_.waiting() != 0;
  }
  to->add(std::move(request), std::move(results));
  if (has_room)
    pump();
}

collect::collector_ptr lane::collector_for(const queue_name& queue) {
  const auto known = [&] {
    return std::ranges::find(collectors_, queue, &decltype(collectors_)::value_type::first);
  };
  flow_name flow;
  processor_name processor;
  {
    std::lock_guard lock{mutex_};
    if (auto found = known(); found != collectors_.end())
      return found->second;
    flow = state_.flow();
    processor = state_.processor();
  }
  auto made = options_->collector ? options_->collector(flow, processor, queue) : nullptr;
  if (!made)
    return nullptr;
  std::lock_guard lock{mutex_};
  if (!is_closed_ && known() == collectors_.end())
    collectors_.emplace_back(queue, made);
  return made;
}

/// Under the lock: whether so much waits for a sink that no request is to begin.
void lane::look_at_sinks() {
  state_.hold_back(std::ranges::any_of(collectors_, [](const auto& each) { return each.second->is_full(); }));
}

void lane::answered(target_place& place, unsigned status, std::optional<time_point> since) noexcept {
  std::optional<assigned> next;
  const auto now = options_->now();
  {
    std::lock_guard lock{mutex_};
    state_.leave(place);
    state_.count_answer(status);
    if (since)
      state_.count_latency(now - *since);
    look_at_sinks();
    if (state_.waiting() != 0)
      next = state_.next(now);
  }
  if (!next)
    return;
  hand_over(std::move(*next));
  pump();
}

void lane::refused(const std::shared_ptr<call>& request, target_place& place, failure why) noexcept {
  bool is_over = why.code == errc::timeout || why.code == errc::cancelled;
  bool waits = false;
  bool is_failed = false;
  target_ptr old;
  {
    std::lock_guard lock{mutex_};
    state_.count_refused();
    // Asked under the lock: a client that goes later finds the request waiting, in `cancelled`.
    const bool is_unwanted = request->is_cancelled();
    is_over = is_over || is_unwanted;
    if (is_over)
      state_.leave(place);
    else if (why.code == errc::overloaded)
      state_.leave_full(place, options_->now() + full_pause);
    else
      old = state_.leave_gone(place, options_->now() + gone_pause);
    is_over = is_over || (why.code == errc::overloaded && state_.turns_away(options_->now()));
    waits = !is_over && state_.put_back(request);
    is_failed = state_.is_failed();
    if (is_unwanted)
      count_unwanted(*request);
    else if (!waits)
      state_.count_answer(why.code == errc::timeout ? 504 : 503);
  }
  if (waits) {
    note_waiting();
    request->watch();
  } else if (is_over) {
    request->client->refuse(std::move(why));
  } else {
    request->client->refuse(not_now(is_failed));
  }
  pump();
}

void lane::lost(const std::shared_ptr<call>& request, target_place& place, bool has_begun,
                bool can_repeat) noexcept {
  const auto& client = request->client;
  bool is_unwanted = false;
  bool may_repeat = can_repeat && !has_begun;
  bool waits = false;
  auto errors = error_form::plain;
  target_ptr old;
  {
    std::lock_guard lock{mutex_};
    is_unwanted = request->is_cancelled(); // under the lock, as in `refused`
    may_repeat = may_repeat && !is_unwanted;
    errors = state_.errors();
    // What a collector stores once more is stored twice, whatever its method, unless the sink knows it by a key.
    if (errors == error_form::collector)
      may_repeat = may_repeat && client->in.headers.contains("Idempotency-Key");
    // A request that nobody waits for, or an answer that breaks off, says nothing about the replica: if it has gone,
    // the next request is refused.
    if (is_unwanted || has_begun)
      state_.leave(place);
    else
      old = state_.leave_gone(place, options_->now() + gone_pause);
    if (!is_unwanted)
      state_.count_lost();
    if (may_repeat && request->losses < losses_max) {
      ++request->losses;
      waits = state_.put_back(request);
    }
    if (is_unwanted)
      count_unwanted(*request);
    else if (!waits)
      state_.count_answer(has_begun ? 0 : 502);
  }
  if (waits) {
    note_waiting();
    request->watch();
  } else if (!has_begun && !is_unwanted) { // else whoever lets go of it last says so, or cuts the connection
    client->respond(error_response(
      502,
      "replica " + std::to_string(place.target->where.replica.value) + " of " + name()
        + (may_repeat ? " ended while it had the request, as did those before it"
                      : " ended while it had the request, which may or may not have been carried out"),
      errors));
  }
  pump();
}

void lane::cancelled(call& request) noexcept {
  std::lock_guard lock{mutex_};
  if (state_.cancel(request, request.deadline <= options_->now()))
    count_unwanted(request);
}

/// Under the lock: a request that nobody waits for any more, as its time is over or its client has gone.
void lane::count_unwanted(const call& request) noexcept {
  if (request.deadline <= options_->now())
    state_.count_answer(504);
  else
    state_.count_left();
}

} // namespace sluice::ingress
