#pragma once

#include <sluice/processor/request_processor.hpp>
#include <sluice/processor/stream_answer.hpp>

#include <memory>
#include <utility>

// As in async.hpp: the frame of a coroutine on a type without linkage has none either.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

namespace sluice::processor {

/// Values of a JSON type one after the other.
template <class T>
inline constexpr bool is_value_stream = false;
template <codec::json_type T>
inline constexpr bool is_value_stream<stream<T>> = true;
template <codec::json_type T>
inline constexpr bool is_value_stream<generator<T>> = true;

/// Breaks the build with the rule that an endpoint's callable does not keep. False if it breaks one.
template <class Target>
consteval bool check_endpoint() {
  using returned = typename request_traits<Target>::returned;
  constexpr bool is_answer = std::is_void_v<returned> || answer_type<returned> || is_value_stream<returned>;
  static_assert(
    is_answer,
    "sluice: an endpoint returns a plain struct or another type with a JSON form, std::string (text), "
    "sluice::bytes, sluice::response, std::optional of one of these (none = 404), void (204), or "
    "sluice::async of one of these");
  return check_request_input<Target>() && is_answer;
}

/// A user's function or class behind one route.
template <class Target>
class endpoint_body final : public request_body_of<endpoint_body<Target>, Target> {
  using base = request_body_of<endpoint_body<Target>, Target>;
  using returned = typename base::traits::returned;

public:
  using base::base;

  template <class... Input>
  bool run(exchange& call, encoded_results&, Input&&... input) {
    if constexpr (std::is_void_v<returned>) {
      this->target().call(std::forward<Input>(input)...);
      call.respond({204});
    } else if constexpr (is_generator<returned>) {
      write_all(call, this->target().call(std::forward<Input>(input)...));
    } else {
      call.respond(make_answer(this->target().call(std::forward<Input>(input)...)));
    }
    return false;
  }

  // A coroutine with the input as its own, so that it lives as long as the call.
  template <class... Input>
  async<bool> run_async(exchange_ptr call, encoded_results&, Input... input) {
    // Temporaries in co_await expressions are not safe with g++ 12: everything has a name.
    auto work = this->target().call(std::move(input)...);
    if constexpr (is_stream<decltype(work)>) {
      auto writing = write_all_async(call, std::move(work));
      co_await std::move(writing);
    } else if constexpr (std::is_void_v<returned>) {
      co_await std::move(work);
      call->respond({204});
    } else if constexpr (is_stream<returned>) {
      returned values = co_await std::move(work);
      auto writing = write_all_async(call, std::move(values));
      co_await std::move(writing);
    } else {
      returned value = co_await std::move(work);
      call->respond(make_answer(std::move(value)));
    }
    co_return false;
  }
};

/// Makes the factory of an endpoint's bodies, or breaks the build with the rule.
template <class Target>
request_body_factory endpoint_factory(request_settings settings) {
  if constexpr (check_endpoint<Target>())
    return [settings = std::move(settings)] { return std::make_unique<endpoint_body<Target>>(settings); };
  else
    return {};
}

} // namespace sluice::processor

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
