#pragma once

#include <sluice/codec/text.hpp>
#include <sluice/flow_options.hpp>
#include <sluice/flow_spec.hpp>
#include <sluice/io/makers.hpp>
#include <sluice/processor/batch.hpp>
#include <sluice/processor/collector.hpp>
#include <sluice/processor/consumer.hpp>
#include <sluice/processor/endpoint.hpp>
#include <sluice/processor/guard.hpp>
#include <sluice/processor/provide.hpp>
#include <sluice/processor/request_body.hpp>
#include <sluice/processor/request_shape.hpp>
#include <sluice/processor/websocket.hpp>
#include <sluice/processor/websocket_shape.hpp>
#include <sluice/websocket.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace sluice {

/// A flow that cannot be run. Its text names the processor, the option and the rule.
class flow_error : public std::invalid_argument {
public:
  using std::invalid_argument::invalid_argument;
};

/// What a program describes: processors by name. Filled in `main`, given to `run`.
///
/// Mistakes do not throw where they are made but from `spec`, so that `run` can tell them
/// to whoever started the program. One thread.
class flow {
public:
  explicit flow(std::string name);

  /// Adds a consumer: each record of the source is read into the argument of the function,
  /// and what it returns is written to the sink.
  ///
  /// `Function` is a function or captureless lambda that takes the record by value or const
  /// reference and returns void, T, std::optional<T> (0 or 1 result), std::vector<T> (any
  /// number), or `sluice::async` of these. With num_concurrency above 1, a function that is
  /// not async is called from as many threads at once; a coroutine that does not say otherwise runs up to 100 times
  /// side by side.
  template <auto Function>
  flow& consumer(std::string name, consumer_options options) {
    return add_consumer<processor::function_target<Function>>(std::move(name), std::move(options));
  }

  /// The same with a class: `process` is the function, `setup` runs before the first
  /// record, `teardown` after the last, where the class has them. Every replica makes one
  /// object of its own: from nothing, or from values that `provide` makes.
  template <class Processor>
  flow& consumer(std::string name, consumer_options options) {
    if constexpr (check_class<Processor>())
      add_consumer<processor::class_target<Processor>>(std::move(name), std::move(options));
    return *this;
  }

  /// Adds an endpoint: each request of the route is answered with what the function returns.
  ///
  /// The function takes nothing, or by value or const reference: a plain struct, whose members are
  /// filled by name from the path, then the query, and with POST, PUT and PATCH the rest from a JSON body;
  /// another type with a JSON form, which is the body; `sluice::raw`, the body as it is; or `sluice::request`,
  /// everything. What does not fit the type is answered 400, 415 or 422 with the place.
  ///
  /// Returned            | Answer
  /// ------------------- | ------
  /// a JSON type         | 200, application/json
  /// std::string         | 200, text/plain; charset=utf-8
  /// sluice::bytes       | 200, application/octet-stream
  /// sluice::response    | itself
  /// std::optional<T>    | T, or 404
  /// void                | 204
  /// sluice::async<T>    | T, from a coroutine
  /// sluice::stream<T>, sluice::generator<T> | 200, one T after the other
  ///
  /// A stream is text/event-stream where the client accepts it, else JSON lines (application/x-ndjson). It begins
  /// with its first value, or when the coroutine first waits: what is thrown before that decides the status, what is
  /// thrown later ends it with an error. What waits before it decides returns sluice::async<sluice::stream<T>>.
  /// It waits while the client is slower. A coroutine ends where it stands when its client goes or its
  /// deadline passes.
  ///
  /// A thrown `sluice::http_error` keeps its status, which the option `errors` documents; another exception is 500 with
  /// the request's id, under which the logs have its text.
  template <auto Function>
  flow& endpoint(std::string name, endpoint_options options) {
    return add_endpoint<processor::function_target<Function>>(std::move(name), std::move(options));
  }
  template <class Processor>
  flow& endpoint(std::string name, endpoint_options options) {
    if constexpr (check_class<Processor>())
      add_endpoint<processor::class_target<Processor>>(std::move(name), std::move(options));
    return *this;
  }

