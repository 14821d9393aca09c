#pragma once

#include <sluice/async.hpp>
#include <sluice/codec/types.hpp>
#include <sluice/generator.hpp>
#include <sluice/processor/provide.hpp>
#include <sluice/stream.hpp>

#include <concepts>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

/// What a processor's function or class takes and gives, and which rule a wrong one breaks.
namespace sluice::processor {

template <class Result, class... Arguments>
struct signature {
  using result = Result;
  static constexpr std::size_t arity = sizeof...(Arguments);
};

template <class Result, class Argument>
struct signature<Result, Argument> {
  using result = Result;
  using argument = Argument;
  static constexpr std::size_t arity = 1;
};

namespace detail {

// Only their result types are used. `noexcept` converts away.
template <class R, class... A>
signature<R, A...> signature_of(R (*)(A...)) {
  return {};
}
template <class R, class C, class... A>
signature<R, A...> signature_of(R (C::*)(A...)) {
  return {};
}
template <class R, class C, class... A>
signature<R, A...> signature_of(R (C::*)(A...) const) {
  return {};
}
template <class R, class C, class... A>
signature<R, A...> signature_of(R (C::*)(A...) &) {
  return {};
}
template <class R, class C, class... A>
signature<R, A...> signature_of(R (C::*)(A...) const&) {
  return {};
}

template <auto Function>
constexpr auto signature_of_target() {
  if constexpr (std::is_class_v<decltype(Function)>)
    return decltype(signature_of(&decltype(Function)::operator())){};
  else
    return decltype(signature_of(Function)){};
}

template <class T>
struct unwrap_async {
  using type = T;
  static constexpr bool is_async = false;
};
template <class T>
struct unwrap_async<async<T>> {
  using type = T;
  static constexpr bool is_async = true;
};

/// A stream runs where coroutines run.
template <class T>
struct unwrap_async<stream<T>> {
  using type = stream<T>;
  static constexpr bool is_async = true;
};

/// The type of one result; void where there is none.
template <class T>
struct unwrap_many {
  using type = T;
};
template <class T>
struct unwrap_many<std::optional<T>> {
  using type = T;
};
template <class T>
struct unwrap_many<generator<T>> {
  using type = T;
};
template <class T>
struct unwrap_many<stream<T>> {
  using type = T;
};
template <class T, class Allocator>
struct unwrap_many<std::vector<T, Allocator>> {
  using type = T;
};

} // namespace detail

/// A function or lambda, known at compile time.
template <auto Function>
struct function_target {
  using call_signature = decltype(detail::signature_of_target<Function>());

  void setup(replica_values&) {}
  void teardown() {}

  template <class... Input>
  decltype(auto) call(Input&&... input) {
    return Function(std::forward<Input>(input)...);
  }
};

template <class T>
concept has_process = requires {
  detail::signature_of(&T::process);
};

/// A class with process() and, if it likes, setup() and teardown(). One object per replica, which
/// `setup` makes if its constructor takes values that the flow provides.
template <class T>
class class_target {
public:
  using call_signature = decltype(detail::signature_of(&T::process));

  static std::span<const needed_type> needed_types() { return detail::needed_types<T>(); }

  class_target() {
    if constexpr (std::is_default_constructible_v<T>)
      object_.emplace();
  }

  void setup(replica_values& values) {
    if constexpr (!std::is_default_constructible_v<T>)
      with_constructor_values<T>(values, [this](auto... arguments) { object_.emplace(arguments...); });
    if constexpr (requires(T & object) { object.setup(); }) {
      static_assert(std::is_void_v<decltype(object_->setup())>,
                    "sluice: setup() returns void. It is no coroutine, which nobody would run: it may block. "
                    "That it failed it says by an exception");
      object_->setup();
    }
  }

  void teardown() {
    if constexpr (requires(T & object) { object.teardown(); }) {
      static_assert(
        std::is_void_v<decltype(object_->teardown())>,
        "sluice: teardown() returns void. It is no coroutine, which nobody would run: it may block");
      if (object_)
        object_->teardown();
    }
  }

  template <class... Input>
  decltype(auto) call(Input&&... input) {
    return object_->process(std::forward<Input>(input)...);
  }

private:
  std::optional<T> object_;
};

template <class Target>
struct traits {
  using signature = typename Target::call_signature;
  using argument = typename signature::argument;
  using input = std::remove_cvref_t<argument>;
  using unwrapped = detail::unwrap_async<typename signature::result>;
  using returned = typename unwrapped::type;
  using output = typename detail::unwrap_many<returned>::type;
  static constexpr bool is_async = unwrapped::is_async;
};

template <class T>
concept record_type = std::same_as<T, raw> || codec::json_type<T>;

/// Breaks the build with the rule that a consumer's callable does not keep.
template <class Target>
consteval void check_consumer() {
  static_assert(Target::call_signature::arity == 1,
                "sluice: a consumer takes exactly one argument, the record");
  if constexpr (Target::call_signature::arity == 1) {
    using argument = typename Target::call_signature::argument;
    static_assert(!std::is_reference_v<argument> || std::is_const_v<std::remove_reference_t<argument>>,
                  "sluice: a consumer takes its record by value or by const reference");
    static_assert(
      record_type<typename traits<Target>::input>,
      "sluice: a consumer's record must be a plain struct, another type with a JSON form, or "
      "sluice::raw for the record as it is (views and pointers would outlive what they point to)");
    static_assert(std::is_default_constructible_v<typename traits<Target>::input>,
                  "sluice: a consumer's record must be default constructible");
    using output = typename traits<Target>::output;
    static_assert(
      std::is_void_v<output> || record_type<output>,
      "sluice: a consumer returns void, T, std::optional<T> or std::vector<T>, or sluice::async of "
      "one of these, or sluice::generator<T> or sluice::stream<T>, where T is a plain struct, another type "
      "with a "
      "JSON form, or sluice::raw");
    using unwrapped = typename traits<Target>::unwrapped;
    static_assert(!unwrapped::is_async || !is_generator<typename unwrapped::type>,
                  "sluice: sluice::async<sluice::generator<T>> can not wait between its values: make it a "
                  "sluice::stream<T>");
  }
}

} // namespace sluice::processor
