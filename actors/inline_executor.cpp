#include "actors/inline_executor.hpp"

#include <caf/scheduler/abstract_coordinator.hpp>

namespace sluice {

void inline_executor::exec_later(caf::resumable* actor) noexcept {
  const auto* what = dynamic_cast<const inline_runnable*>(actor);
  add(actor, what != nullptr && what->may_run_inline());
}

void inline_executor::add(caf::resumable* actor, bool may_run) {
  if (may_run && added_ < turns_max && !has_own_work())
    ready_[added_++] = actor;
  else
    system().scheduler().enqueue(actor);
}

void inline_executor::run() noexcept {
  while (run_ < added_) {
    auto* next = ready_[run_++];
    if (has_own_work())
      system().scheduler().enqueue(next);
    else if (next->resume(this, 1) != caf::resumable::resume_later)
      caf::intrusive_ptr_release(next);
    else // with the reference that it came with
      add(next, dynamic_cast<const inline_runnable*>(next)->may_go_on_inline());
  }
}

thread_local inline_hold* inline_hold::current_ = nullptr;

inline_hold::inline_hold() noexcept : outer_(current_) {
  if (outer_ == nullptr)
    current_ = this;
}

inline_hold::~inline_hold() {
  if (outer_ != nullptr)
    return;
  current_ = nullptr;
  for (auto& [to, what] : kept_)
    send_inline(to, std::move(what));
}

bool inline_hold::keep(const caf::strong_actor_ptr& to, caf::message& what) {
  if (current_ == nullptr)
    return false;
  current_->kept_.emplace_back(to, std::move(what));
  return true;
}

void send_inline(const caf::strong_actor_ptr& to, caf::message what, std::function<bool()> has_own_work) {
  if (inline_hold::keep(to, what))
    return;
  inline_executor here{*to->home_system, std::move(has_own_work)};
  to->enqueue(nullptr, caf::make_message_id(), std::move(what), &here);
  here.run();
}

} // namespace sluice