  /// Adds a collector: each request is turned into records for a sink, as the argument of an endpoint and
  /// the results of a consumer are; it returns no void. The client gets 200 {"success":true} once the sink has confirmed,
  /// otherwise {"success":false,"error":...} with 4xx or 5xx.
  template <auto Function>
  flow& collector(std::string name, collector_options options) {
    return add_collector<processor::function_target<Function>>(std::move(name), std::move(options));
  }
  template <class Processor>
  flow& collector(std::string name, collector_options options) {
    if constexpr (check_class<Processor>())
      add_collector<processor::class_target<Processor>>(std::move(name), std::move(options));
    return *this;
  }

  /// Adds a WebSocket: each message of a client is read into the argument of the function, and what it returns is sent
  /// back. Messages of one connection come in order and never at the same time, those of several in up to
  /// num_concurrency threads, or interleaved if they are coroutines.
  ///
  /// The function takes the message, or `sluice::connection<Out>&` and the message: a plain struct or another type with
  /// a JSON form (JSON text), std::string (the text itself) or sluice::bytes (binary). It returns void, Out,
  /// std::optional<Out>, std::vector<Out> (a message each), sluice::generator<Out>, `sluice::async` of one of the first
  /// four, or sluice::stream<Out>. While a client does not read what it is sent, its next message waits.
  ///
  /// A message that does not fit the type closes the connection with 1007 and the place, text for bytes or the other way
  /// round with 1003. A thrown `sluice::websocket_error` closes it with its code, another exception, or a code that may
  /// not be sent, with 1011 and an id under which the logs have its text. A replica that is drained says 1001, one that
  /// is lost 1012: connect again.
  template <auto Function>
  flow& websocket(std::string name, websocket_options options) {
    return add_websocket<processor::connection_function<Function>>(std::move(name), std::move(options));
  }
  /// The same with a class, of which every connection has an object: `process` is the function. `open` and `close`, where
  /// the class has them, take `sluice::connection<Out>&` or nothing, and run before the first message and after the last
  /// one, whoever ended it. A coroutine other than `close` ends where it stands when its client goes.
  template <class Processor>
  flow& websocket(std::string name, websocket_options options) {
    if constexpr (check_class<Processor>())
      add_websocket<processor::connection_object<Processor>>(std::move(name), std::move(options));
    return *this;
  }

  /// Adds a batch: each record of a file is read into the argument of the function, what it returns is
  /// written to the sink, and when all is done the flow ends. Function and results are those of a consumer.
  ///
  /// A file as sink is replaced, in one step and at the end, by the results in the order of the records.
  /// A batch that was interrupted goes on where it was when the program is started again.
  ///
  /// With a queue as source it takes what is ready there until it finds the queue empty, once; what comes later, or is in
  /// other hands at that moment, is for the next run. What it has taken is no longer in that queue but waits in
  /// `batch.FLOW.PROCESSOR`, and is done by this run or, if this one fails or is ended, by the next.
  template <auto Function>
  flow& batch(std::string name, batch_options options) {
    return add_batch<processor::function_target<Function>>(std::move(name), std::move(options));
  }
  template <class Processor>
  flow& batch(std::string name, batch_options options) {
    if constexpr (check_class<Processor>())
      add_batch<processor::class_target<Processor>>(std::move(name), std::move(options));
    return *this;
  }

