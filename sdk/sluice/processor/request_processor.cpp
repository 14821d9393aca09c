#include <sluice/processor/request_processor.hpp>

namespace sluice::processor {

bool request_gate::admit(exchange& call) const {
  auto denied = guard_.check(call.in);
  if (denied)
    call.respond(failure_answer(settings_.style, *denied));
  return !denied;
}

void request_gate::refuse(exchange& call, const bad_request& why) const {
  call.respond(failure_answer(settings_.style, why));
}

void request_gate::fail(exchange& call, std::exception_ptr thrown) const noexcept {
  call.respond(failure_answer(settings_.style, std::move(thrown), call.in.id));
}

} // namespace sluice::processor
