#pragma once

#include "actors/message.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_registry.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace sluice::testing {

/// An actor system for tests: one thread, a FIFO run queue, and a clock that moves
/// only when the test says so. Nothing in it sleeps or depends on the machine.
///
/// Derive a fixture from it, hand every long-lived actor to `own`, and use the
/// system from one thread. `~actor_system` waits for living actors, so the destructor
/// ends the owned ones first and aborts with a message, instead of hanging, when a
/// test left others behind.
class deterministic_system {
public:
  struct config : caf::actor_system_config {
    config() { set("scheduler.policy", caf::atom("testing")); }
  };

  /// What a request came to; empty while no answer has come.
  template <class Reply>
  using answer = std::shared_ptr<std::optional<result<Reply>>>;

  using time_point = caf::actor_clock::time_point;

  deterministic_system() = default;
  deterministic_system(const deterministic_system&) = delete;
  deterministic_system& operator=(const deterministic_system&) = delete;

  ~deterministic_system() {
    end_owned();
    if (auto left = sys.registry().running(); left != 0) {
      std::fprintf(stderr, "deterministic_system: %zu actors were left running; hand them to own()\n", left);
      std::abort();
    }
  }

  /// Lets the fixture end `actor` when it goes (the last one first).
  template <class Handle>
  Handle own(Handle actor) {
    owned_.push_back(caf::actor_cast<caf::strong_actor_ptr>(actor));
    return actor;
  }

  /// Kills `actor` as a crash would, and runs what follows from it.
  template <class Handle>
  void kill(const Handle& actor) {
    caf::anon_send_exit(actor, caf::exit_reason::kill);
    run();
  }

  /// Ends all owned actors and drops every timer. Safe to call again.
  void end_owned() {
    while (!owned_.empty()) {
      auto last = caf::actor_cast<caf::actor>(owned_.back());
      owned_.pop_back();
      caf::anon_send_exit(last, caf::exit_reason::kill);
      run();
    }
    sched.clock().cancel_all(); // a periodic tick would keep `test_coordinator::stop` busy for ever
    run();
  }

  /// Runs actors until none has anything to do. Returns the number of steps.
  std::size_t run() { return sched.run(); }

  /// When the virtual clock stands.
  time_point now() const { return sched.clock().now(); }

  /// Of messages that come later, and of time limits of requests.
  std::size_t timer_count() const { return sched.clock().schedule().size(); }

  /// When the next timer is due, or nothing if none is set.
  std::optional<time_point> next_due() const {
    const auto& timers = sched.clock().schedule();
    if (timers.empty())
      return std::nullopt;
    return timers.begin()->first;
  }

  /// Moves the clock by `by` and stops at every timer on the way, so that a periodic
  /// tick fires as often as it would, each time with the clock at its due time.
  void advance(std::chrono::nanoseconds by) {
    run();
    const auto end = now() + by;
    for (auto due = next_due(); due && *due <= end; due = next_due()) {
      sched.clock().advance_time(std::max(*due - now(), time_point::duration::zero()));
      run();
    }
    sched.clock().advance_time(end - now());
    run();
  }

  /// Moves the clock by `by` in one jump, as after a pause of the whole process: a
  /// periodic tick fires once, late.
  void jump(std::chrono::nanoseconds by) {
    sched.clock().advance_time(by);
    run();
  }

  /// Sends a request and leaves its answer in the returned cell.
  template <class Reply, class Handle, class... Ts>
  answer<Reply> ask_later(const Handle& to, Ts... parts) {
    auto cell = std::make_shared<std::optional<result<Reply>>>();
    // The unused argument: without any, CAF binds a reference to a null pointer, which UBSan ends.
    auto client = [=](caf::event_based_actor* self, int) {
      auto refused = [cell](caf::error& why) { *cell = tl::unexpected<failure>{from_caf(why)}; };
      if constexpr (std::is_void_v<Reply>)
        self->request(to, request_timeout, parts...).then([cell] { *cell = result<void>{}; }, refused);
      else
        self->request(to, request_timeout, parts...)
          .then([cell](Reply& reply) { *cell = std::move(reply); }, refused);
    };
    sys.spawn<caf::hidden>(client, 0);
    return cell;
  }

  /// Sends a request, runs, and returns the answer; `errc::timeout` when none came
  /// without moving the clock.
  template <class Reply, class Handle, class... Ts>
  result<Reply> ask(const Handle& to, Ts... parts) {
    auto cell = ask_later<Reply>(to, std::move(parts)...);
    run();
    if (!cell->has_value())
      return fail(errc::timeout, "the actor has not answered yet");
    return std::move(**cell);
  }

  static constexpr std::chrono::seconds request_timeout{30};

  config cfg;
  caf::actor_system sys{cfg};
  caf::scheduler::test_coordinator& sched = dynamic_cast<caf::scheduler::test_coordinator&>(sys.scheduler());

private:
  std::vector<caf::strong_actor_ptr> owned_;
};

} // namespace sluice::testing
