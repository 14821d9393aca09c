#include "actors/replica/replica.hpp"

#include "actors/replica/coroutine_work.hpp"
#include "actors/replica/replica_executor.hpp"
#include "actors/replica/replica_policy.hpp"
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

using tick_atom = caf::atom_constant<caf::atom("tick")>;

/// Also the resolution of back-off, timeouts and `work_port::flush`.
constexpr std::chrono::milliseconds tick_interval{100};

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

/// Calls what may throw and comes from outside. The failure carries its text.
template <class F>
auto contained(const char* what, F call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception& e) {
    return fail(errc::internal, std::string{what} + ": " + e.what());
  } catch (...) {
    return fail(errc::internal, std::string{what} + ": exception of an unknown type");
  }
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
  out.drain_max = std::max<std::chrono::nanoseconds>(limits::drain_timeout, opts.processor.timeout);
  out.seed = opts.owner.host.value ^ opts.owner.replica.value;
  return out;
}

queue_name queue_of(const io_spec& spec) {
  auto found = spec.options.find("name");
  return queue_name{found == spec.options.end() ? std::string{} : found->second};
}

class replica_actor {
public:
  static inline const char* name = "replica"; // shown in logs and metrics

  self_type::behavior_type start(self_type::pointer self, options opts);

private:
  time_point now() const { return self_->clock().now(); }

  /// One event: state first, then what it wants done, then what user code posted meanwhile.
  template <class F>
  void handle_event(F event) {
    replica_executor::turn turn{*executor_};
    try {
      perform(event(*state_));
      executor_->run_posted();
    } catch (const std::exception& e) {
      give_up(e.what());
    } catch (...) {
      give_up("exception of an unknown type");
    }
    report_if_changed();
  }

  void give_up(std::string why) {
    auto last = report();
    last.phase = replica_phase::failed;
    last.last_error = "replica: " + std::move(why);
    self_->send(opts_.owner_actor, status{std::move(last)});
    self_->quit(caf::exit_reason::unhandled_exception);
  }

  /// Runs `job` on `runner`, then `event` with its result here.
  template <class Job, class Event>
  void run_on(runner_port& runner, const char* what, Job job, Event event) {
    runner.run([this, to = executor_, what, job = std::move(job), event = std::move(event)] {
      auto outcome = contained(what, job);
      to->post_event([this, event, outcome = std::move(outcome)]() mutable {
        handle_event([&](state& s) { return event(s, std::move(outcome)); });
      });
    });
  }

  template <class Reply, class Request, class Event>
  void ask(std::chrono::nanoseconds timeout, Request request, Event event) {
    self_->request(opts_.queue, timeout, std::move(request))
      .then(
        [this, event](Reply& reply) {
          handle_event([&](state& s) { return event(s, result<Reply>{std::move(reply)}); });
        },
        [this, event](caf::error& why) {
          handle_event([&](state& s) { return event(s, result<Reply>{tl::unexpect, from_caf(why)}); });
        });
  }

  void perform(actions todo) {
    for (auto& one : todo)
      std::visit([this](auto& what) { apply(what); }, one);
  }

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
  host::replica_report report() const;
  void report_if_changed();

  self_type::pointer self_ = nullptr;
  options opts_;
  std::unique_ptr<state> state_;
  std::shared_ptr<replica_executor> executor_;
  std::unique_ptr<work_port> work_;
  std::unique_ptr<runner_port> source_runner_;
  std::unique_ptr<runner_port> sink_runner_;
  std::shared_ptr<processor_body> body_;
  bool sink_is_open_ = false;
  bool finished_ = false;
  std::uint64_t epoch_ = 0;

  std::optional<replica_phase> phase_reported_;
  bool exhausted_reported_ = false;
  time_point reported_at_{};
};

