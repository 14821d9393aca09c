#include "actors/replica/request_replica.hpp"

#include "actors/inline_executor.hpp"
#include "actors/replica/collect_inbox.hpp"
#include "actors/replica/collect_state.hpp"
#include "actors/replica/replica_shell.hpp"
#include "actors/replica/request_coroutines.hpp"
#include "actors/replica/request_state.hpp"

#include <sluice/core/limits.hpp>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <exception>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace sluice::replica {

namespace {

/// A write to the queue whose answer takes longer is repeated.
constexpr std::chrono::seconds append_timeout{15};

/// Calls of one write whose answers are left to the process that brought them, which saves their way back. More of them would hold
/// up the reply that the next write waits for.
constexpr std::size_t answered_elsewhere_max = 2;

/// Longer than a tick, and the way to the client.
constexpr std::chrono::milliseconds late_answer_ahead{300};

using self_type =
  handle::extend<caf::reacts_to<tick_atom>, caf::reacts_to<executor_call>, caf::reacts_to<executor_later>>;

response failure_answer(unsigned status, std::string_view text) {
  return error_response(status, text, error_form::collector);
}

/// The client's mistake, not one of the sink: as the draft of the header's standard wants it (draft-ietf-httpapi-idempotency-key-header).
response reused_answer(std::string_view key) {
  return failure_answer(422,
                        "Idempotency-Key '" + std::string{key}
                          + "' belongs to another request: with one key, method, path, query and body must "
                            "be the same each time");
}

queue_name sink_queue_of(const processor_spec& spec) {
  auto found = spec.sink.options.find("name");
  return queue_name{found == spec.sink.options.end() ? std::string{} : found->second};
}

class request_actor
  : public replica_shell<request_actor, request_state, request_actions, request_options, self_type> {
public:
  static inline const char* name = "request_replica"; // shown in logs and metrics

  ~request_actor() {
    if (opts_.targets)
      opts_.targets->remove(opts_.owner.replica);
  }

  self_type::behavior_type start(self_type::pointer self, request_options opts);

  request_state& machine() noexcept { return *state_; }
  void perform(request_actions todo) {
    for (auto& one : todo)
      std::visit([this](auto& what) { this->apply(what); }, one);
    send_writes();
  }
  host::replica_report report() const;
  static bool exhausted() noexcept { return false; }
  /// Coroutines run on the actor's thread, and at the end user code's destructor may.
  bool may_run_inline() const noexcept { return body_ && !body_->is_async() && !is_closing_; }
  /// What comes next may be the end.
  static bool may_go_on_inline() noexcept { return false; }

private:
  std::uint64_t seed() const { return opts_.owner.host.value ^ opts_.owner.replica.value; }
  bool sinks_to_queue() const { return !opts_.to && opts_.processor.sink.kind == "queue"; }

  void apply(const make_body&);
  void apply(const open_sink&);
  void apply(const open_gate&);
  void apply(const close_gate&);
  void apply(const tear_down&);
  void apply(const finish&) { finished_ = true; }

  void dismiss_clients();
  void take_collected();
  void repeat_unanswered();
  void answer_late();
  void on_collected(collected what);
  void send_writes();
  void send_write(std::uint64_t id);
  void send_append(std::uint64_t id);
  void on_stored(std::uint64_t id, const result<void>& outcome, bool is_answered = false);
  void answer(const std::vector<std::uint64_t>& calls, const response& with);
  void end_answered(const std::vector<std::uint64_t>& calls);

  log::speaker speaker() const {
    return {opts_.processor.name, opts_.owner.replica, opts_.processor.log_level};
  }

  request_work_options work_options() {
    request_work_options out;
    out.replica = opts_.owner.replica;
    out.who = speaker();
    out.num_concurrency = std::max(opts_.processor.num_concurrency, 1u);
    // A collector's calls wait for a write to the sink, which takes many of them at once.
    out.waiting_max = opts_.processor.kind == pattern::collector ? limits::block_count_max
                                                                 : requests_waiting_max(out.num_concurrency);
    out.done = [this, inbox = inbox_, to = executor_](collected what) {
      if (what.results.count() == 0)
        what.call->respond(collected_response());
      else if (inbox->add(std::move(what)))
        to->run_event([this] { handle_event([](request_state&) { return request_actions{}; }); });
    };
    out.idle = [this, to = executor_] {
      to->post_event([this] { handle_event([](request_state& s) { return s.on_idle(); }); });
    };
    return out;
  }

  std::optional<request_state> state_;
  std::optional<collect_state> collect_;
  std::shared_ptr<collect_inbox> inbox_ = std::make_shared<collect_inbox>();
  std::unordered_map<std::uint64_t, exchange_ptr> calls_; ///< wait for their results to be written
  std::uint64_t call_last_ = 0;
  std::unique_ptr<request_work_port> work_;
  std::unique_ptr<runner_port> sink_runner_;
  std::shared_ptr<request_body> body_;
  std::uint64_t refused_by_sink_ = 0;
  bool sink_is_open_ = false;
  bool is_closing_ = false; ///< clients that are connected are told to go
};

self_type::behavior_type request_actor::start(self_type::pointer self, request_options opts) {
  self_ = self;
  opts_ = std::move(opts);
  state_.emplace(opts_.to != nullptr, seed(), limits::drain_max(opts_.processor.timeout));
  collect_.emplace(sinks_to_queue(), seed());
  executor_ = std::make_shared<replica_executor>(caf::weak_actor_ptr{self->ctrl()}, self->clock(),
                                                 opts_.threads->http_client(), speaker());
  work_ = opts_.threads->make_request_work(work_options());
  if (opts_.to)
    sink_runner_ = opts_.threads->make_runner("sink-" + std::to_string(opts_.owner.replica.value));
  start_ticking();
  handle_event([](request_state& s) { return s.on_spawned(); });
  return {
    [this](const drain&) { handle_event([this](request_state& s) { return s.on_drain(now()); }); },
    [this](tick_atom) {
      start_ticking();
      handle_event([this](request_state& s) {
        take_collected();
        repeat_unanswered();
        answer_late();
        dismiss_clients();
        return s.on_tick(collect_->empty(), now());
      });
    },
    [this](executor_call& call) { run_call(call); },
    [this](executor_later& later) { run_later(later); },
  };
}

void request_actor::apply(const make_body&) {
  set_up<request_body>(
    *work_, opts_.make_body, speaker(), [this](request_state& s, result<std::shared_ptr<request_body>> body) {
      if (!body)
        return s.on_body(fail(body), now());
      body_ = std::move(*body);
      if (body_->is_async())
        work_ = make_request_coroutines(
          {work_options(), executor_, [clock = &self_->clock()] { return clock->now(); }, std::move(work_)});
      return s.on_body({}, now());
    });
}

void request_actor::apply(const open_sink&) {
  run_on(
    *sink_runner_, "sink", [to = opts_.to] { return to->open(); },
    [this](request_state& s, const result<void>& outcome) {
      sink_is_open_ = outcome.has_value();
      return s.on_sink_open(outcome, now());
    });
}

void request_actor::apply(const open_gate&) {
  work_->start(body_);
  opts_.targets->add(opts_.owner.replica, work_->target());
}

void request_actor::apply(const close_gate&) {
  opts_.targets->remove(opts_.owner.replica);
  work_->close();
  is_closing_ = true;
}

void request_actor::dismiss_clients() {
  if (is_closing_ && body_ && body_->connections() != nullptr)
    body_->connections()->dismiss(now(), seed());
}

void request_actor::take_collected() {
  for (auto& each : inbox_->take())
    on_collected(std::move(each));
}

void request_actor::repeat_unanswered() {
  if (!sinks_to_queue()) // a write to another sink takes as long as it takes
    return;
  for (auto id : collect_->unanswered(now(), append_timeout))
    on_stored(id, fail(errc::timeout, "the queue did not answer in time"));
}

/// A moment before the ingress gives up, which does not know why.
void request_actor::answer_late() {
  const bool is_retrying = collect_->is_retrying();
  const auto until = is_retrying ? now() + late_answer_ahead : now();
  const auto why = is_retrying && !state_->last_error().empty() ? ": " + state_->last_error() : std::string{};
  answer(collect_->take_late(until), failure_answer(503, "the sink did not take the results in time" + why));
  if (!is_retrying)
    return;
  std::vector<std::uint64_t> late; // in a write that is tried again
  for (const auto& [id, call] : calls_)
    if (call->deadline <= until)
      late.push_back(id);
  answer(late, failure_answer(503, "the sink did not take the results in time, and may yet take them" + why));
}

void request_actor::on_collected(collected what) {
  const auto id = ++call_last_;
  idempotency sent;
  if (auto given = what.call->in.headers.find("Idempotency-Key"))
    sent = {std::string{*given}, what.call->fingerprint};
  collect_->add(id, std::move(what.results), std::move(sent), what.call->deadline);
  calls_.emplace(id, std::move(what.call));
}

void request_actor::send_writes() {
  do {
    take_collected();
    for (auto id : collect_->next(now()))
      send_write(id);
  } while (!inbox_->rest(collect_->is_out()));
  work_->hold_back(collect_->size_bytes() > results_waiting_bytes_max);
}

void request_actor::send_write(std::uint64_t id) {
  if (sinks_to_queue())
    send_append(id);
  else if (opts_.to)
    run_on(
      *sink_runner_, "sink",
      [to = opts_.to, records = collect_->group(id).records] { return to->push(records); },
      [this, id](request_state&, const result<void>& outcome) {
        on_stored(id, outcome);
        return request_actions{};
      });
  else
    on_stored(id, {}); // the sink is "empty"
}

void request_actor::send_append(std::uint64_t id) {
  const auto& group = collect_->group(id);
  const auto whose = opts_.consumer.flow.value + "/" + opts_.consumer.processor.value;
  queue::append_request request;
  request.queue = sink_queue_of(opts_.processor);
  request.records = group.records;
  request.producer = group.key.empty() ? "collector/" + whose + "/" + std::to_string(opts_.owner.host.value)
                                           + "/" + std::to_string(opts_.owner.replica.value)
                                       : "key/" + whose + "/" + group.key;
  request.fingerprint = group.fingerprint;
  request.producer_seq = group.seq;
  if (group.calls.size() <= answered_elsewhere_max)
    for (auto call : group.calls)
      if (auto found = calls_.find(call); found != calls_.end() && found->second->number_elsewhere() != 0)
        request.answers.push_back(found->second->number_elsewhere());
  auto stored = [this, id](const result<void>& outcome, bool is_answered) {
    handle_event([&](request_state&) {
      on_stored(id, outcome, is_answered);
      return request_actions{};
    });
  };
  // The timeouts of the actor system would cost its clock two turns for each write; the tick looks after those.
  self_->request(opts_.queue, caf::infinite, std::move(request))
    .then([stored](const queue::append_reply& reply) { stored({}, reply.has_answered); },
          [stored](const caf::error& why) { stored(tl::unexpected{from_caf(why)}, false); });
}

void request_actor::on_stored(std::uint64_t id, const result<void>& outcome, bool is_answered) {
  auto told = collect_->on_stored(id, outcome, now());
  if (is_answered)
    end_answered(told.stored);
  else
    answer(told.stored, collected_response());
  if (!told.reused_key.empty()) {
    answer(told.failed, reused_answer(told.reused_key));
    return;
  }
  if (!outcome)
    state_->note_error(outcome.error().message);
  if (told.failed.empty())
    return;
  refused_by_sink_ += told.failed.size();
  answer(told.failed, failure_answer(500, "the sink refuses the results: " + told.why.message));
}

void request_actor::answer(const std::vector<std::uint64_t>& calls, const response& with) {
  opts_.threads->answer_together([&] {
    for (auto id : calls) {
      auto found = calls_.find(id);
      if (found == calls_.end())
        continue;
      auto call = std::move(found->second);
      calls_.erase(found);
      call->respond(with);
    }
  });
}

void request_actor::end_answered(const std::vector<std::uint64_t>& calls) {
  for (auto id : calls)
    if (auto call = calls_.extract(id)) {
      if (call.mapped()->number_elsewhere() != 0)
        call.mapped()->answered_elsewhere();
      else // of this process, and so not named
        call.mapped()->respond(collected_response());
    }
}

void request_actor::apply(const tear_down&) {
  tear_all_down(*work_, body_, speaker(), sink_is_open_ ? sink_runner_.get() : nullptr, opts_.to,
                [](request_state& s, const result<void>& torn) { return s.on_torn_down(torn); });
}

host::replica_report request_actor::report() const {
  const auto load = work_->load();
  host::replica_report out;
  out.id = opts_.owner.replica;
  out.processor = opts_.processor.name;
  out.phase = state_->phase();
  out.processed_total = load.handled_total - std::min(load.handled_total, load.failed_total);
  out.failed_total = load.failed_total + refused_by_sink_;
  out.in_flight = load.in_flight + static_cast<std::uint32_t>(calls_.size() + inbox_->count());
  out.busy_longest = std::max(load.busy_longest, setup_age(out.phase));
  out.last_error = state_->last_error();
  out.retrying = state_->is_retrying() || (collect_ && collect_->is_retrying());
  return out;
}

self_type::behavior_type run(inline_actor<self_type::stateful_base<request_actor>>* self,
                             request_options opts) {
  return self->state.start(self, std::move(opts));
}

} // namespace

handle spawn(caf::actor_system& sys, request_options opts) { return sys.spawn(run, std::move(opts)); }

} // namespace sluice::replica
