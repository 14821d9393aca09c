#include "actors/replica/request_replica.hpp"

#include "actors/collect/collect_calls.hpp"
#include "actors/inline_executor.hpp"
#include "actors/replica/replica_shell.hpp"
#include "actors/replica/request_coroutines.hpp"
#include "actors/replica/request_state.hpp"

#include <sluice/core/limits.hpp>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <exception>
#include <optional>
#include <string>
#include <utility>

namespace sluice::replica {

namespace {

using self_type =
  handle::extend<caf::reacts_to<tick_atom>, caf::reacts_to<executor_call>, caf::reacts_to<executor_later>>;

std::optional<queue_name> queue_sink_of(const processor_spec& spec) {
  if (spec.sink.kind != "queue")
    return std::nullopt;
  auto found = spec.sink.options.find("name");
  return queue_name{found == spec.sink.options.end() ? std::string{} : found->second};
}

/// Whoever has the client writes to it: the host need not live on.
void bring_to_queue(const queue_name& queue, collected& what) {
  queue_results results{queue, std::move(what.records), {}, what.call->fingerprint};
  if (results.fingerprint != 0)
    if (auto key = what.call->in.headers.find("Idempotency-Key"))
      results.key = *key;
  what.call->collect(std::move(results));
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
    calls_->turn(now());
    work_->hold_back(calls_->size_bytes() > results_waiting_bytes_max);
  }
  host::replica_report report() const;
  static bool exhausted() noexcept { return false; }
  /// Coroutines run on the actor's thread, and at the end user code's destructor may.
  bool may_run_inline() const noexcept { return body_ && !body_->is_async() && !is_closing_; }
  /// What comes next may be the end.
  static bool may_go_on_inline() noexcept { return false; }

private:
  std::uint64_t seed() const { return opts_.owner.host.value ^ opts_.owner.replica.value; }

  void apply(const make_body&);
  void apply(const open_sink&);
  void apply(const open_gate&);
  void apply(const close_gate&);
  void apply(const tear_down&);
  void apply(const finish&) { finished_ = true; }

  void dismiss_clients();
  void write(std::uint64_t id);

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
    out.done = [this, to = executor_, inbox = opts_.to ? calls_->inbox() : nullptr,
                queue = opts_.to ? std::nullopt : queue_sink_of(opts_.processor)](collected what) {
      if (what.records.empty() || (!inbox && !queue)) {
        what.call->respond(collected_response());
      } else if (queue) {
        bring_to_queue(*queue, what);
      } else {
        if (inbox->add({std::move(what.call), std::move(what.records)}))
          to->run_event([this] { handle_event([](request_state&) { return request_actions{}; }); });
        return true;
      }
      return false;
    };
    out.idle = [this, to = executor_] {
      to->post_event([this] { handle_event([](request_state& s) { return s.on_idle(); }); });
    };
    return out;
  }

  std::optional<request_state> state_;
  std::optional<collect::collect_calls> calls_; ///< wait for their sink, where it is written to from here
  std::unique_ptr<request_work_port> work_;
  std::unique_ptr<runner_port> sink_runner_;
  std::shared_ptr<request_body> body_;
  bool sink_is_open_ = false;
  bool is_closing_ = false; ///< clients that are connected are told to go
};

self_type::behavior_type request_actor::start(self_type::pointer self, request_options opts) {
  self_ = self;
  opts_ = std::move(opts);
  state_.emplace(opts_.to != nullptr, seed(), limits::drain_max(opts_.processor.timeout));
  calls_.emplace(collect::collect_calls::options{
    .seed = seed(),
    .write = [this](std::uint64_t id) { write(id); },
    .answer_together = [this](const auto& work) { opts_.threads->answer_together(work); }});
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
        calls_->on_tick(now());
        dismiss_clients();
        return s.on_tick(calls_->empty(), now());
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

void request_actor::write(std::uint64_t id) {
  run_on(
    *sink_runner_, "sink", [to = opts_.to, records = calls_->group(id).records] { return to->push(records); },
    [this, id](request_state& s, const result<void>& outcome) {
      if (!outcome)
        s.note_error(outcome.error().message);
      calls_->on_stored(id, outcome, now());
      return request_actions{};
    });
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
  out.failed_total = load.failed_total + calls_->refused_total();
  out.in_flight = load.in_flight + static_cast<std::uint32_t>(calls_->count());
  out.busy_longest = std::max(load.busy_longest, setup_age(out.phase));
  out.last_error = state_->last_error();
  out.retrying = state_->is_retrying() || calls_->is_retrying();
  return out;
}

self_type::behavior_type run(inline_actor<self_type::stateful_base<request_actor>>* self,
                             request_options opts) {
  return self->state.start(self, std::move(opts));
}

} // namespace

handle spawn(caf::actor_system& sys, request_options opts) { return sys.spawn(run, std::move(opts)); }

} // namespace sluice::replica