  /// Adds a batch whose results are merged: of all with an equal member `*Key` one is left, which
  /// `Reduce` makes from two at a time. The sink gets them sorted by that key.
  ///
  ///     flow.batch<to_sales, add, &sales::country>("sales", {...});
  ///
  /// `Reduce` is T(T, T) or void(T& into, const T& next), where T is what the function gives, and must be
  /// associative: which ones meet depends on where the file is cut. They meet in the order of the records,
  /// so the outcome is the same every time. All keys are held in memory: those of a split per thread, and
  /// at the end those of the whole file, in one replica.
  template <auto Function, auto Reduce, auto Key>
  flow& batch(std::string name, batch_options options) {
    return add_reducing_batch<processor::function_target<Function>, Reduce, Key>(std::move(name),
                                                                                 std::move(options));
  }
  template <class Processor, auto Reduce, auto Key>
  flow& batch(std::string name, batch_options options) {
    if constexpr (check_class<Processor>())
      add_reducing_batch<processor::class_target<Processor>, Reduce, Key>(std::move(name),
                                                                          std::move(options));
    return *this;
  }

  /// Makes a value for processor classes whose constructor takes a `T&` or `std::shared_ptr<T>`: one for
  /// all replicas in a host process, or one for each replica. `factory()` returns a T, or a std::unique_ptr
  /// or std::shared_ptr to one; an exception is a failed setup. It is called when the first replica that
  /// needs the value is set up, and the value goes with the last one that had it. What is shared per host
  /// is used by several threads.
  template <class T, std::invocable Factory>
  flow& provide(Factory factory, scope where = scope::host) {
    add_value(typeid(T), std::string{codec::type_name<T>()}, where,
              [factory = std::move(factory)] { return processor::share_value<T>(factory()); });
    return *this;
  }

  const flow_name& name() const noexcept { return spec_.name; }

  /// The flow as data. Throws `flow_error` with the first mistake.
  flow_spec spec() const;

  /// User code by processor name, as `spec` names them.
  const std::map<processor_name, processor_code>& bodies() const noexcept { return bodies_; }

private:
  template <class Processor>
  static consteval bool check_class() {
    static_assert(
      processor::has_process<Processor>,
      "sluice: a processor class has one public process(), which is no template and has no overloads");
    static_assert(processor::makeable<Processor>,
                  "sluice: a processor class is default constructible, or has a constructor that takes T& or "
                  "std::shared_ptr<T> of types that flow.provide makes");
    return processor::has_process<Processor> && processor::makeable<Processor>;
  }

  /// What is not said of a coroutine: many of them wait side by side, and need no lock, while each call of
  /// other code costs a thread.
  template <class Traits, class Options>
  static void settle_concurrency(Options& options) {
    if (!options.num_concurrency)
      options.num_concurrency = Traits::is_async ? async_concurrency_default : 1;
  }

  /// Tells a source that brings text without types what the record's type makes of it.
  static void settle_source(io_spec& source, const codec::field_kinds& fields);

  template <class Target>
  flow& add_consumer(std::string name, consumer_options options) {
    auto make = processor::consumer_factory<Target>(values_);
    if constexpr (Target::call_signature::arity == 1) {
      using traits = processor::traits<Target>;
      settle_concurrency<traits>(options);
      settle_source(options.source, codec::field_kinds_of<typename traits::input>());
      add(name, std::move(options), codec::type_label<typename traits::input>(),
          processor::output_label<typename traits::output>(), std::move(make));
      note_needs<Target>(name);
    }
    return *this;
  }

  template <class Target>
  flow& add_batch(std::string name, batch_options options) {
    auto make = processor::consumer_factory<Target>(values_);
    if constexpr (Target::call_signature::arity == 1) {
      using traits = processor::traits<Target>;
      settle_concurrency<traits>(options);
      settle_source(options.source, codec::field_kinds_of<typename traits::input>());
      add_batch(name, std::move(options), codec::type_label<typename traits::input>(),
                processor::output_label<typename traits::output>(), {}, std::move(make));
      note_needs<Target>(name);
    }
    return *this;
  }

