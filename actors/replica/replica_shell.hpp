#pragma once

#include "actors/host/host_protocol.hpp"
#include "actors/message.hpp"
#include "actors/replica/replica_executor.hpp"
#include "actors/replica/replica_port.hpp"
#include "actors/replica/replica_protocol.hpp"
#include "actors/wake_up.hpp"

#include <sluice/core/limits.hpp>
#include <sluice/core/result.hpp>
#include <sluice/io/sink.hpp>
#include <sluice/log.hpp>

#include <caf/atom.hpp>
#include <caf/exit_reason.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sluice::replica {

using tick_atom = caf::atom_constant<caf::atom("tick")>;

/// How often a replica looks at the time. Also the resolution of back-off, timeouts and the drain.
constexpr std::chrono::milliseconds tick_interval{100};

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

/// What the actors of all kinds of replica do alike: events that may fail, blocking calls on other threads, requests to
/// the queue, reports. A base of `Actor`, which has
///
///     State& machine();                        // decides
///     void perform(Actions);                   // does what an event of it came to
///     host::replica_report report() const;
///     bool exhausted() const;
///
/// `Options` has `queue` and `owner_actor`; `Self` is the actor's own handle. Everything here is called on the
/// replica's thread.
template <class Actor, class State, class Actions, class Options, class Self>
class replica_shell {
public:
  /// One event: the state first, then what it wants done, then what user code posted meanwhile.
  template <class F>
  void handle_event(F event) {
    replica_executor::turn turn{*executor_};
    try {
      actor().perform(event(actor().machine()));
      executor_->run_posted();
      arm_timer();
    } catch (const std::exception& e) {
      give_up(e.what());
    } catch (...) {
      give_up("exception of an unknown type");
    }
    report_if_changed();
  }

protected:
  ~replica_shell() {
    if (executor_)
      executor_->drop_timers();
  }

  std::chrono::steady_clock::time_point now() const { return self_->clock().now(); }

  void start_ticking() { self_->delayed_send(self_, tick_interval, tick_atom::value); }

  void run_call(executor_call& call) {
    if (call.is_event)
      call.run();
    else
      handle_event([&](State&) {
        call.run();
        return Actions{};
      });
  }
  void run_later(executor_later& later) {
    handle_event([&](State&) {
      executor_->post_after(later.delay, std::move(later.run));
      return Actions{};
    });
  }

  /// Runs `job` on `runner`, then `event` with its result here.
  template <class Job, class Event>
  void run_on(runner_port& runner, const char* what, Job job, Event event) {
    runner.run([this, to = executor_, what, job = std::move(job), event = std::move(event)] {
      auto outcome = contained(what, job);
      to->post_event([this, event, outcome = std::move(outcome)]() mutable {
        handle_event([&](State& s) { return event(s, std::move(outcome)); });
      });
    });
  }

  /// Makes user code and sets it up, on the thread that will call it: both may block and throw.
  template <class Body, class Make, class Event>
  void set_up(runner_port& runner, Make make, log::speaker who, Event event) {
    setup_since_ = now();
    run_on(
      runner, "setup",
      [make = std::move(make), who = std::move(who)]() -> result<std::shared_ptr<Body>> {
        const log::speaking in_its_name{who};
        std::shared_ptr<Body> body = make();
        if (auto ok = body->setup(); !ok)
          return fail(ok);
        return body;
      },
      [this, event = std::move(event)](State& s, result<std::shared_ptr<Body>> body) {
        setup_since_.reset();
        return event(s, std::move(body));
      });
  }

  /// How long a replica that starts has been set up; 0 = it is not, or drains and will not wait for it.
  std::chrono::milliseconds setup_age(host::replica_phase phase) const {
    using std::chrono::milliseconds;
    if (!setup_since_ || phase != host::replica_phase::starting)
      return milliseconds{0};
    return std::chrono::duration_cast<milliseconds>(now() - *setup_since_);
  }

  /// Tears user code down, if there is any, then closes the sink, if it is open. `event` gets the first failure.
  template <class Body, class Event>
  void tear_all_down(runner_port& runner, const std::shared_ptr<Body>& body, log::speaker who,
                     runner_port* sink_runner, const std::shared_ptr<sink>& to, Event event) {
    auto close_sink = [this, sink_runner, to, event](result<void> torn) {
      if (sink_runner == nullptr) {
        handle_event([&](State& s) { return event(s, torn); });
        return;
      }
      run_on(
        *sink_runner, "sink", [to] { return to->close(); },
        [event, torn = std::move(torn)](State& s, const result<void>& closed) {
          return event(s, torn ? closed : torn);
        });
    };
    if (!body) {
      executor_->post_event([close_sink] { close_sink({}); });
      return;
    }
    run_on(
      runner, "teardown",
      [body, who = std::move(who)] {
        const log::speaking in_its_name{who};
        auto torn = body->teardown();
        if (!torn) // the replica ends all the same, and whoever watches it may not say why
          log::error("teardown failed: {}", torn.error().message);
        return torn;
      },
      [this, close_sink](State&, result<void> torn) {
        executor_->post_event([close_sink, torn = std::move(torn)] { close_sink(torn); });
        return Actions{};
      });
  }

  /// Asks the queue, then `event` with its answer here.
  template <class Reply, class Request, class Event>
  void ask(std::chrono::nanoseconds timeout, Request request, Event event) {
    self_->request(opts_.queue, timeout, std::move(request))
      .then(
        [this, event](Reply& reply) {
          handle_event([&](State& s) { return event(s, result<Reply>{std::move(reply)}); });
        },
        [this, event](caf::error& why) {
          handle_event([&](State& s) { return event(s, result<Reply>{tl::unexpect, from_caf(why)}); });
        });
  }

  /// The last word of a replica whose own code failed.
  void give_up(const std::string& why) {
    auto last = actor().report();
    last.phase = host::replica_phase::failed;
    last.last_error = "replica: " + why;
    self_->send(opts_.owner_actor, status{std::move(last)});
    self_->quit(caf::exit_reason::unhandled_exception);
  }

  typename Self::pointer self_ = nullptr;
  Options opts_;
  std::shared_ptr<replica_executor> executor_;
  bool finished_ = false; ///< reports once more and ends

private:
  Actor& actor() noexcept { return static_cast<Actor&>(*this); }

  /// One message for the soonest timer, however many there are.
  void arm_timer() {
    const auto at = executor_->next_timer();
    if (const auto delay = at ? wake_up_.arm(*at, now()) : std::nullopt)
      self_->delayed_send(self_, *delay, executor_call{[this] { on_timer(); }, true});
  }

  void on_timer() {
    if (wake_up_.is_due(now()))
      handle_event([this](State&) {
        executor_->run_timers();
        return Actions{};
      });
  }

  void report_if_changed() {
    const auto at = now();
    const auto phase = actor().machine().phase();
    const bool exhausted = actor().exhausted();
    const bool changed = phase_reported_ != phase || exhausted_reported_ != exhausted;
    if (!changed && at - reported_at_ < limits::heartbeat_interval)
      return;
    phase_reported_ = phase;
    exhausted_reported_ = exhausted;
    reported_at_ = at;
    self_->send(opts_.owner_actor, status{actor().report()});
    if (finished_)
      self_->quit();
  }

  wake_up wake_up_; ///< for the timers of `executor_`
  std::optional<std::chrono::steady_clock::time_point> setup_since_;
  std::optional<host::replica_phase> phase_reported_;
  bool exhausted_reported_ = false;
  std::chrono::steady_clock::time_point reported_at_{};
};

} // namespace sluice::replica
