#include "actors/queue/queue.hpp"

#include "actors/inline_executor.hpp"
#include "actors/wake_up.hpp"

#include <sluice/core/limits.hpp>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <exception>
#include <limits>
#include <utility>

namespace sluice::queue {

namespace {

using flush_atom = caf::atom_constant<caf::atom("flush")>;
using tick_atom = caf::atom_constant<caf::atom("tick")>;

/// The store has done something: `apply` tells the actor what came of it.
struct store_answer {
  using actor_message = void;
  std::function<void()> apply;
  std::optional<failure> broken;
};

/// The public interface plus what only this file sends.
using self_type =
  admin_handle::extend<caf::reacts_to<flush_atom>, caf::reacts_to<tick_atom>, caf::reacts_to<store_answer>>;

struct state {
  static inline const char* name = "queue";

  options opts;
  std::unique_ptr<queues_state> queues;
  bool is_flush_sent = false;
  bool is_broken = false;
  wake_up timer;
};

using self_pointer = inline_actor<self_type::stateful_base<state>>*;

constexpr std::chrono::milliseconds tick_min{1};

time_point now(self_pointer self) { return self->clock().now(); }

/// Answers the request that is being handled, now or later.
template <class Reply>
std::pair<caf::typed_response_promise<Reply>, answer<Reply>> make_answer(self_pointer self) {
  auto promise = self->template make_response_promise<Reply>();
  return {promise, [promise](result<Reply> reply) mutable {
            if (reply)
              promise.deliver(std::move(*reply));
            else
              promise.deliver(to_caf(reply.error()));
          }};
}

template <class Reply>
caf::result<Reply> to_result(result<Reply> reply) {
  if (!reply)
    return to_caf(reply.error());
  return std::move(*reply);
}

/// Has the store do `work`; `then` gets what it returns, in a later message.
template <class Work, class Then>
void at_store(self_pointer self, Work work, Then then) {
  auto me = caf::actor_cast<caf::strong_actor_ptr>(self);
  auto* runner = self->state.opts.store.get();
  runner->run([me, runner, work = std::move(work), then = std::move(then)](store_port& store) {
    store_answer done;
    auto outcome = [&]() -> decltype(work(store)) {
      try {
        return work(store);
      } catch (const std::exception& what) {
        return fail(errc::internal, std::string{"queue store: "} + what.what());
      }
    }();
    done.broken = store.broken();
    done.apply = [then, outcome = std::move(outcome)]() mutable { then(std::move(outcome)); };
    send_inline(me, std::move(done), [runner] { return runner->has_work(); });
  });
}

void break_down(self_pointer self, const failure& why) {
  auto& mine = self->state;
  if (std::exchange(mine.is_broken, true))
    return;
  mine.queues->shut_down(why);
  if (mine.opts.on_broken)
    mine.opts.on_broken(why);
}

void start_write(self_pointer self) {
  auto& mine = self->state;
  auto flight = mine.queues->launch(mine.opts.wall_clock());
  if (!flight)
    return;
  auto landed = [self](auto outcome) {
    auto& queues = *self->state.queues;
    const bool had_trouble = !queues.trouble().empty();
    queues.landed(std::move(outcome), now(self));
    if (had_trouble == queues.trouble().empty() && self->state.opts.on_trouble)
      self->state.opts.on_trouble(queues.trouble());
  };
  if (flight->requeue) {
    at_store(
      self, [flight](store_port& store) { return store.requeue(*flight->requeue); }, landed);
  } else {
    at_store(
      self, [flight](store_port& store) { return store.write(flight->batch); }, landed);
  }
}

void start_reads(self_pointer self) {
  for (auto& what : self->state.queues->wanted_reads(now(self)))
    at_store(
      self,
      [what](store_port& store) {
        return what.seqs.empty() ? store.read(what.queue, what.after_seq,
                                              std::numeric_limits<std::size_t>::max(), what.size_bytes_max)
                                 : store.read(what.queue, what.seqs, what.size_bytes_max);
      },
      [self, what](result<read_outcome> outcome) {
        self->state.queues->read_done(what, std::move(outcome), now(self));
      });
}

void set_timer(self_pointer self) {
  auto& mine = self->state;
  const auto next = mine.queues->next_event();
  if (!next)
    return;
  const auto current = now(self);
  if (auto delay = mine.timer.arm(std::max(*next, current + tick_min), current))
    self->delayed_send(self, *delay, tick_atom::value);
}

/// Follows every message. Requests which already wait in the mailbox share the next sync.
void go_on(self_pointer self) {
  auto& mine = self->state;
  if (self->mailbox().empty() && !mine.is_flush_sent)
    start_write(self);
  else if (mine.queues->wants_launch() && !std::exchange(mine.is_flush_sent, true))
    self->send(self, flush_atom::value);
  start_reads(self);
  set_timer(self);
}

template <class Reply, class Do>
caf::typed_response_promise<Reply> ask(self_pointer self, Do what) {
  auto [promise, to] = make_answer<Reply>(self);
  what(*self->state.queues, std::move(to));
  go_on(self);
  return promise;
}

/// Asks the store for something the queues in memory do not know.
template <class Reply, class Work, class Then>
caf::typed_response_promise<Reply> ask_store(self_pointer self, Work work, Then then) {
  auto [promise, to] = make_answer<Reply>(self);
  if (self->state.is_broken)
    to(fail(errc::unavailable, "the queue store is broken; the head has to be started anew"));
  else
    at_store(self, std::move(work),
             [to = std::move(to), then](auto outcome) { to(then(std::move(outcome))); });
  return promise;
}

caf::typed_response_promise<peek_reply> peek(self_pointer self, const peek_request& request) {
  auto count_max = std::clamp<std::size_t>(request.count_max, 1, limits::block_count_max);
  return ask_store<peek_reply>(
    self,
    [request, count_max](store_port& store) {
      return store.read(request.queue, request.after_seq, count_max, limits::block_size_bytes_max);
    },
    [self, count_max](result<read_outcome> outcome) -> result<peek_reply> {
      if (!outcome)
        return fail(outcome);
      self->state.queues->apply(outcome->recounts);
      record_block_builder some; // the store reads whole segments
      for (const auto& part : outcome->parts)
        for (auto record : part.records)
          if (some.count() < count_max && some.size_bytes() < limits::block_size_bytes_max)
            some.add(record.seq, record.attempts, record.payload);
      return peek_reply{some.finish()};
    });
}

caf::typed_response_promise<dead_letters_reply> dead_letters(self_pointer self,
                                                             const dead_letters_request& request) {
  return ask_store<dead_letters_reply>(
    self,
    [request](store_port& store) {
      return store.dead_letters(request.queue, request.after_id,
                                std::clamp<std::size_t>(request.count_max, 1, limits::block_count_max),
                                limits::block_size_bytes_max);
    },
    [self](result<letters_outcome> outcome) -> result<dead_letters_reply> {
      if (!outcome)
        return fail(outcome);
      self->state.queues->apply(outcome->recounts);
      return dead_letters_reply{std::move(outcome->letters)};
    });
}

/// Before the store is open there seem to be no queues: that answer waits its turn behind the opening.
caf::typed_response_promise<stats_reply> stats(self_pointer self) {
  const auto count = [self] { return self->state.queues->stats(self->state.opts.wall_clock(), now(self)); };
  if (!self->state.queues->is_open() && !self->state.is_broken)
    return ask_store<stats_reply>(
      self, [](store_port&) -> result<void> { return {}; },
      [count](const result<void>& outcome) -> result<stats_reply> {
        if (!outcome)
          return fail(outcome);
        return count();
      });
  auto [promise, to] = make_answer<stats_reply>(self);
  to(count());
  return promise;
}

caf::typed_response_promise<count_reply> purge(self_pointer self, const purge_request& request) {
  if (request.what == purge_what::records)
    return ask<count_reply>(self, [&](queues_state& queues, answer<count_reply> to) {
      queues.purge_records(request.queue, std::move(to));
    });
  return ask_store<count_reply>(
    self, [name = request.queue](store_port& store) { return store.purge_dead_letters(name); },
    [self, name = request.queue](result<std::uint64_t> count) -> result<count_reply> {
      if (!count)
        return fail(count);
      self->state.queues->letters_purged(name, *count);
      return count_reply{*count};
    });
}

void open_store(self_pointer self) {
  at_store(
    self, [](store_port& store) { return store.load(); },
    [self](result<contents> found) {
      if (found)
        self->state.queues->opened(std::move(*found));
      else
        break_down(self, found.error());
    });
}

void set_handlers(self_pointer self) {
  self->set_exit_handler([self](const caf::exit_msg& bye) {
    self->state.queues->shut_down({errc::shutting_down, "the queues are being closed"});
    self->quit(bye.reason);
  });
  self->set_exception_handler([self](std::exception_ptr& thrown) -> caf::error {
    failure why{errc::internal, "the queue actor failed"};
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& what) {
      why.message += std::string{": "} + what.what();
    } catch (...) {
    }
    break_down(self, why);
    return to_caf(why);
  });
}

self_type::behavior_type behave(self_pointer self, options opts) {
  auto& mine = self->state;
  mine.opts = std::move(opts);
  auto report = mine.opts.report ? mine.opts.report : [](const std::string&) {};
  mine.queues = std::make_unique<queues_state>(mine.opts.limits, mine.opts.jitter, std::move(report));
  set_handlers(self);
  open_store(self);
  return {
    [self](append_request& request) {
      return ask<append_reply>(self, [&](queues_state& queues, answer<append_reply> to) {
        queues.append(std::move(request), std::move(to));
      });
    },
    [self](lease_request& request) {
      return ask<lease_reply>(self, [&](queues_state& queues, answer<lease_reply> to) {
        queues.lease(std::move(request), std::move(to), now(self));
      });
    },
    [self](commit_request& request) {
      return ask<commit_reply>(self, [&](queues_state& queues, answer<commit_reply> to) {
        queues.commit(std::move(request), std::move(to));
      });
    },
    [self](const renew_request& request) { return self->state.queues->renew(request.owner, now(self)); },
    [self](const release_request& request) {
      auto reply = self->state.queues->release(request, now(self));
      go_on(self);
      return reply;
    },
    [self](const cursor_request& request) {
      return ask<std::string>(self, [&](queues_state& queues, answer<std::string> to) {
        queues.cursor(request.key, std::move(to));
      });
    },
    [self](const stats_request&) { return stats(self); },
    [self](const peek_request& request) { return peek(self, request); },
    [self](const dead_letters_request& request) { return dead_letters(self, request); },
    [self](requeue_request& request) {
      return ask<count_reply>(self, [&](queues_state& queues, answer<count_reply> to) {
        queues.requeue(std::move(request), std::move(to));
      });
    },
    [self](const purge_request& request) { return purge(self, request); },
    [self](flush_atom) {
      self->state.is_flush_sent = false;
      start_write(self);
      go_on(self);
    },
    [self](tick_atom) {
      if (!self->state.timer.is_due(now(self)))
        return;
      self->state.queues->tick(now(self));
      go_on(self);
    },
    [self](store_answer& done) {
      done.apply();
      if (done.broken)
        break_down(self, *done.broken);
      go_on(self);
    },
  };
}

} // namespace

admin_handle spawn(caf::actor_system& sys, options opts) { return sys.spawn(behave, std::move(opts)); }

} // namespace sluice::queue
