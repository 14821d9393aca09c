#include "actors/replica/replica.hpp"

#include "actors/replica/coroutine_work.hpp"
#include "actors/replica/replica_executor.hpp"
#include "actors/replica/replica_policy.hpp"
#include "actors/replica/replica_shell.hpp"
#include "actors/replica/replica_state.hpp"

#include <sluice/core/limits.hpp>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <exception>
#include <string>
#include <type_traits>
#include <utility>

namespace sluice::replica {

namespace {

constexpr std::chrono::seconds request_slack{10}; ///< on top of what the queue may wait
constexpr std::chrono::seconds commit_timeout{15};
constexpr std::chrono::seconds small_timeout{5};

/// The public interface plus what only this file sends.
using self_type = handle::extend<caf::reacts_to<tick_atom>, caf::reacts_to<work_done>,
                                 caf::reacts_to<executor_call>, caf::reacts_to<executor_later>>;

/// What pushing a group came to: the records whose results the sink refuses for good.
using push_outcome = result<std::vector<queue::nack>>;

/// On the sink's thread. A refused block is pushed again record by record, so that one
/// bad result fails alone.
push_outcome push_all(sink& to, const std::vector<record_block>& blocks) {
  std::vector<queue::nack> refused;
  for (const auto& block : blocks) {
    auto whole = to.push(block);
    if (whole)
      continue;
    if (whole.error().code != errc::invalid_argument)
      return fail(whole);
    for (auto at = block.begin(); at != block.end();) {
      const auto seq = (*at).seq;
      record_block_builder one;
      for (; at != block.end() && (*at).seq == seq; ++at)
        one.add(seq, 0, (*at).payload);
      auto alone = to.push(one.finish());
      if (alone)
        continue;
      if (alone.error().code != errc::invalid_argument)
        return fail(alone);
      refused.push_back({seq, alone.error().message, false});
    }
  }
  return refused;
}

state_options state_options_of(const options& opts) {
  state_options out;
  if (opts.from)
    out.source = opts.from->has_position() ? source_kind::position : source_kind::no_position;
  out.sink = opts.to                               ? sink_kind::port
             : opts.processor.sink.kind == "queue" ? sink_kind::queue
                                                   : sink_kind::none;
  out.batch_size = std::min<std::uint32_t>(std::max(opts.processor.batch_size, 1u), limits::block_count_max);
  out.num_concurrency = std::max(opts.processor.num_concurrency, 1u);
  out.attempts_max = std::max(opts.processor.max_attempts, 1u);
  out.drain_max = limits::drain_max(opts.processor.timeout);
  out.seed = opts.owner.host.value ^ opts.owner.replica.value;
  return out;
}

queue_name queue_of(const io_spec& spec) {
  auto found = spec.options.find("name");
  return queue_name{found == spec.options.end() ? std::string{} : found->second};
}

class replica_actor : public replica_shell<replica_actor, state, actions, options, self_type> {
public:
  static inline const char* name = "replica"; // shown in logs and metrics

  self_type::behavior_type start(self_type::pointer self, options opts);

  state& machine() noexcept { return *state_; }
  void perform(actions todo) {
    for (auto& one : todo)
      std::visit([this](auto& what) { this->apply(what); }, one);
  }
  host::replica_report report() const;
  bool exhausted() const { return state_->exhausted(); }

private:
  void apply(const make_body&);
  void apply(const open_sink&);
  void apply(const read_cursor&);
  void apply(const open_source& what);
  void apply(const take& what);
  void apply(submit& what) { work_->submit(std::move(what.records)); }
  void apply(const push& what);
  void apply(const commit& what);
  void apply(const check_cursor& what);
  void apply(const renew&);
  void apply(const withdraw&);
  void apply(const release& what);
  void apply(const settled& what);
  void apply(const tear_down&);
  void apply(const finish&) { finished_ = true; }

  /// A position is one of a file: with another path the processor reads another.
  std::string cursor_key() const {
    auto key = opts_.consumer.flow.value + "/" + opts_.consumer.processor.value;
    const auto& options = opts_.processor.source.options;
    const auto path = options.find("path");
    return path == options.end() ? key : key + ":" + path->second;
  }
  log::speaker speaker() const {
    return {opts_.processor.name, opts_.owner.replica, opts_.processor.log_level};
  }

