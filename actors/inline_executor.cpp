#include "actors/inline_executor.hpp"

#include <caf/scheduler/abstract_coordinator.hpp>

namespace sluice {

void inline_executor::exec_later(caf::resumable* actor) {
  const auto* may = dynamic_cast<const inline_runnable*>(actor);
  if (may != nullptr && may->may_run_inline() && may_go_on())
    ready_[added_++] = actor;
  else
    system().scheduler().enqueue(actor);
}

void inline_executor::run() {
  while (run_ < added_) {
    auto* next = ready_[run_++];
    if (has_own_work_ && has_own_work_())
      system().scheduler().enqueue(next);
    else if (next->resume(this, 1) == caf::resumable::resume_later)
      exec_later(next); // with the reference that it came with
    else
      caf::intrusive_ptr_release(next);
  }
}

} // namespace sluice
