#include "actors/replica/replica_executor.hpp"

#include "actors/inline_executor.hpp"

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

#include <utility>

namespace sluice::replica {

namespace {

/// The executor whose replica runs on this thread now. An actor stays on one thread while
/// it handles a message.
thread_local const replica_executor* current = nullptr;

constexpr std::size_t local_runs_max = 1000;

} // namespace

void replica_executor::post(std::function<void()> work) {
  if (current == this)
    local_.push_back(std::move(work));
  else if (auto to = replica_.lock())
    caf::anon_send(caf::actor_cast<caf::actor>(to), executor_call{std::move(work), false});
}

void replica_executor::post_after(std::chrono::nanoseconds delay, std::function<void()> work) {
  if (current == this)
    set_timer(delay, std::move(work));
  else if (auto to = replica_.lock())
    caf::anon_send(caf::actor_cast<caf::actor>(to), executor_later{delay, std::move(work)});
}

std::uint64_t replica_executor::set_timer(std::chrono::nanoseconds delay, std::function<void()> work) {
  if (current != this) {
    post_after(delay, std::move(work));
    return 0;
  }
  timers_.add(++timer_last_, clock_.now() + delay, std::move(work));
  return timer_last_;
}

void replica_executor::cancel_timer(std::uint64_t timer) noexcept {
  if (current == this)
    timers_.cancel(timer);
}

void replica_executor::run_timers() {
  const auto now = clock_.now();
  for (std::size_t i = 0; i < local_runs_max; ++i) {
    const auto work = timers_.take_due(now);
    if (!work)
      return;
    work();
  }
}

void replica_executor::post_event(std::function<void()> event) {
  if (auto to = replica_.lock())
    caf::anon_send(caf::actor_cast<caf::actor>(to), executor_call{std::move(event), true});
}

void replica_executor::run_event(std::function<void()> event) {
  if (auto to = replica_.lock())
    send_inline(to, executor_call{std::move(event), true});
}

void replica_executor::send_message(work_done done) {
  if (auto to = replica_.lock())
    caf::anon_send(caf::actor_cast<caf::actor>(to), std::move(done));
}

replica_executor::turn::turn(replica_executor& which) noexcept
  : before_(std::exchange(current, &which)), speaking_(which.who_) {}

replica_executor::turn::~turn() { current = before_; }

void replica_executor::run_posted() {
  for (std::size_t i = 0; i < local_runs_max && !local_.empty(); ++i) {
    auto work = std::move(local_.front());
    local_.pop_front();
    work();
  }
  if (local_.empty())
    return;
  if (auto to = replica_.lock()) {
    for (auto& work : local_)
      caf::anon_send(caf::actor_cast<caf::actor>(to), executor_call{std::move(work), false});
  }
  local_.clear();
}

} // namespace sluice::replica
