#pragma once

#include <sluice/codec/codec.hpp>
#include <sluice/processor/callable.hpp>
#include <sluice/processor/websocket_body.hpp>
#include <sluice/websocket.hpp>

#include <concepts>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

// As in async.hpp: the frame of a coroutine on a type without linkage has none either.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

/// From messages to a user's function or class, and back.
namespace sluice::processor {

namespace detail {

/// What a `connection<Out>` argument says; void for any other type.
template <class T>
struct out_of {
  using type = void;
};
template <class Out>
struct out_of<connection<Out>> {
  using type = Out;
};

/// The function that takes messages: `(In)` or `(connection<Out>&, In)`.
template <class Signature>
struct message_signature {
  static constexpr bool is_fit = false;
  static constexpr bool has_connection = false;
  using argument = void;
  using out = void;
};
template <class Result, class Argument>
struct message_signature<signature<Result, Argument>> {
  static constexpr bool is_fit = true;
  static constexpr bool has_connection = false;
  using argument = Argument;
  using out = void;
};
template <class Result, class Connection, class Argument>
struct message_signature<signature<Result, Connection, Argument>> {
  using argument = Argument;
  using out = typename out_of<std::remove_cvref_t<Connection>>::type;
  static constexpr bool is_fit = !std::is_void_v<out>;
  static constexpr bool has_connection = true;
};

/// `open` or `close` of a class: takes nothing or the connection.
template <class Signature>
struct hook_signature;
template <class Result, class... Arguments>
struct hook_signature<signature<Result, Arguments...>> {
  using out = void;
  static constexpr bool is_fit = sizeof...(Arguments) == 0;
  static constexpr bool has_connection = false;
  static constexpr bool is_async = unwrap_async<Result>::is_async;
};
template <class Result, class Connection>
struct hook_signature<signature<Result, Connection>> {
  using out = typename out_of<std::remove_cvref_t<Connection>>::type;
  static constexpr bool is_fit = !std::is_void_v<out>;
  static constexpr bool has_connection = true;
  static constexpr bool is_async = unwrap_async<Result>::is_async;
};
struct no_hook {
  using out = void;
  static constexpr bool is_fit = true;
  static constexpr bool has_connection = false;
  static constexpr bool is_async = false;
};

template <class T>
struct open_of : no_hook {};
template <class T>
requires requires { signature_of(&T::open); }
struct open_of<T> : hook_signature<decltype(signature_of(&T::open))> {};
template <class T>
struct close_of : no_hook {};
template <class T>
requires requires { signature_of(&T::close); }
struct close_of<T> : hook_signature<decltype(signature_of(&T::close))> {};

/// The first that is not void, or text: of what never sends.
template <class... Types>
struct first_type {
  using type = std::string;
};
template <class First, class... Rest>
struct first_type<First, Rest...> {
  using type =
    typename std::conditional_t<std::is_void_v<First>, first_type<Rest...>, std::type_identity<First>>::type;
};

} // namespace detail

/// A function that takes the messages of all connections.
template <auto Function>
struct connection_function {
  using call_signature = decltype(detail::signature_of_target<Function>());
  using open = detail::no_hook;
  using close = detail::no_hook;

  static std::span<const needed_type> needed_types() { return {}; }

  void make(replica_values&) {}
  template <class... Arguments>
  decltype(auto) call(Arguments&&... arguments) {
    return Function(std::forward<Arguments>(arguments)...);
  }
};

/// A class of which each connection has an object.
template <class T>
class connection_object {
public:
  using call_signature = decltype(detail::signature_of(&T::process));
  using open = detail::open_of<T>;
  using close = detail::close_of<T>;

  static std::span<const needed_type> needed_types() { return detail::needed_types<T>(); }

  void make(replica_values& values) {
    if constexpr (std::is_default_constructible_v<T>)
      object_.emplace();
    else
      with_constructor_values<T>(values, [this](auto... arguments) { object_.emplace(arguments...); });
  }

