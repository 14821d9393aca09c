#pragma once

#include "actors/message.hpp"
#include "actors/replica/replica_port.hpp"
#include "actors/replica/timer_set.hpp"

#include <sluice/core/executor.hpp>

#include <caf/actor_clock.hpp>
#include <caf/actor_control_block.hpp>

#include <chrono>
#include <deque>
#include <functional>

namespace sluice::replica {

/// Work for the replica's own thread. An event brings its own handling, user code's
/// work does not.
struct executor_call {
  using actor_message = void;
  std::function<void()> run;
  bool is_event = false;
};

struct executor_later {
  using actor_message = void;
  std::chrono::nanoseconds delay{0};
  std::function<void()> run;
};

/// Brings work from any thread to a replica actor. What user code posts while the replica
/// runs it stays off the mailbox.
///
/// Outlives the replica where a coroutine still holds it; then what is posted is dropped.
class replica_executor final : public executor {
public:
  /// @param clock the replica's
  replica_executor(caf::weak_actor_ptr replica, const caf::actor_clock& clock,
                   http::client_port* client = nullptr, log::speaker who = {})
    : replica_(std::move(replica)), clock_(clock), client_(client), who_(std::move(who)) {}

  void post(std::function<void()> work) override;
  void post_after(std::chrono::nanoseconds delay, std::function<void()> work) override;
  std::uint64_t set_timer(std::chrono::nanoseconds delay, std::function<void()> work) override;
  void cancel_timer(std::uint64_t timer) noexcept override;
  http::client_port* http_client() noexcept override { return client_; }

  /// For the replica's own threads: handled as an event of its own.
  void post_event(std::function<void()> event);
  /// As `post_event`, and on this thread if the replica rests. The thread must hold no lock.
  void run_event(std::function<void()> event);
  void send_message(work_done done);

  /// Replica only: while one lives, `post` on this thread queues locally, and the thread speaks for the replica.
  class turn {
  public:
    explicit turn(replica_executor& which) noexcept;
    ~turn();
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;

  private:
    const replica_executor* before_;
    log::speaking speaking_;
  };

  /// Runs what was posted in this turn; after a while the rest goes through the
  /// mailbox, so that other events get their turn.
  void run_posted();

  /// Replica only: runs timers that are due, in a turn; after a while the rest is due still.
  void run_timers();
  /// The replica ends: what waits in timers is given up here, as coroutines in them may hold this.
  void drop_timers() { timers_.clear(); }
  /// Replica only: when `run_timers` has something to do.
  std::optional<timer_set::time_point> next_timer() const noexcept { return timers_.next(); }

private:
  caf::weak_actor_ptr replica_;
  const caf::actor_clock& clock_;
  http::client_port* client_;
  log::speaker who_;
  std::deque<std::function<void()>> local_; ///< replica only, like the next
  timer_set timers_;
  std::uint64_t timer_last_ = 0;
};

} // namespace sluice::replica