  std::unique_ptr<state> state_;
  std::unique_ptr<work_port> work_;
  std::unique_ptr<runner_port> source_runner_;
  std::unique_ptr<runner_port> sink_runner_;
  std::shared_ptr<processor_body> body_;
  bool sink_is_open_ = false;
  std::uint64_t epoch_ = 0;
};

self_type::behavior_type replica_actor::start(self_type::pointer self, options opts) {
  self_ = self;
  opts_ = std::move(opts);
  state_ = std::make_unique<state>(state_options_of(opts_));
  executor_ = std::make_shared<replica_executor>(caf::weak_actor_ptr{self->ctrl()}, self->clock(),
                                                 opts_.threads->http_client(), speaker());
  work_ = opts_.threads->make_work({opts_.owner.replica, std::max(opts_.processor.num_concurrency, 1u),
                                    [to = executor_](work_done done) { to->send_message(std::move(done)); },
                                    speaker()});
  const auto id = std::to_string(opts_.owner.replica.value);
  if (opts_.from)
    source_runner_ = opts_.threads->make_runner("source-" + id);
  if (opts_.to)
    sink_runner_ = opts_.threads->make_runner("sink-" + id);
  start_ticking();
  handle_event([this](state& s) { return s.on_spawned(now()); });
  return {
    [this](const drain&) { handle_event([this](state& s) { return s.on_drain(now()); }); },
    [this](tick_atom) {
      start_ticking();
      handle_event([this](state& s) {
        work_->flush();
        return s.on_tick(now());
      });
    },
    [this](work_done& done) { handle_event([&](state& s) { return s.on_done(std::move(done), now()); }); },
    [this](executor_call& call) { run_call(call); },
    [this](executor_later& later) { run_later(later); },
  };
}

void replica_actor::apply(const make_body&) {
  set_up<processor_body>(
    *work_, opts_.make_body, speaker(), [this](state& s, result<std::shared_ptr<processor_body>> body) {
      if (!body)
        return s.on_body(fail(body), now());
      body_ = std::move(*body);
      if (body_->is_async())
        work_ =
          make_coroutine_work({{opts_.owner.replica, std::max(opts_.processor.num_concurrency, 1u),
                                [to = executor_](work_done done) { to->send_message(std::move(done)); }},
                               opts_.processor.timeout,
                               executor_,
                               [this] { return now(); },
                               opts_.recorder,
                               std::move(work_)});
      work_->start(body_);
      return s.on_body({}, now());
    });
}

void replica_actor::apply(const open_sink&) {
  run_on(
    *sink_runner_, "sink", [to = opts_.to] { return to->open(); },
    [this](state& s, result<void> outcome) {
      sink_is_open_ = outcome.has_value();
      return s.on_sink_open(std::move(outcome), now());
    });
}

void replica_actor::apply(const read_cursor&) {
  ask<std::string>(
    small_timeout, queue::cursor_request{cursor_key()},
    [this](state& s, result<std::string> stored) { return s.on_cursor(std::move(stored), now()); });
}

void replica_actor::apply(const open_source& what) {
  run_on(
    *source_runner_, "source",
    [from = opts_.from, after = what.after, who = speaker()] {
      const log::speaking in_its_name{who};
      return from->open(after);
    },
    [this](state& s, result<void> outcome) { return s.on_source_open(std::move(outcome), now()); });
}

void replica_actor::apply(const take& what) {
  if (opts_.from) {
    run_on(
      *source_runner_, "source",
      [from = opts_.from, count = what.count_max, who = speaker()] {
        const log::speaking in_its_name{who};
        return from->pull(count, take_wait_max);
      },
      [this](state& s, result<pulled> got) {
        if (!got)
          return s.on_taken(fail(got), false, now());
        return s.on_taken(std::move(got->records), got->end, now(), std::move(got->refused),
                          std::move(got->mark));
      });
    return;
  }
  queue::lease_request request;
  request.queue = queue_of(opts_.processor.source);
  request.owner = opts_.owner;
  request.consumer = opts_.consumer;
  request.attempts_max = std::max(opts_.processor.max_attempts, 1u);
  request.count_max = what.count_max;
  request.wait_max = take_wait_max;
  ask<queue::lease_reply>(take_wait_max + request_slack, std::move(request),
                          [this](state& s, result<queue::lease_reply> reply) {
                            if (!reply)
                              return s.on_taken(fail(reply), false, now());
                            epoch_ = reply->epoch;
                            return s.on_taken(std::move(reply->records), false, now());
                          });
}

void replica_actor::apply(const push& what) {
  run_on(
    *sink_runner_, "sink",
    [to = opts_.to, blocks = state_->group(what.group).content.results] { return push_all(*to, blocks); },
    [this, id = what.group](state& s, push_outcome outcome) {
      return s.on_pushed(id, std::move(outcome), now());
    });
}

void replica_actor::apply(const commit& what) {
  const auto& group = state_->group(what.group);
  queue::commit_request request;
  request.owner = opts_.owner;
  request.consumer = opts_.consumer;
  request.epoch = epoch_;
  request.attempts_max = std::max(opts_.processor.max_attempts, 1u);
  if (!opts_.from) {
    request.queue = queue_of(opts_.processor.source);
    request.acks = group.content.acks;
    request.nacks = group.content.nacks;
  }
  if (!opts_.to) {
    for (const auto& block : group.content.results)
      request.results.push_back({queue_of(opts_.processor.sink), block});
  }
  request.burials = group.content.burials;
  if (group.content.position && opts_.from && opts_.from->has_position())
    request.cursor = queue::cursor_move{cursor_key(), group.cursor_expected, group.cursor_next};
  ask<queue::commit_reply>(commit_timeout, std::move(request),
                           [this, id = what.group](state& s, result<queue::commit_reply> reply) {
                             if (!reply)
                               return s.on_committed(id, fail(reply), now());
                             return s.on_committed(id, std::move(reply->stale), now());
                           });
}

void replica_actor::apply(const check_cursor& what) {
  ask<std::string>(small_timeout, queue::cursor_request{cursor_key()},
                   [this, id = what.group](state& s, result<std::string> stored) {
                     return s.on_cursor_checked(id, std::move(stored), now());
                   });
}

void replica_actor::apply(const renew&) {
  // A renewal that fails is not repeated before the next is due: there are two more before
  // the leases end.
  ask<queue::count_reply>(small_timeout, queue::renew_request{opts_.owner},
                          [](state&, const result<queue::count_reply>&) { return actions{}; });
}

void replica_actor::apply(const withdraw&) { perform(state_->on_withdrawn(work_->withdraw(), now())); }

void replica_actor::apply(const release& what) {
  queue::release_request request;
  request.owner = opts_.owner;
  const bool all = what.seqs.empty();
  if (!all) {
    request.queue = queue_of(opts_.processor.source);
    request.seqs = what.seqs;
  }
  ask<queue::count_reply>(small_timeout, std::move(request),
                          [this, all](state& s, const result<queue::count_reply>& reply) {
                            return s.on_released(all, reply.has_value(), now());
                          });
}

void replica_actor::apply(const settled& what) {
  work_->results_settled(what.results_bytes);
  if (opts_.from && what.position)
    source_runner_->run([from = opts_.from, position = *what.position] { from->settled(position); });
}

void replica_actor::apply(const tear_down&) {
  tear_all_down(*work_, body_, speaker(), sink_is_open_ ? sink_runner_.get() : nullptr, opts_.to,
                [this](state& s, result<void> torn) { return s.on_torn_down(std::move(torn), now()); });
}

host::replica_report replica_actor::report() const {
  host::replica_report out;
  out.id = opts_.owner.replica;
  out.processor = opts_.processor.name;
  out.phase = state_->phase();
  out.processed_total = state_->processed_total();
  out.failed_total = state_->failed_total();
  out.stale_total = state_->stale_total();
  out.in_flight = static_cast<std::uint32_t>(state_->in_hand());
  out.busy_longest = std::max(work_->busy_longest(), setup_age(out.phase));
  out.last_error = state_->last_error();
  out.exhausted = state_->exhausted();
  out.retrying = state_->is_retrying();
  return out;
}

self_type::behavior_type run(self_type::stateful_pointer<replica_actor> self, options opts) {
  return self->state.start(self, std::move(opts));
}

} // namespace

handle spawn(caf::actor_system& sys, options opts) { return sys.spawn(run, std::move(opts)); }

} // namespace sluice::replica