  template <class... Arguments>
  decltype(auto) call(Arguments&&... arguments) {
    return object_->process(std::forward<Arguments>(arguments)...);
  }

  T& object() { return *object_; }

private:
  std::optional<T> object_;
};

template <class Target>
struct websocket_traits {
  using call_signature = typename Target::call_signature;
  using message = detail::message_signature<call_signature>;
  using argument = typename message::argument;
  using input = std::remove_cvref_t<argument>;
  using unwrapped = detail::unwrap_async<typename call_signature::result>;
  using returned = typename unwrapped::type;
  using output =
    typename detail::first_type<typename detail::unwrap_many<returned>::type, typename message::out,
                                typename Target::open::out, typename Target::close::out>::type;
  static constexpr bool is_async = unwrapped::is_async || Target::open::is_async || Target::close::is_async;
};

/// Breaks the build with the rule that a WebSocket's function or class does not keep. False if it breaks one.
template <class Target>
consteval bool check_websocket() {
  using traits = websocket_traits<Target>;
  constexpr bool is_fit = traits::message::is_fit && Target::open::is_fit && Target::close::is_fit;
  static_assert(
    is_fit, "sluice: a WebSocket takes one argument, the message, or two: sluice::connection<Out>& and the "
            "message; open() and close() take sluice::connection<Out>& or nothing");
  if constexpr (is_fit) {
    constexpr bool is_in =
      codec::json_type<
        typename traits::
          input> && std::is_default_constructible_v<typename traits::input> && (!std::is_reference_v<typename traits::argument> || std::is_const_v<std::remove_reference_t<typename traits::argument>>);
    static_assert(is_in,
                  "sluice: the message of a WebSocket is a plain struct or another type with a JSON form, "
                  "std::string (text) or sluice::bytes (binary), by value or by const reference");
    constexpr bool is_out = codec::json_type<typename traits::output>;
    static_assert(
      is_out, "sluice: a WebSocket returns what is sent back: void, T, std::optional<T>, std::vector<T>, "
              "sluice::generator<T>, sluice::stream<T> or sluice::async of one of the first four, where T "
              "is a plain struct or another type with a JSON form, std::string or sluice::bytes");
    return is_in && is_out;
  }
  return false;
}

/// Reads a message; throws `websocket_error` with what is wrong and where.
template <class Input>
Input read_message(connection_event event) {
  constexpr bool wants_text = !std::same_as<Input, bytes>;
  if (event.is_text != wants_text)
    throw websocket_error{websocket_code::not_acceptable,
                          wants_text ? "text is wanted here, not bytes" : "bytes are wanted here, not text"};
  if constexpr (std::same_as<Input, std::string>) {
    return std::move(event.payload);
  } else if constexpr (std::same_as<Input, bytes>) {
    return {std::move(event.payload)};
  } else {
    Input in{};
    if (auto done = codec::decode_into(event.payload, in); !done)
      throw websocket_error{websocket_code::not_utf8, done.error().message};
    return in;
  }
}

template <class Target>
class websocket_code final : public connection_code {
  using traits = websocket_traits<Target>;
  using input = typename traits::input;
  using output = typename traits::output;
  using returned = typename traits::returned;
  using client = connection<output>;

public:
  explicit websocket_code(std::shared_ptr<replica_values> values) : values_(std::move(values)) {}

  void handle([[maybe_unused]] connection_core& core, [[maybe_unused]] connection_event event) override {
    if constexpr (!traits::is_async) {
      client to{core.shared_from_this()};
      switch (event.what) {
      case connection_event::kind::open:
        target_.make(*values_);
        open(to);
        is_open_ = true;
        break;
      case connection_event::kind::message:
        send_results(to, [&]() -> decltype(auto) { return call(to, read_message<input>(std::move(event))); });
        break;
      case connection_event::kind::close:
        if (is_open_)
          close(to);
      }
    }
  }

