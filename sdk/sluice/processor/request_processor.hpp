#pragma once

#include <sluice/processor/answer.hpp>
#include <sluice/processor/callable.hpp>
#include <sluice/processor/guarded.hpp>
#include <sluice/processor/request_body.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace sluice::processor {

/// What the bodies of one endpoint or collector have in common.
struct request_settings {
  failure_style style;
  bool has_body = false; ///< the method of the route has one
  std::optional<route_guard> guard;
  std::shared_ptr<value_factories> factories;
};

namespace detail {

template <class Signature>
struct input_of {
  using argument = void;
  using type = void;
};
template <class Result, class Argument>
struct input_of<signature<Result, Argument>> {
  using argument = Argument;
  using type = std::remove_cvref_t<Argument>;
};

} // namespace detail

/// The types of a function that takes requests; `input` is void if it takes nothing.
template <class Target>
struct request_traits {
  using signature = typename Target::call_signature;
  using argument = typename detail::input_of<signature>::argument;
  using input = typename detail::input_of<signature>::type;
  using unwrapped = detail::unwrap_async<typename signature::result>;
  using returned = typename unwrapped::type;
  static constexpr bool is_async = unwrapped::is_async;
  static constexpr bool has_input = !std::is_void_v<input>;
};

/// Breaks the build with the rule that the argument of a function does not keep.
template <class Target>
consteval bool check_request_input() {
  using traits = request_traits<Target>;
  static_assert(
    traits::signature::arity <= 1,
    "sluice: an endpoint or collector takes one argument at most: a struct with what comes from path, "
    "query and body, or sluice::request for everything as it is");
  if constexpr (traits::has_input) {
    using argument = typename traits::argument;
    using input = typename traits::input;
    static_assert(!std::is_reference_v<argument> || std::is_const_v<std::remove_reference_t<argument>>,
                  "sluice: an endpoint or collector takes its argument by value or by const reference");
    constexpr bool is_text = std::same_as<input, std::string> || std::same_as<input, bytes>;
    static_assert(!is_text,
                  "sluice: a text or bytes alone say not where they come from: take a struct with the "
                  "members that are meant, sluice::raw for the body, or sluice::request for everything");
    constexpr bool is_readable =
      std::same_as<input, request> || std::same_as<input, raw> || codec::json_type<input>;
    static_assert(is_readable,
                  "sluice: an endpoint or collector takes a plain struct, another type with a JSON form, "
                  "sluice::raw, or sluice::request");
    static_assert(std::is_default_constructible_v<input>,
                  "sluice: the argument of an endpoint or collector must be default constructible");
    return traits::signature::arity <= 1 && !is_text && is_readable && std::is_default_constructible_v<input>;
  }
  return traits::signature::arity <= 1;
}

/// The part of a body that knows no types of the user.
class request_gate {
public:
  explicit request_gate(request_settings settings)
    : settings_(std::move(settings)), guard_(settings_.guard), values_(settings_.factories) {}

  result<void> setup() { return guard_.setup(); }

  replica_values& values() noexcept { return values_; }

  /// Whether the client may have an answer; if not, it has got its denial.
  bool admit(exchange& call) const;

  /// Reads the argument; answers if that fails.
  template <class Input>
  bool read(exchange& call, Input& out) const {
    auto bad = read_input(call.in, settings_.has_body, out);
    if (bad)
      refuse(call, *bad);
    return !bad;
  }

  /// Answers for an exception of user code.
  void fail(exchange& call, std::exception_ptr thrown) const noexcept;

private:
  void refuse(exchange& call, const bad_request& why) const;

  request_settings settings_;
  guard_check guard_;
  replica_values values_;
};

/// Tells once that a call of an async body has ended; on its executor, which lives as long as `done` does.
class call_end {
public:
  explicit call_end(std::function<void(bool)> done) : done_(std::move(done)) {}

  void tell(bool to_sink) {
    if (!std::exchange(is_told_, true))
      done_(to_sink);
  }

private:
  std::function<void(bool)> done_;
  bool is_told_ = false;
};

/// Ends the coroutine where it stands when its client goes or its deadline passes: nobody waits for its answer.
void end_with_client(exchange& call, executor& where, const started& running,
                     const std::shared_ptr<call_end>& end);

/// What endpoints and collectors share. `Derived::run(call, results, arguments...)` calls the user's function
/// and returns whether its results go to a sink; the coroutine `Derived::run_async` does the same.
template <class Derived, class Target>
class request_body_of : public request_body {
public:
  explicit request_body_of(request_settings settings) : gate_(std::move(settings)) {}

  result<void> setup() override {
    return guarded([this]() -> result<void> {
      if (auto done = gate_.setup(); !done)
        return done;
      target_.setup(gate_.values());
      return {};
    });
  }

  result<void> teardown() override {
    return guarded([this]() -> result<void> {
      target_.teardown();
      return {};
    });
  }

  bool is_async() const noexcept override { return traits::is_async; }

  bool handle(const exchange_ptr& call, encoded_results& results) override {
    if constexpr (traits::is_async) {
      gate_.fail(*call, std::make_exception_ptr(
                          std::logic_error{"an async processor was called without an executor"}));
      return false;
    } else {
      bool to_sink = false;
      with_input(*call, [&](auto&&... input) { to_sink = self().run(*call, results, std::move(input)...); });
      return to_sink;
    }
  }

  void handle_async(const exchange_ptr& call, encoded_results& results, [[maybe_unused]] executor& where,
                    std::function<void(bool)> done) override {
    if constexpr (traits::is_async) {
      auto end = std::make_shared<call_end>(std::move(done));
      const bool began = with_input(*call, [&](auto&&... input) {
        auto running = start(self().run_async(call, results, std::move(input)...), where,
                             [this, call, end](outcome<bool> got) {
                               if (!got)
                                 gate_.fail(*call, got.error());
                               end->tell(got && *got);
                             });
        if (running.is_running())
          end_with_client(*call, where, running, end);
      });
      if (!began)
        end->tell(false);
    } else {
      done(handle(call, results));
    }
  }

protected:
  using traits = request_traits<Target>;

  Target& target() noexcept { return target_; }

private:
  Derived& self() noexcept { return static_cast<Derived&>(*this); }

  /// Reads the argument and calls `use` with it. False: the exchange has been answered instead.
  template <class Use>
  bool with_input(exchange& call, Use use) {
    try {
      if (!gate_.admit(call))
        return false;
      if constexpr (traits::has_input) {
        typename traits::input input{};
        if (!gate_.read(call, input))
          return false;
        use(std::move(input));
      } else {
        use();
      }
      return true;
    } catch (...) {
      gate_.fail(call, std::current_exception());
      return false;
    }
  }

  request_gate gate_; ///< holds the values that the user's object may refer to
  Target target_;
};

} // namespace sluice::processor
