#include <sluice/core/version.hpp>
#include <sluice/flow.hpp>

#include <algorithm>

namespace sluice {

flow::flow(std::string name) : spec_{flow_name{std::move(name)}, SLUICE_VERSION, {}} {}

namespace {

constexpr std::string_view sink_is_missing =
  "sink: is missing; say where the results go, or sluice::empty() to drop them";

struct replica_counts {
  std::uint32_t num;
  std::uint32_t min;
  std::uint32_t max;
};

/// Of the three replica options, those that are not given follow from those that are.
template <class Options>
replica_counts replicas_of(const Options& options) {
  auto num = options.num_replicas.value_or(1);
  auto low = options.min_replicas.value_or(std::min(1u, num));
  auto high = options.max_replicas.value_or(std::max({1u, low, options.num_replicas.value_or(0)}));
  if (!options.num_replicas)
    num = std::max(low, std::min(num, high));
  return {num, low, high};
}

} // namespace

void flow::note_mistake(const std::string& processor, const std::string& mistake) {
  if (mistake_.empty())
    mistake_ = "processor \"" + processor + "\": " + mistake;
}

void flow::settle_sink(const std::string& name, const std::string& output_type, io_spec& sink) {
  if (output_type.empty()) {
    if (sink.kind.empty())
      sink = io::empty();
    else if (sink.kind != "empty")
      note_mistake(name, "sink: must not be given, as the processor returns nothing");
  } else if (sink.kind.empty()) {
    note_mistake(name, std::string{sink_is_missing});
  }
}

void flow::add(std::string name, consumer_options options, std::string input_type, std::string output_type,
               body_factory make) {
  auto replicas = replicas_of(options);
  settle_sink(name, output_type, options.sink);

  processor_name key{std::move(name)};
  spec_.processors.push_back({.name = key,
                              .kind = pattern::consumer,
                              .source = std::move(options.source),
                              .sink = std::move(options.sink),
                              .num_replicas = replicas.num,
                              .min_replicas = replicas.min,
                              .max_replicas = replicas.max,
                              .autoscale = options.autoscale,
                              .num_cpus = options.num_cpus,
                              .memory_bytes = options.memory_bytes,
                              .node_labels = std::move(options.node_labels),
                              .num_concurrency = options.num_concurrency,
                              .timeout = options.timeout,
                              .max_attempts = options.max_attempts,
                              .batch_size = options.batch_size,
                              .log_level = std::move(options.log_level),
                              .input_type = std::move(input_type),
                              .output_type = std::move(output_type)});
  bodies_.emplace(std::move(key), std::move(make));
}

void flow::add_batch(std::string name, batch_options options, std::string input_type, std::string output_type,
                     std::string reduce_by, body_factory make) {
  settle_sink(name, output_type, options.sink);
  processor_name key{std::move(name)};
  spec_.processors.push_back({.name = key,
                              .kind = pattern::batch,
                              .source = std::move(options.source),
                              .sink = std::move(options.sink),
                              .num_replicas = options.num_replicas,
                              .min_replicas = options.num_replicas,
                              .max_replicas = options.num_replicas,
                              .autoscale = false,
                              .num_cpus = options.num_cpus,
                              .memory_bytes = options.memory_bytes,
                              .node_labels = std::move(options.node_labels),
                              .num_concurrency = options.num_concurrency,
                              .timeout = options.timeout,
                              .max_attempts = options.max_attempts,
                              .log_level = std::move(options.log_level),
                              .input_type = std::move(input_type),
                              .output_type = std::move(output_type),
                              .batch = batch_spec{.max_rejected = options.max_rejected,
                                                  .rejected = std::move(options.rejected),
                                                  .split_bytes = options.split_bytes,
                                                  .reduce_by = std::move(reduce_by)}});
  bodies_.emplace(std::move(key), std::move(make));
}

processor::request_settings flow::request_settings(const std::string& name, const endpoint_options& options,
                                                   bool is_collector) const {
  return {.style = {name, is_collector},
          .has_body = method_has_body(options.method),
          .guard = options.guard,
          .factories = values_};
}

processor::websocket_settings flow::websocket_settings(const std::string& name,
                                                       const websocket_options& options) const {
  return {
    .request = {.style = {name, false}, .has_body = false, .guard = options.guard, .factories = values_},
    .connections = {.style = {name, false},
                    .connections_max = options.max_connections,
                    .num_concurrency = options.num_concurrency}};
}

endpoint_options flow::without_sink(collector_options options) {
  return {.route = std::move(options.route),
          .method = options.method,
          .num_replicas = options.num_replicas,
          .min_replicas = options.min_replicas,
          .max_replicas = options.max_replicas,
          .autoscale = options.autoscale,
          .num_cpus = options.num_cpus,
          .memory_bytes = options.memory_bytes,
          .node_labels = std::move(options.node_labels),
          .num_concurrency = options.num_concurrency,
          .timeout = options.timeout,
          .target_ongoing_requests = options.target_ongoing_requests,
          .max_queued_requests = options.max_queued_requests,
          .body_bytes_max = options.body_bytes_max,
          .cors_origins = std::move(options.cors_origins),
          .guard = std::move(options.guard),
          .log_level = std::move(options.log_level)};
}

void flow::add_request(std::string name, pattern kind, endpoint_options options, io_spec sink,
                       const processor::request_shape& shape, request_body_factory make) {
  auto replicas = replicas_of(options);
  if (kind == pattern::collector && sink.kind.empty())
    note_mistake(name, std::string{sink_is_missing});
  if (auto mismatch = processor::find_mismatch(shape, options.route, options.method); !mismatch.empty())
    note_mistake(name, mismatch);
  if (options.guard)
    if (auto mistake = find_mistake(*options.guard); !mistake.empty())
      note_mistake(name, "guard: " + mistake);

  auto openapi = processor::describe_operation(shape, options.route, options.method, options.guard);
  processor_name key{std::move(name)};
  spec_.processors.push_back({.name = key,
                              .kind = kind,
                              .source = {},
                              .sink = std::move(sink),
                              .num_replicas = replicas.num,
                              .min_replicas = replicas.min,
                              .max_replicas = replicas.max,
                              .autoscale = options.autoscale,
                              .num_cpus = options.num_cpus,
                              .memory_bytes = options.memory_bytes,
                              .node_labels = std::move(options.node_labels),
                              .num_concurrency = options.num_concurrency,
                              .timeout = options.timeout,
                              .log_level = std::move(options.log_level),
                              .input_type = shape.input_label,
                              .output_type = shape.output_label,
                              .http = http_spec{.route = std::move(options.route),
                                                .method = options.method,
                                                .body_bytes_max = options.body_bytes_max,
                                                .max_queued_requests = options.max_queued_requests,
                                                .target_ongoing_requests = options.target_ongoing_requests,
                                                .cors_origins = std::move(options.cors_origins),
                                                .openapi = std::move(openapi)}});
  bodies_.emplace(std::move(key), std::move(make));
}

void flow::add_websocket(std::string name, websocket_options options, const processor::websocket_shape& shape,
                         request_body_factory make) {
  auto replicas = replicas_of(options);
  if (options.guard)
    if (auto mistake = find_mistake(*options.guard); !mistake.empty())
      note_mistake(name, "guard: " + mistake);
  auto openapi = processor::describe_websocket(shape, options.route, options.guard);
  processor_name key{std::move(name)};
  spec_.processors.push_back({.name = key,
                              .kind = pattern::websocket,
                              .source = {},
                              .sink = {},
                              .num_replicas = replicas.num,
                              .min_replicas = replicas.min,
                              .max_replicas = replicas.max,
                              .autoscale = options.autoscale,
                              .num_cpus = options.num_cpus,
                              .memory_bytes = options.memory_bytes,
                              .node_labels = std::move(options.node_labels),
                              .num_concurrency = options.num_concurrency,
                              .timeout = options.timeout,
                              .log_level = std::move(options.log_level),
                              .input_type = shape.input_label,
                              .output_type = shape.output_label,
                              .http = http_spec{.route = std::move(options.route),
                                                .method = method::get,
                                                .body_bytes_max = options.message_bytes_max,
                                                .max_queued_requests = options.max_queued_requests,
                                                .target_ongoing_requests = options.target_connections,
                                                .max_connections = options.max_connections,
                                                .cors_origins = std::move(options.cors_origins),
                                                .openapi = std::move(openapi)}});
  bodies_.emplace(std::move(key), std::move(make));
}

void flow::add_value(std::type_index type, const std::string& name, scope where,
                     processor::value_factories::make_value make) {
  if (!values_->add(type, where, std::move(make)) && mistake_.empty())
    mistake_ = "flow \"" + spec_.name.value + "\": provide: " + name + " is provided twice";
}

flow_spec flow::spec() const {
  if (!mistake_.empty())
    throw flow_error{mistake_};
  for (const auto& [processor, need] : needs_)
    if (!values_->contains(need.type))
      throw flow_error{"processor \"" + processor + "\": takes a " + need.name
                       + ", which nothing provides; say flow.provide<" + need.name + ">(...)"};
  if (auto checked = check(spec_); !checked)
    throw flow_error{checked.error().message};
  return spec_;
}

} // namespace sluice