  started handle_async(connection_ptr core, connection_event event, executor& where,
                       std::function<void(const std::exception_ptr&)> done) override {
    auto& its = *core; // lives as long as the client that stands for it
    return start(run(client{std::move(core)}, its, std::move(event)), where,
                 [done = std::move(done)](const outcome<void>& got) { done(got ? nullptr : got.error()); });
  }

private:
  // Temporaries in co_await expressions are not safe with g++ 12: everything has a name.
  async<> run(client to, connection_core& core, connection_event event) {
    if (event.what == connection_event::kind::open) {
      target_.make(*values_);
      if constexpr (Target::open::is_async) {
        auto work = open(to);
        co_await std::move(work); // NOLINT(bugprone-use-after-move): clang-tidy 14 takes this for a loop
      } else {
        open(to);
      }
      is_open_ = true;
    } else if (event.what == connection_event::kind::message) {
      auto work = answer(to, core, read_message<input>(std::move(event)));
      co_await std::move(work);
    } else if (is_open_) {
      if constexpr (Target::close::is_async) {
        auto work = close(to);
        co_await std::move(work);
      } else {
        close(to);
      }
    }
  }

  async<> answer(client& to, [[maybe_unused]] connection_core& core, input in) {
    if constexpr (!traits::unwrapped::is_async) {
      send_results(to, [&]() -> decltype(auto) { return call(to, std::move(in)); });
      co_return;
    } else if constexpr (is_stream<typename traits::call_signature::result>) {
      auto values = call(to, std::move(in));
      for (;;) {
        auto next = values.next();
        std::optional<output> value = co_await next;
        if (!value || !to.send(*value))
          co_return;
        core.note_stream();
        auto room = to.room();
        co_await room;
      }
    } else if constexpr (std::is_void_v<returned>) {
      auto work = call(to, std::move(in));
      co_await std::move(work);
    } else {
      auto work = call(to, std::move(in));
      returned value = co_await std::move(work);
      send_all(to, value);
    }
  }

  decltype(auto) call([[maybe_unused]] client& to, input in) {
    if constexpr (traits::message::has_connection)
      return target_.call(to, std::move(in));
    else
      return target_.call(std::move(in));
  }

  decltype(auto) open([[maybe_unused]] client& to) {
    if constexpr (requires { target_.object().open(to); })
      return target_.object().open(to);
    else if constexpr (requires { target_.object().open(); })
      return target_.object().open();
  }

  decltype(auto) close([[maybe_unused]] client& to) {
    if constexpr (requires { target_.object().close(to); })
      return target_.object().close(to);
    else if constexpr (requires { target_.object().close(); })
      return target_.object().close();
  }

  template <class Call>
  static void send_results(client& to, Call call) {
    if constexpr (std::is_void_v<returned>) {
      call();
    } else if constexpr (is_generator<returned>) {
      for (const output& each : call())
        if (!to.send(each))
          return;
    } else {
      send_all(to, call());
    }
  }

  template <class Values>
  static void send_all(client& to, const Values& values) {
    if constexpr (std::same_as<Values, output>) {
      to.send(values);
    } else if constexpr (codec::optional_type<Values>) {
      if (values)
        to.send(*values);
    } else {
      for (const output& each : values)
        if (!to.send(each))
          return;
    }
  }

  std::shared_ptr<replica_values> values_; ///< outlive the object
  Target target_;
  bool is_open_ = false;
};

/// Makes the factory of a WebSocket's bodies, or breaks the build with the rule.
template <class Target>
request_body_factory websocket_factory(websocket_settings settings) {
  if constexpr (check_websocket<Target>()) {
    settings.connections.is_async = websocket_traits<Target>::is_async;
    return [settings = std::move(settings)] {
      return std::make_unique<websocket_body>(
        settings,
        [](std::shared_ptr<replica_values> values) -> std::unique_ptr<connection_code> {
          return std::make_unique<websocket_code<Target>>(std::move(values));
        },
        Target::needed_types());
    };
  } else {
    return {};
  }
}

} // namespace sluice::processor

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
