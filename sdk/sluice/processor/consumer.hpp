#pragma once

#include <sluice/codec/codec.hpp>
#include <sluice/processor/body.hpp>
#include <sluice/processor/callable.hpp>
#include <sluice/processor/guarded.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

// As in async.hpp: the frame of a coroutine on a type without linkage has none either.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

namespace sluice::processor {

/// Reads a record. What does not decode never will: `invalid_argument`.
template <class Input>
result<void> read_record(std::string_view payload, Input& out) {
  if constexpr (std::same_as<Input, raw>) {
    out.data.assign(payload);
    return {};
  } else {
    return codec::decode_into(payload, out);
  }
}

template <class Output>
result<void> write_one(const Output& value, encoded_results& out) {
  if constexpr (std::same_as<Output, raw>) {
    out.bytes().append(value.data);
  } else if (auto done = codec::encode(value, out.bytes()); !done) {
    return done;
  }
  out.finish_one();
  return {};
}

/// Writes all results of a call, or none of them.
template <class Output, class Returned>
result<void> write_results(Returned&& returned, encoded_results& out) {
  using plain = std::remove_cvref_t<Returned>;
  if constexpr (std::same_as<plain, Output>) {
    return write_one(returned, out);
  } else if constexpr (codec::optional_type<plain>) {
    return returned ? write_one(*returned, out) : result<void>{};
  } else {
    for (const Output& item : returned)
      if (auto done = write_one<Output>(item, out); !done) {
        out.clear();
        return done;
      }
    return {};
  }
}

/// The same for results that come over time.
template <class Output>
async<result<void>> write_stream(stream<Output>& from, encoded_results& out) {
  for (;;) {
    auto next = from.next();
    std::optional<Output> item = co_await next;
    if (!item)
      co_return result<void>{};
    if (auto done = write_one(*item, out); !done) {
      out.clear();
      co_return done;
    }
  }
}

/// Calls and encodes: a coroutine so that the record lives as long as the call.
template <class Target, class Input>
async<result<void>> call_async(Target& target, Input input, encoded_results& out) {
  using returned = typename traits<Target>::returned;
  // Temporaries in co_await expressions are not safe with g++ 12: everything has a name.
  auto call = target.call(std::move(input));
  if constexpr (is_stream<returned>) {
    auto done = write_stream(call, out);
    co_return co_await std::move(done);
  } else if constexpr (std::is_void_v<returned>) {
    co_await std::move(call);
    result<void> done;
    co_return done;
  } else {
    returned value = co_await std::move(call);
    auto done = write_results<typename traits<Target>::output>(value, out);
    co_return done;
  }
}

/// A user's function or class behind the port that replicas know.
template <class Target>
class consumer_body : public processor_body {
  using input_type = typename traits<Target>::input;
  using returned_type = typename traits<Target>::returned;
  using output_type = typename traits<Target>::output;

public:
  explicit consumer_body(std::shared_ptr<value_factories> factories) : values_(std::move(factories)) {}

  result<void> setup() override {
    return guarded([this]() -> result<void> {
      target_.setup(values_);
      return {};
    });
  }

  result<void> teardown() override {
    return guarded([this]() -> result<void> {
      target_.teardown();
      return {};
    });
  }

  bool is_async() const noexcept override { return traits<Target>::is_async; }

  result<void> process(std::string_view payload, encoded_results& out) override {
    if constexpr (traits<Target>::is_async) {
      return fail(errc::internal, "an async processor was called without an executor");
    } else {
      auto done = guarded([&]() -> result<void> {
        input_type input{};
        if (auto read = read_record(payload, input); !read)
          return read;
        if constexpr (std::is_void_v<returned_type>) {
          target_.call(std::move(input));
          return {};
        } else {
          return write_results<output_type>(target_.call(std::move(input)), out);
        }
      });
      if (!done) // a generator may have given some before it threw
        out.clear();
      return done;
    }
  }

  void process_async(std::string_view payload, encoded_results& out, [[maybe_unused]] executor& where,
                     std::function<void(result<void>)> done) override {
    if constexpr (traits<Target>::is_async) {
      auto started = guarded([&]() -> result<void> {
        input_type input{};
        if (auto read = read_record(payload, input); !read)
          return read;
        start(call_async(target_, std::move(input), out), where, [done, &out](outcome<result<void>> got) {
          result<void> ended = got ? std::move(*got) : result<void>{tl::unexpect, to_failure(got.error())};
          if (!ended)
            out.clear();
          done(std::move(ended));
        });
        return {};
      });
      if (!started)
        done(std::move(started));
    } else {
      done(process(payload, out));
    }
  }

protected:
  Target& target() noexcept { return target_; }

private:
  replica_values values_; ///< outlives the object that may refer to them
  Target target_;
};

/// Makes the factory of a consumer's bodies, or breaks the build with the rule.
template <class Target>
body_factory consumer_factory(std::shared_ptr<value_factories> factories) {
  check_consumer<Target>();
  if constexpr (Target::call_signature::arity == 1)
    return [factories] { return std::make_unique<consumer_body<Target>>(factories); };
  else
    return {};
}

} // namespace sluice::processor

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
