#include <sluice/core/version.hpp>
#include <sluice/flow.hpp>

#include <algorithm>

namespace sluice {

flow::flow(std::string name) : spec_{flow_name{std::move(name)}, SLUICE_VERSION, {}} {}

void flow::add(std::string name, consumer_options options, std::string input_type, std::string output_type,
               body_factory make) {
  // Of the three replica options, those that are not given follow from those that are.
  auto num = options.num_replicas.value_or(1);
  auto low = options.min_replicas.value_or(std::min(1u, num));
  auto high = options.max_replicas.value_or(std::max({1u, low, options.num_replicas.value_or(0)}));
  if (!options.num_replicas)
    num = std::max(low, std::min(num, high));

  if (output_type.empty()) {
    if (options.sink.kind.empty())
      options.sink = io::empty();
    else if (options.sink.kind != "empty" && mistake_.empty())
      mistake_ = "processor \"" + name + "\": sink: must not be given, as the processor returns nothing";
  } else if (options.sink.kind.empty() && mistake_.empty()) {
    mistake_ = "processor \"" + name
               + "\": sink: is missing; say where the results go, or sluice::empty() to drop them";
  }

  processor_name key{std::move(name)};
  spec_.processors.push_back({.name = key,
                              .kind = pattern::consumer,
                              .source = std::move(options.source),
                              .sink = std::move(options.sink),
                              .num_replicas = num,
                              .min_replicas = low,
                              .max_replicas = high,
                              .autoscale = options.autoscale,
                              .num_cpus = options.num_cpus,
                              .memory_bytes = options.memory_bytes,
                              .num_concurrency = options.num_concurrency,
                              .timeout = options.timeout,
                              .max_attempts = options.max_attempts,
                              .batch_size = options.batch_size,
                              .log_level = std::move(options.log_level),
                              .input_type = std::move(input_type),
                              .output_type = std::move(output_type)});
  bodies_.emplace(std::move(key), std::move(make));
}

flow_spec flow::spec() const {
  if (!mistake_.empty())
    throw flow_error{mistake_};
  if (auto checked = check(spec_); !checked)
    throw flow_error{checked.error().message};
  return spec_;
}

} // namespace sluice
