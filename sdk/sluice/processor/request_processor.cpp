#include <sluice/processor/request_processor.hpp>
#include <sluice/processor/stream_answer.hpp>

namespace sluice::processor {

bool request_gate::admit(exchange& call) const {
  auto denied = guard_.check(call.in);
  if (denied)
    call.respond(failure_answer(settings_.style, *denied));
  else if (settings_.style.is_collector && call.in.headers.contains("Idempotency-Key"))
    call.fingerprint = fingerprint_of(call.in);
  return !denied;
}

void request_gate::refuse(exchange& call, const bad_request& why) const {
  call.respond(failure_answer(settings_.style, why));
}

void request_gate::fail(exchange& call, std::exception_ptr thrown) const noexcept {
  auto answer = failure_answer(settings_.style, std::move(thrown), call.in.id);
  if (call.is_streaming)
    break_stream(call, answer.body);
  else
    call.respond(std::move(answer));
}

void end_with_client(exchange& call, executor& where, const started& running,
                     const std::shared_ptr<call_end>& end) {
  // As long as `end` lives, which the coroutine holds, the executor does.
  call.when_cancelled([weak = std::weak_ptr{end}, &where, running] {
    auto end = weak.lock();
    if (!end)
      return;
    where.post([end, running = running]() mutable {
      if (!running.is_running())
        return;
      running.cancel();
      end->tell(false);
    });
  });
}

} // namespace sluice::processor