  template <class Target, auto Reduce, auto Key>
  flow& add_reducing_batch(std::string name, batch_options options) {
    processor::check_consumer<Target>();
    if constexpr (Target::call_signature::arity == 1)
      if constexpr (processor::check_reduce<Target, Reduce, Key>()) {
        using traits = processor::traits<Target>;
        settle_concurrency<traits>(options);
        settle_source(options.source, codec::field_kinds_of<typename traits::input>());
        add_batch(name, std::move(options), codec::type_label<typename traits::input>(),
                  processor::output_label<typename traits::output>(), processor::detail::member_name<Key>(),
                  processor::reducing_factory<Target, Reduce, Key>(values_));
        note_needs<Target>(name);
      }
    return *this;
  }

  template <class Target>
  flow& add_endpoint(std::string name, endpoint_options options) {
    if constexpr (processor::check_endpoint<Target>()) {
      settle_concurrency<processor::request_traits<Target>>(options);
      auto settings = request_settings(name, options, false);
      add_request(name, pattern::endpoint, std::move(options), {}, processor::endpoint_shape<Target>(),
                  processor::endpoint_factory<Target>(std::move(settings)));
      note_needs<Target>(name);
    }
    return *this;
  }

  template <class Target>
  flow& add_collector(std::string name, collector_options options) {
    if constexpr (processor::check_collector<Target>()) {
      settle_concurrency<processor::request_traits<Target>>(options);
      auto sink = std::move(options.sink);
      auto common = without_sink(std::move(options));
      auto settings = request_settings(name, common, true);
      add_request(name, pattern::collector, std::move(common), std::move(sink),
                  processor::collector_shape<Target>(),
                  processor::collector_factory<Target>(std::move(settings)));
      note_needs<Target>(name);
    }
    return *this;
  }

  template <class Target>
  flow& add_websocket(std::string name, websocket_options options) {
    if constexpr (processor::check_websocket<Target>()) {
      settle_concurrency<processor::websocket_traits<Target>>(options);
      auto settings = websocket_settings(name, options);
      add_websocket(name, std::move(options), processor::websocket_shape_of<Target>(),
                    processor::websocket_factory<Target>(std::move(settings)));
      note_needs<Target>(name);
    }
    return *this;
  }

  template <class Target>
  void note_needs(const std::string& name) {
    if constexpr (requires { Target::needed_types(); })
      for (const auto& need : Target::needed_types())
        needs_.push_back({name, need});
  }

  /// `output_type` empty = there are no results.
  void add(std::string name, consumer_options options, std::string input_type, std::string output_type,
           body_factory make);
  void add_batch(std::string name, batch_options options, std::string input_type, std::string output_type,
                 std::string reduce_by, body_factory make);
  void add_request(std::string name, pattern kind, endpoint_options options, io_spec sink,
                   const processor::request_shape& shape, request_body_factory make);
  void add_websocket(std::string name, websocket_options options, const processor::websocket_shape& shape,
                     request_body_factory make);
  template <class Code>
  void add_processor(processor_spec spec, Code make);
  void check_guard(const std::string& name, const std::optional<route_guard>& guard);
  void add_value(std::type_index type, const std::string& name, scope where,
                 processor::value_factories::make_value make);
  processor::request_settings request_settings(const std::string& name, const endpoint_options& options,
                                               bool is_collector) const;
  processor::websocket_settings websocket_settings(const std::string& name,
                                                   const websocket_options& options) const;
  static endpoint_options without_sink(collector_options options);
  void settle_sink(const std::string& name, const std::string& output_type, io_spec& sink);
  void note_mistake(const std::string& processor, const std::string& mistake);

  struct need_of {
    std::string processor;
    processor::needed_type what;
  };

  flow_spec spec_;
  std::map<processor_name, processor_code> bodies_;
  std::shared_ptr<processor::value_factories> values_ = std::make_shared<processor::value_factories>();
  std::vector<need_of> needs_;
  std::string mistake_;
};

} // namespace sluice
