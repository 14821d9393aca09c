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

} // namespace sluice
