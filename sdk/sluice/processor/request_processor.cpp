#include <sluice/processor/request_processor.hpp>
#include <sluice/processor/stream_answer.hpp>

namespace sluice::processor {

bool request_gate::admit(exchange& call) const {
  if (auto denied = guard_.check(call.in)) {
    call.respond(failure_answer(settings_.style, *denied));
    return false;
  }
  const auto key = settings_.style.is_collector ? call.in.headers.find("Idempotency-Key")
                                                : std::optional<std::string_view>{};
  if (!key)
    return true;
  if (key->empty()) { // none at all would be stored twice, without a word
    refuse(
      call,
      {.status = 400,
       .message = "the Idempotency-Key is empty: give the request a key of its own, or send no such header"});
    return false;
  }
  if (call.in.headers.count("Idempotency-Key")
      > 1) { // whichever is taken, the client may repeat it under the other one
    refuse(call, {.status = 400, .message = "there is more than one Idempotency-Key: a request has one"});
    return false;
  }
  call.fingerprint = fingerprint_of(call.in);
  return true;
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
