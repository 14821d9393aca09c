#pragma once

#include "actors/message.hpp"

#include <sluice/core/result.hpp>

#include <caf/scoped_actor.hpp>

#include <chrono>
#include <optional>
#include <type_traits>
#include <utility>

namespace sluice::control {

/// Asks an actor and waits for its answer, at most `timeout`. Blocks the calling thread,
/// which must not be one of the actor system's.
template <class Reply, class Handle, class Request>
result<Reply> ask(caf::actor_system& sys, const Handle& to, std::chrono::milliseconds timeout,
                  Request request) {
  if (!to)
    return fail(errc::unavailable, "the part of the head that was asked is not running");
  caf::scoped_actor self{sys};
  std::optional<result<Reply>> answer;
  auto on_error = [&](const caf::error& why) { answer = tl::unexpected{from_caf(why)}; };
  auto asked = self->request(to, timeout, std::move(request));
  if constexpr (std::is_void_v<Reply>)
    asked.receive([&] { answer = result<void>{}; }, on_error);
  else
    asked.receive([&](const Reply& reply) { answer = reply; }, on_error);
  if (!answer)
    return fail(errc::internal, "an actor did not answer");
  return std::move(*answer);
}

} // namespace sluice::control
