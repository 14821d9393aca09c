#include "actors/inline_executor.hpp"

#include <caf/scheduler/abstract_coordinator.hpp>

#include <cstdint>
#include <optional>
#include <typeinfo>

namespace sluice {

namespace {

/// Null if it is none.
///
/// A cast across the bases of a CAF actor takes a thousand instructions, and every wake-up needs one. It is the same for all of one type, so
/// each thread keeps what it found: the few types of actors that it wakes, by the addresses of their type information.
const inline_runnable* as_inline_runnable(const caf::resumable* actor) {
  struct found {
    const std::type_info* type = nullptr;
    std::optional<std::ptrdiff_t> offset; ///< of the part that is an `inline_runnable`
  };
  static thread_local std::array<found, 16> kept;
  const auto* type = &typeid(*actor);
  auto& known = kept[(reinterpret_cast<std::uintptr_t>(type) >> 4) % kept.size()];
  const auto* bytes = reinterpret_cast<const char*>(actor);
  if (known.type != type) {
    const auto* runnable = dynamic_cast<const inline_runnable*>(actor);
    known = {type, std::nullopt};
    if (runnable != nullptr)
      known.offset = reinterpret_cast<const char*>(runnable) - bytes;
  }
  return known.offset ? reinterpret_cast<const inline_runnable*>(bytes + *known.offset) : nullptr;
}

} // namespace

void inline_executor::exec_later(caf::resumable* actor) noexcept {
  const auto* what = as_inline_runnable(actor);
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
      add(next, as_inline_runnable(next)->may_go_on_inline());
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