self_type::behavior_type replica_actor::start(self_type::pointer self, options opts) {
  self_ = self;
  opts_ = std::move(opts);
  state_ = std::make_unique<state>(state_options_of(opts_));
  auto weak = caf::weak_actor_ptr{self->ctrl()};
  const log::speaker who{opts_.processor.name, opts_.owner.replica, opts_.processor.log_level};
  executor_ = std::make_shared<replica_executor>(weak, opts_.threads->http_client(), who);
  work_ =
    opts_.threads->make_work({opts_.owner.replica, std::max(opts_.processor.num_concurrency, 1u),
                              [to = executor_](work_done done) { to->send_message(std::move(done)); }, who});
  const auto id = std::to_string(opts_.owner.replica.value);
  if (opts_.from)
    source_runner_ = opts_.threads->make_runner("source-" + id);
  if (opts_.to)
    sink_runner_ = opts_.threads->make_runner("sink-" + id);
  self->delayed_send(self, tick_interval, tick_atom::value);
  handle_event([this](state& s) { return s.on_spawned(now()); });
  return {
    [this](const drain&) { handle_event([this](state& s) { return s.on_drain(now()); }); },
    [this](tick_atom) {
      self_->delayed_send(self_, tick_interval, tick_atom::value);
      handle_event([this](state& s) {
        work_->flush();
        return s.on_tick(now());
      });
    },
    [this](work_done& done) { handle_event([&](state& s) { return s.on_done(std::move(done), now()); }); },
    [this](executor_call& call) {
      if (call.is_event)
        call.run();
      else
        handle_event([&](state&) {
          call.run();
          return actions{};
        });
    },
    [this](executor_later& later) {
      self_->delayed_send(self_, later.delay, executor_call{std::move(later.run), false});
    },
  };
}

void replica_actor::apply(const make_body&) {
  // The user's constructor and setup may block and throw: both run on the thread that
  // will call the body.
  using made = std::shared_ptr<processor_body>;
  run_on(
    *work_, "setup",
    [make = opts_.make_body]() -> result<made> {
      made body = make();
      if (auto ok = body->setup(); !ok)
        return fail(ok);
      return body;
    },
    [this](state& s, result<made> body) {
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
    *source_runner_, "source", [from = opts_.from, after = what.after_seq] { return from->open(after); },
    [this](state& s, result<void> outcome) { return s.on_source_open(std::move(outcome), now()); });
}

void replica_actor::apply(const take& what) {
  if (opts_.from) {
    run_on(
      *source_runner_, "source",
      [from = opts_.from, count = what.count_max] { return from->pull(count, take_wait_max); },
      [this](state& s, result<pulled> got) {
        if (!got)
          return s.on_taken(fail(got), false, now());
        return s.on_taken(std::move(got->records), got->end, now(), std::move(got->refused));
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
    request.cursor =
      queue::cursor_move{cursor_key(), group.cursor_expected, std::to_string(*group.content.position)};
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
  auto close_sink = [this](result<void> torn) {
    if (!sink_is_open_) {
      handle_event([&](state& s) { return s.on_torn_down(std::move(torn), now()); });
      return;
    }
    run_on(
      *sink_runner_, "sink", [to = opts_.to] { return to->close(); },
      [this, torn = std::move(torn)](state& s, const result<void>& closed) {
        return s.on_torn_down(torn ? closed : torn, now());
      });
  };
  if (!body_) {
    executor_->post([close_sink] { close_sink({}); });
    return;
  }
  run_on(
    *work_, "teardown", [body = body_] { return body->teardown(); },
    [this, close_sink](state&, result<void> torn) {
      executor_->post([close_sink, torn = std::move(torn)] { close_sink(torn); });
      return actions{};
    });
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
  out.busy_longest = work_->busy_longest();
  out.last_error = state_->last_error();
  out.exhausted = state_->exhausted();
  return out;
}

void replica_actor::report_if_changed() {
  const auto at = now();
  const bool changed = phase_reported_ != state_->phase() || exhausted_reported_ != state_->exhausted();
  if (!changed && at - reported_at_ < limits::heartbeat_interval)
    return;
  phase_reported_ = state_->phase();
  exhausted_reported_ = state_->exhausted();
  reported_at_ = at;
  self_->send(opts_.owner_actor, status{report()});
  if (finished_)
    self_->quit();
}

self_type::behavior_type run(self_type::stateful_pointer<replica_actor> self, options opts) {
  return self->state.start(self, std::move(opts));
}

} // namespace

handle spawn(caf::actor_system& sys, options opts) { return sys.spawn(run, std::move(opts)); }

} // namespace sluice::replica
