#include "actors/batch/batch_replica.hpp"

#include "actors/batch/batch_state.hpp"
#include "actors/batch/split_run.hpp"
#include "actors/replica/replica_shell.hpp"

#include <sluice/core/limits.hpp>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <deque>
#include <exception>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace sluice::batch {

namespace {

using replica::executor_call;
using replica::executor_later;
using replica::replica_executor;
using replica::tick_atom;
constexpr std::chrono::milliseconds take_wait_max{1000};
constexpr std::chrono::seconds small_timeout{5};
constexpr std::chrono::seconds commit_timeout{30};
constexpr std::size_t splits_per_block = limits::block_count_max;
constexpr std::size_t error_bytes_max = 1024;

using self_type = replica::handle::extend<caf::reacts_to<tick_atom>, caf::reacts_to<executor_call>,
                                          caf::reacts_to<executor_later>>;

/// One of the threads that run user code.
struct worker {
  std::unique_ptr<replica::runner_port> runner;
  replica::flight_slot own_slot; ///< where there is no recorder
  replica::flight_slot* slot = &own_slot;
  bool is_busy = false;
};

/// Holds what was put together, which goes with the last copy.
using publisher = std::function<result<finish_outcome>()>;

queue_name queue_of(const io_spec& spec) { return queue_name{spec.options.at("name")}; }

/// `taken_seq`: of the record that they come from, where they come from any.
std::vector<record_block> blocks_of(const std::vector<split>& splits, std::uint64_t taken_seq) {
  std::vector<record_block> out;
  record_block_builder builder;
  for (const auto& each : splits) {
    builder.add(taken_seq, 0, to_text(each));
    if (builder.count() == splits_per_block)
      out.push_back(builder.finish());
  }
  if (builder.count() > 0)
    out.push_back(builder.finish());
  return out;
}

class batch_actor : public replica::replica_shell<batch_actor, state, actions, options, self_type> {
public:
  static inline const char* name = "batch_replica"; // shown in logs and metrics

  ~batch_actor() { signals_->stop = true; }

  self_type::behavior_type start(self_type::pointer self, options opts);

  state& machine() noexcept { return *state_; }
  void perform(actions todo) {
    for (auto& one : todo)
      std::visit([this](auto& what) { this->apply(what); }, one);
  }
  host::replica_report report() const;
  bool exhausted() const { return state_->exhausted(); }

private:
  moment at() const { return {now(), opts_.files->now_unix_ms()}; }
  queue_name splits() const { return splits_queue(opts_.consumer.flow, opts_.consumer.processor); }
  std::string key() const { return job_key(opts_.consumer.flow, opts_.consumer.processor); }

  /// In whose name records of a queue are leased, so that they can be given back without the splits.
  queue::owner_id puller() const {
    auto out = opts_.owner;
    out.replica.value |= std::uint64_t{1} << 63;
    return out;
  }
  bool has_queue() const { return opts_.processor.source.kind == "queue"; }

  log::speaker speaker() const {
    return {opts_.processor.name, opts_.owner.replica, opts_.processor.log_level};
  }

  void apply(const make_body&);
  void apply(const read_job&);
  void apply(const look_at_source& what);
  void apply(const store_job& what);
  void apply(const take_records& what);
  void apply(const give_back_records&);
  void apply(const take_splits& what);
  void apply(const work_on& what);
  void apply(const put_together& what);
  void apply(const publish& what);
  void apply(const drop_joined&);
  void apply(const settle_splits& what);
  void apply(const renew_leases&);
  void apply(const release_leases&);
  void apply(const stop_work&) { signals_->stop = true; }
  void apply(const clean_up& what);
  void apply(const tear_down&);
  void apply(const finish&) { finished_ = true; }

  void make_workers(std::size_t count);
  std::chrono::milliseconds busy_longest() const;
  host::batch_report batch_report(const job& of) const;

