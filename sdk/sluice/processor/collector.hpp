#pragma once

#include <sluice/processor/consumer.hpp>
#include <sluice/processor/request_processor.hpp>

#include <memory>
#include <utility>

// As in async.hpp: the frame of a coroutine on a type without linkage has none either.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

namespace sluice::processor {

/// Breaks the build with the rule that a collector's callable does not keep. False if it breaks one.
template <class Target>
consteval bool check_collector() {
  using returned = typename request_traits<Target>::returned;
  using output = typename detail::unwrap_many<returned>::type;
  constexpr bool is_record = record_type<output>;
  static_assert(is_record,
                "sluice: a collector returns what goes to its sink: T, std::optional<T>, std::vector<T>, "
                "sluice::generator<T> or sluice::stream<T>, or "
                "sluice::async of one of these, where T is a plain struct, another type with a JSON form, or "
                "sluice::raw");
  return check_request_input<Target>() && is_record;
}

/// A user's function or class between one route and a sink.
template <class Target>
class collector_body final : public request_body_of<collector_body<Target>, Target> {
  using base = request_body_of<collector_body<Target>, Target>;
  using returned = typename base::traits::returned;
  using output = typename detail::unwrap_many<returned>::type;

public:
  using base::base;

  template <class... Input>
  bool run(exchange&, encoded_results& results, Input&&... input) {
    check(write_results<output>(this->target().call(std::forward<Input>(input)...), results));
    return true;
  }

  // A coroutine with the input as its own, so that it lives as long as the call.
  template <class... Input>
  async<bool> run_async(exchange_ptr, encoded_results& results, Input... input) {
    // Temporaries in co_await expressions are not safe with g++ 12: everything has a name.
    auto work = this->target().call(std::move(input)...);
    if constexpr (is_stream<decltype(work)>) {
      auto writing = write_stream(work, results);
      auto done = co_await std::move(writing);
      check(done);
    } else if constexpr (is_stream<returned>) {
      returned values = co_await std::move(work);
      auto writing = write_stream(values, results);
      auto done = co_await std::move(writing);
      check(done);
    } else {
      returned value = co_await std::move(work);
      check(write_results<output>(value, results));
    }
    co_return true;
  }

private:
  static void check(const result<void>& written) {
    if (!written)
      throw std::runtime_error{"the result cannot be written: " + written.error().message};
  }
};

/// Makes the factory of a collector's bodies, or breaks the build with the rule.
template <class Target>
request_body_factory collector_factory(request_settings settings) {
  if constexpr (check_collector<Target>())
    return [settings = std::move(settings)] { return std::make_unique<collector_body<Target>>(settings); };
  else
    return {};
}

} // namespace sluice::processor

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
