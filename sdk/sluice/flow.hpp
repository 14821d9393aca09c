#pragma once

#include <sluice/flow_spec.hpp>
#include <sluice/io/makers.hpp>
#include <sluice/processor/consumer.hpp>
#include <sluice/processor/request_body.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace sluice {

/// A flow that cannot be run. Its text names the processor, the option and the rule.
class flow_error : public std::invalid_argument {
public:
  using std::invalid_argument::invalid_argument;
};

/// How a consumer is fed and run. Set by name: `{.source = sluice::queue("orders"), ...}`.
///
/// Option          | Meaning                                              | Default
/// --------------- | ---------------------------------------------------- | -------
/// source          | where records come from, required                    | -
/// sink            | where results go, required unless there are none     | empty
/// num_replicas    | copies to begin with                                 | 1, moved into min..max
/// min_replicas    | never fewer; 0 = may be scaled to zero               | 1, or num_replicas if lower
/// max_replicas    | never more; 1 with a file or pulse source            | num_replicas or min_replicas
/// autoscale       | the cluster picks a number from min to max           | true
/// num_cpus        | reserved per replica; fractions are fine             | 1.0
/// memory_bytes    | reserved per replica; 0 = none                       | 0
/// num_concurrency | records at once per replica                          | 1
/// timeout         | per record; 0 = none                                 | 0
/// max_attempts    | deliveries of a record until it is a dead letter     | 5
/// batch_size      | records per pull, up to 4096                         | 500
/// log_level       | trace, debug, info, warn, error                      | info
struct consumer_options {
  io_spec source = {};
  io_spec sink = {};
  std::optional<std::uint32_t> num_replicas = {};
  std::optional<std::uint32_t> min_replicas = {};
  std::optional<std::uint32_t> max_replicas = {};
  bool autoscale = processor_spec{}.autoscale;
  double num_cpus = processor_spec{}.num_cpus;
  std::uint64_t memory_bytes = processor_spec{}.memory_bytes;
  std::uint32_t num_concurrency = processor_spec{}.num_concurrency;
  std::chrono::milliseconds timeout = processor_spec{}.timeout;
  std::uint32_t max_attempts = processor_spec{}.max_attempts;
  std::uint32_t batch_size = processor_spec{}.batch_size;
  std::string log_level = processor_spec{}.log_level;
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
  /// not async is called from as many threads at once.
  template <auto Function>
  flow& consumer(std::string name, consumer_options options) {
    return add_consumer<processor::function_target<Function>>(std::move(name), std::move(options));
  }

  /// The same with a class: `process` is the function, `setup` runs before the first
  /// record, `teardown` after the last, where the class has them. Every replica makes one
  /// object of its own.
  template <class Processor>
  flow& consumer(std::string name, consumer_options options) {
    static_assert(processor::has_process<Processor>,
                  "sluice: a processor class has one public process(record), which is no template and has no "
                  "overloads");
    static_assert(
      std::is_default_constructible_v<Processor>,
      "sluice: a processor class is default constructible; what it needs later goes into setup()");
    if constexpr (processor::has_process<Processor> && std::is_default_constructible_v<Processor>)
      add_consumer<processor::class_target<Processor>>(std::move(name), std::move(options));
    return *this;
  }

  /// The flow as data. Throws `flow_error` with the first mistake.
  flow_spec spec() const;

  /// User code by processor name, as `spec` names them.
  const std::map<processor_name, processor_code>& bodies() const noexcept { return bodies_; }

private:
  template <class Target>
  flow& add_consumer(std::string name, consumer_options options) {
    auto make = processor::consumer_factory<Target>();
    if constexpr (Target::call_signature::arity == 1) {
      using traits = processor::traits<Target>;
      std::string output;
      if constexpr (!std::is_void_v<typename traits::output>)
        output = codec::type_label<typename traits::output>();
      add(std::move(name), std::move(options), codec::type_label<typename traits::input>(), std::move(output),
          std::move(make));
    }
    return *this;
  }

  /// `output_type` empty = there are no results.
  void add(std::string name, consumer_options options, std::string input_type, std::string output_type,
           body_factory make);

  flow_spec spec_;
  std::map<processor_name, processor_code> bodies_;
  std::string mistake_;
};

} // namespace sluice