  std::unique_ptr<state> state_;
  std::shared_ptr<split_signals> signals_ = std::make_shared<split_signals>();
  std::shared_ptr<std::deque<worker>> workers_; ///< their slots are used until their threads have left
  std::unique_ptr<replica::runner_port> files_runner_;
  std::shared_ptr<processor_body> body_;
  publisher publish_; ///< what has been put together
  std::uint64_t epoch_ = 0;
  std::uint64_t source_epoch_ = 0;
};

/// Gives the slots back once nobody uses them.
struct slots_of {
  std::shared_ptr<replica::flight_recorder_port> recorder;
  void operator()(std::deque<worker>* workers) const {
    for (auto& each : *workers)
      if (each.slot != &each.own_slot)
        recorder->give_back(each.slot);
    delete workers;
  }
};

void batch_actor::make_workers(std::size_t count) {
  while (workers_->size() < count) {
    auto& each = workers_->emplace_back(); // the others stay where they are: their threads use them
    each.runner = opts_.threads->make_runner("work-" + std::to_string(opts_.owner.replica.value));
    if (auto* claimed = opts_.recorder ? opts_.recorder->claim(opts_.owner.replica) : nullptr)
      each.slot = claimed;
  }
}

self_type::behavior_type batch_actor::start(self_type::pointer self, options opts) {
  self_ = self;
  opts_ = std::move(opts);
  executor_ = std::make_shared<replica_executor>(caf::weak_actor_ptr{self->ctrl()}, self->clock(),
                                                 opts_.threads->http_client());
  workers_ = std::shared_ptr<std::deque<worker>>{new std::deque<worker>, slots_of{opts_.recorder}};
  make_workers(1);
  files_runner_ = opts_.threads->make_runner("files-" + std::to_string(opts_.owner.replica.value));
  // The body tells whether it is async only once it is made; one thread is enough to make it.
  state_ = std::make_unique<state>(state_options{
    opts_.run, opts_.takes_up_failed, std::max(opts_.processor.num_concurrency, 1u),
    std::max(opts_.processor.max_attempts, 1u), opts_.processor.batch->max_rejected, has_queue(),
    block_bytes_for(opts_.processor.batch->split_bytes), ends_of(opts_.processor)});
  start_ticking();
  handle_event([this](state& s) { return s.on_spawned(at()); });
  return {
    [this](const replica::drain&) { handle_event([this](state& s) { return s.on_drain(at()); }); },
    [this](tick_atom) {
      start_ticking();
      handle_event([this](state& s) { return s.on_tick(at()); });
    },
    [this](executor_call& call) { run_call(call); },
    [this](executor_later& later) { run_later(later); },
  };
}

void batch_actor::apply(const make_body&) {
  set_up<processor_body>(*workers_->front().runner, opts_.make_body, speaker(),
                         [this](state& s, result<std::shared_ptr<processor_body>> body) {
                           if (!body)
                             return s.on_body(fail(body), at());
                           body_ = std::move(*body);
                           if (body_->is_async()) // its coroutines run on one thread, many at a time
                             s.use_threads(1);
                           else
                             make_workers(opts_.processor.num_concurrency);
                           return s.on_body({}, at());
                         });
}

void batch_actor::apply(const read_job&) {
  ask<std::string>(small_timeout, queue::cursor_request{key()},
                   [this](state& s, const result<std::string>& text) { return s.on_job(text, at()); });
}

void batch_actor::apply(const look_at_source& what) {
  run_on(
    *files_runner_, "source",
    [files = opts_.files, known = what.split_bytes,
     wanted = opts_.processor.batch->split_bytes]() -> result<source_plan> {
      auto source = files->identify();
      if (!source)
        return fail(source);
      source_plan out;
      out.source = *source;
      out.split_bytes = known.value_or(split_bytes_for(source->size_bytes, wanted));
      auto borders = files->plan(*source, out.split_bytes);
      if (!borders)
        return fail(borders);
      out.borders = std::move(*borders);
      return out;
    },
    [this](state& s, const result<source_plan>& plan) { return s.on_source(plan, at()); });
}

void batch_actor::apply(const store_job& what) {
  queue::commit_request request;
  request.owner = opts_.owner;
  request.consumer = opts_.consumer;
  request.cursor = queue::cursor_move{key(), what.expected, to_text(what.next)};
  if (!what.taken.empty()) {
    request.queue = queue_of(opts_.processor.source);
    request.owner = puller();
    request.epoch = source_epoch_;
    request.attempts_max = limits::attempts_max;
    request.acks = what.taken;
  }
  for (auto& block : blocks_of(what.splits, what.taken.empty() ? 0 : what.taken.front()))
    request.results.push_back({splits(), std::move(block)});
  if (opts_.processor.sink.kind == "queue")
    for (const auto& block : what.results)
      request.results.push_back({queue_of(opts_.processor.sink), block});
  ask<queue::commit_reply>(commit_timeout, std::move(request),
                           [this](state& s, const result<queue::commit_reply>& reply) {
                             return s.on_stored(reply ? result<void>{} : fail(reply), at());
                           });
}

void batch_actor::apply(const take_records& what) {
  queue::lease_request request;
  request.queue = queue_of(opts_.processor.source);
  request.owner = puller();
  request.consumer = opts_.consumer;
  request.attempts_max = limits::attempts_max; // taking them tries nothing
  request.count_max = what.count_max;
  request.size_bytes_max = static_cast<std::uint32_t>(what.size_bytes_max);
  ask<queue::lease_reply>(
    commit_timeout, std::move(request), [this](state& s, const result<queue::lease_reply>& reply) {
      if (!reply)
        return s.on_records(fail(reply), at());
      source_epoch_ = reply->epoch;
      return s.on_records(pulled_records{reply->records, reply->more_may_come, reply->epoch}, at());
    });
}

void batch_actor::apply(const give_back_records&) {
  queue::release_request request;
  request.owner = puller();
  ask<queue::count_reply>(small_timeout, std::move(request),
                          [this](state& s, const result<queue::count_reply>& reply) {
                            return s.on_given_back(reply ? result<void>{} : fail(reply), at());
                          });
}

void batch_actor::apply(const take_splits& what) {
  queue::lease_request request;
  request.queue = splits();
  request.owner = opts_.owner;
  request.consumer = opts_.consumer;
  request.attempts_max = limits::attempts_max; // a split that keeps failing fails the batch before that
  request.count_max = what.count_max;
  if (what.waits)
    request.wait_max = take_wait_max;
  ask<queue::lease_reply>(
    take_wait_max + small_timeout, std::move(request),
    [this](state& s, const result<queue::lease_reply>& reply) {
      if (!reply)
        return s.on_taken(fail(reply), at());
      epoch_ = reply->epoch;
      std::vector<leased_split> out;
      for (auto record : reply->records)
        out.push_back({record.seq, record.attempts, std::string{record.payload}, reply->epoch});
      return s.on_taken(std::move(out), at());
    });
}

void batch_actor::apply(const work_on& what) {
  auto free =
    std::find_if(workers_->begin(), workers_->end(), [](const worker& each) { return !each.is_busy; });
  free->is_busy = true;
  split_settings with;
  with.body = body_;
  with.files = opts_.files;
  with.environment = opts_.environment;
  with.signals = signals_;
  with.who = speaker();
  with.slot = free->slot;
  with.seq = what.seq;
  with.attempts_max = std::max(opts_.processor.max_attempts, 1u);
  with.num_concurrency = std::max(opts_.processor.num_concurrency, 1u);
  with.timeout = opts_.processor.timeout;
  with.rejected_max = opts_.processor.batch->max_rejected;
  run_on(
    *free->runner, "split",
    [with = std::move(with), which = what.which, held = workers_,
     source = has_queue() ? std::nullopt : std::optional{state_->known()->source}] {
      auto outcome = run_split(which, with);
      if (!source || outcome || outcome.error().code != errc::invalid_argument)
        return outcome;
      // What can be no record may be the middle of one, of a file that is not the one that was cut.
      if (const auto found = with.files->identify(); found && !(*found == *source))
        return result<split_result>{fail(errc::invalid_argument, describe_change(*source, *found))};
      return outcome;
    },
    [this, seq = what.seq, index = free - workers_->begin()](state& s, result<split_result> outcome) {
      (*workers_)[static_cast<std::size_t>(index)].is_busy = false;
      return s.on_worked(seq, std::move(outcome), at());
    });
}

void batch_actor::apply(const put_together& what) {
  const auto& known = *state_->known();
  run_on(
    *files_runner_, "parts",
    [files = opts_.files, body = body_, source = known.source, checked = !has_queue(), run = known.first_run,
     splits = known.split_count, records_out = known.totals.records_out]() -> result<publisher> {
      if (checked) { // what was read of files is one state of them, or of no use
        auto found = files->identify();
        if (!found)
          return fail(found);
        if (!(*found == source))
          return fail(errc::invalid_argument, describe_change(source, *found));
      }
      auto merged = body->make_reduction();
      const bool merges = merged != nullptr;
      auto made = files->join(run, splits, std::move(merged));
      if (!made)
        return fail(made);
      return publisher{[joined = std::shared_ptr<joined_files>{std::move(*made)}, merges, records_out] {
        auto done = joined->publish();
        if (done && !merges)
          done->records_out = records_out;
        return done;
      }};
    },
    [this, seq = what.seq](state& s, result<publisher> outcome) {
      if (!outcome)
        return s.on_joined(seq, fail(outcome), at());
      publish_ = std::move(*outcome);
      return s.on_joined(seq, {}, at());
    });
}

void batch_actor::apply(const publish& what) {
  run_on(*files_runner_, "parts", std::exchange(publish_, nullptr),
         [this, seq = what.seq](state& s, result<finish_outcome> outcome) {
           return s.on_published(seq, std::move(outcome), at());
         });
}

void batch_actor::apply(const drop_joined&) {
  files_runner_->run([dropped = std::exchange(publish_, nullptr)] {}); // it removes files
}

void batch_actor::apply(const settle_splits& what) {
  queue::commit_request request;
  request.queue = splits();
  request.owner = opts_.owner;
  request.consumer = opts_.consumer;
  request.epoch = epoch_;
  request.attempts_max = limits::attempts_max;
  request.acks = what.acks;
  for (const auto& [seq, error] : what.nacks)
    request.nacks.push_back({seq, error.substr(0, error_bytes_max), true});
  ask<queue::commit_reply>(commit_timeout, std::move(request),
                           [this](state& s, const result<queue::commit_reply>& reply) {
                             if (!reply)
                               return s.on_settled(fail(reply), at());
                             return s.on_settled(reply->stale.size(), at());
                           });
}

void batch_actor::apply(const renew_leases&) {
  const auto nothing = [](state&, const result<queue::count_reply>&) { return actions{}; };
  ask<queue::count_reply>(small_timeout, queue::renew_request{opts_.owner}, nothing);
  if (has_queue())
    ask<queue::count_reply>(small_timeout, queue::renew_request{puller()}, nothing);
}

void batch_actor::apply(const release_leases&) {
  queue::release_request request;
  if (has_queue()) {
    request.owner = puller();
    ask<queue::count_reply>(small_timeout, request,
                            [](state&, const result<queue::count_reply>&) { return actions{}; });
  }
  request.owner = opts_.owner;
  ask<queue::count_reply>(small_timeout, std::move(request),
                          [this](state& s, const result<queue::count_reply>& reply) {
                            return s.on_released(reply ? result<void>{} : fail(reply), at());
                          });
}

void batch_actor::apply(const clean_up& what) {
  run_on(
    *files_runner_, "parts",
    [files = opts_.files, run = what.run]() -> result<void> {
      files->clean(run);
      return {};
    },
    [this](state& s, const result<void>&) { return s.on_cleaned(at()); });
}

void batch_actor::apply(const tear_down&) {
  tear_all_down(*workers_->front().runner, body_, speaker(), nullptr, nullptr,
                [this](state& s, const result<void>& torn) { return s.on_torn_down(torn, at()); });
}

std::chrono::milliseconds batch_actor::busy_longest() const {
  std::int64_t oldest = 0;
  for (const auto& each : *workers_) {
    if (each.slot->seq.load(std::memory_order_acquire) == 0)
      continue;
    const auto started = each.slot->started_ns.load(std::memory_order_relaxed);
    oldest = oldest == 0 ? started : std::min(oldest, started);
  }
  if (oldest == 0)
    return std::chrono::milliseconds{0};
  const auto now = std::chrono::nanoseconds{opts_.environment->now().time_since_epoch()}.count();
  return std::chrono::milliseconds{std::max<std::int64_t>(0, now - oldest) / 1'000'000};
}

host::batch_report batch_actor::batch_report(const job& of) const {
  host::batch_report out;
  out.run = of.run;
  out.phase = state_->exhausted() ? of.phase : host::batch_phase::running;
  // A queue's is what was taken over so far, until all of it was.
  const bool is_known = !has_queue() || of.phase != host::batch_phase::running;
  out.source_bytes = is_known ? of.source.size_bytes : 0;
  out.done_bytes = of.totals.bytes_in;
  out.records_in = of.totals.records_in;
  out.records_out = of.totals.records_out;
  out.rejected = of.totals.rejected;
  const auto ended = of.ended_at_ms != 0 ? of.ended_at_ms : opts_.files->now_unix_ms();
  out.took = std::chrono::milliseconds{std::max<std::int64_t>(0, ended - of.began_at_ms)};
  out.error = of.error;
  return out;
}

host::replica_report batch_actor::report() const {
  host::replica_report out;
  out.id = opts_.owner.replica;
  out.processor = opts_.processor.name;
  out.phase = state_->phase();
  out.processed_total = signals_->records.load(std::memory_order_relaxed);
  out.failed_total = signals_->failed_attempts.load(std::memory_order_relaxed);
  out.stale_total = state_->stale_total();
  out.in_flight = state_->in_hand();
  out.busy_longest = std::max(busy_longest(), setup_age(out.phase));
  out.last_error = state_->last_error();
  out.retrying = state_->is_retrying();
  out.exhausted = state_->exhausted();
  if (state_->known())
    out.batch = batch_report(*state_->known());
  return out;
}

self_type::behavior_type run(self_type::stateful_pointer<batch_actor> self, options opts) {
  return self->state.start(self, std::move(opts));
}

} // namespace

replica::handle spawn(caf::actor_system& sys, options opts) { return sys.spawn(run, std::move(opts)); }

} // namespace sluice::batch
