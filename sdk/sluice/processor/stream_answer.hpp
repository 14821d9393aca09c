#pragma once

#include <sluice/async.hpp>
#include <sluice/codec/codec.hpp>
#include <sluice/generator.hpp>
#include <sluice/processor/request_body.hpp>
#include <sluice/processor/writable.hpp>
#include <sluice/stream.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

// As in async.hpp: the frame of a coroutine on a type without linkage has none either.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

/// Answers that are made and sent one value after the other.
namespace sluice::processor {

enum class stream_format : std::uint8_t {
  lines,  ///< application/x-ndjson: one JSON value a line
  events, ///< text/event-stream: for clients that name it and want it no less
};

/// By the Accept field of the request.
stream_format stream_format_of(const request& in);

/// Writes values to an exchange. The answer begins with the first one, or with the first wait for one: what fails
/// before that has a status of its own. One thread, or one executor.
class stream_writer {
public:
  explicit stream_writer(exchange& call) : call_(call), format_(stream_format_of(call.in)) {}

  /// False: nobody reads any more. Throws if the value has no JSON form after all.
  template <class T>
  bool write(const T& value) {
    std::string text;
    if constexpr (std::same_as<T, std::string>) {
      if (format_ == stream_format::events)
        return write_event(value);
    }
    if (auto done = codec::encode(value, text); !done)
      throw std::runtime_error{"a value of the stream cannot be written: " + done.error().message};
    return write_json(std::move(text));
  }

  /// A value is to come later: the client gets status and headers now, so that it knows it is connected.
  void begin_without_value() {
    if (!has_begun_)
      begin({});
  }

  bool has_room() const noexcept { return call_.waiting_bytes() <= stream_window_bytes; }

  void finish();

private:
  bool write_json(std::string text);
  bool write_event(std::string_view text);
  bool send(std::string part);
  void begin(std::string part);

  exchange& call_;
  stream_format format_;
  bool has_begun_ = false;
};

/// Ends an answer that has begun and cannot go on: says so in the format of the stream, and cuts it off where
/// the client would take it for whole.
void break_stream(exchange& call, std::string_view error_json);

/// Only to be awaited: the next value of a stream; if there is none yet, the answer begins without it.
template <class T>
class [[nodiscard]] value_or_begin {
public:
  value_or_begin(stream<T>& values, stream_writer& writer) noexcept : next_(values.next()), writer_(writer) {}

  bool await_ready() const noexcept { return next_.await_ready(); }

  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> self) {
    const bool waits = next_.await_suspend(self);
    if (waits) // it is resumed on this executor, and so not before this returns
      writer_.begin_without_value();
    return waits;
  }

  std::optional<T> await_resume() { return next_.await_resume(); }

private:
  sluice::detail::next_awaiter<T> next_;
  stream_writer& writer_;
};

/// Writes what a generator gives, blocking while the client is slower.
template <class T>
void write_all(exchange& call, generator<T> values) {
  stream_writer writer{call};
  for (const T& value : values) {
    if (!writer.write(value))
      return;
    if (!writer.has_room())
      wait_until_writable(call);
  }
  writer.finish();
}

/// Writes what a stream gives, asking for the next value only when the client has room for it.
template <class T>
async<> write_all_async(exchange_ptr call, stream<T> values) {
  stream_writer writer{*call};
  for (;;) {
    // Temporaries in co_await expressions are not safe with g++ 12: everything has a name.
    value_or_begin<T> next{values, writer};
    std::optional<T> value = co_await next;
    if (!value)
      break;
    if (!writer.write(*value))
      co_return;
    if (!writer.has_room()) {
      writable_awaiter<exchange> room{call};
      co_await room;
    }
  }
  writer.finish();
}

} // namespace sluice::processor

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
