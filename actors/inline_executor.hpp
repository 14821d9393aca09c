#pragma once

#include <caf/actor_cast.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/actor_system.hpp>
#include <caf/execution_unit.hpp>
#include <caf/message.hpp>
#include <caf/message_id.hpp>
#include <caf/resumable.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

namespace sluice {

/// What an actor is that may run on the thread that wakes it: its handlers never block, and run no user code.
class inline_runnable {
public:
  virtual ~inline_runnable() = default;
  /// By the thread that has just woken it.
  virtual bool may_run_inline() const noexcept = 0;
  /// Whether also messages that have come after the one that woke it are handled there.
  virtual bool may_go_on_inline() const noexcept = 0;
};

/// `Base`, a stateful actor, as one that may run inline; if its state has functions of these names, while they say so.
template <class Base>
class inline_actor final : public Base, public inline_runnable {
public:
  using Base::Base;

  bool may_run_inline() const noexcept override {
    if constexpr (requires { this->state.may_run_inline(); })
      return this->state.may_run_inline();
    else
      return true;
  }
  bool may_go_on_inline() const noexcept override {
    if constexpr (requires { this->state.may_go_on_inline(); })
      return this->state.may_go_on_inline();
    else
      return may_run_inline();
  }
};

/// Runs actors on the thread that wakes them, as a calling-thread dispatcher does: a thread that has nothing else to do spares
/// the wake-up of another one, which costs more than most messages do.
///
/// Whom such an actor wakes runs here, too, a message each, in turn. After some of them, or once the thread has work of its
/// own again, all goes to the threads of the scheduler, as does at once whoever may not run inline. The thread must hold no lock
/// that an actor may want.
class inline_executor final : public caf::execution_unit {
public:
  /// @param has_own_work of the thread; empty = never
  explicit inline_executor(caf::actor_system& system, std::function<bool()> has_own_work = {})
    : caf::execution_unit(&system), has_own_work_(std::move(has_own_work)) {}

  /// Only by actors that run here.
  void exec_later(caf::resumable* actor) noexcept override;

  /// Until nothing is left to run here. An exception of the actor system itself ends the process, as on its own threads.
  void run() noexcept;

private:
  static constexpr std::size_t turns_max = 32;

  void add(caf::resumable* actor, bool may_run);
  bool has_own_work() const { return has_own_work_ && has_own_work_(); }

  std::function<bool()> has_own_work_;
  std::array<caf::resumable*, turns_max> ready_{};
  std::size_t added_ = 0;
  std::size_t run_ = 0;
};

/// While one is on a thread, what it sends inline waits, and is sent at its end: an actor that many things at hand wake is
/// woken once for all of them. One inside another does nothing.
class inline_hold {
public:
  inline_hold() noexcept;
  ~inline_hold();
  inline_hold(const inline_hold&) = delete;
  inline_hold& operator=(const inline_hold&) = delete;

  /// Keeps it for the end. False: there is none on this thread.
  static bool keep(const caf::strong_actor_ptr& to, caf::message& what);

private:
  static thread_local inline_hold* current_;
  inline_hold* const outer_;
  std::vector<std::pair<caf::strong_actor_ptr, caf::message>> kept_;
};

/// Sends, and has the actor handle it on this thread if it rests and may; under an `inline_hold` at its end, whatever work the thread
/// has by then.
void send_inline(const caf::strong_actor_ptr& to, caf::message what, std::function<bool()> has_own_work = {});

template <class Handle, class Message>
void send_inline(const Handle& to, Message&& message, std::function<bool()> has_own_work = {}) {
  if (auto strong = caf::actor_cast<caf::strong_actor_ptr>(to))
    send_inline(strong, caf::make_message(std::forward<Message>(message)), std::move(has_own_work));
}

} // namespace sluice
