#include <sluice/core/version.hpp>
#include <sluice/flow.hpp>

#include <algorithm>

namespace sluice {

flow::flow(std::string name) : spec_{flow_name{std::move(name)}, SLUICE_VERSION, {}} {}

namespace {

constexpr std::string_view sink_is_missing =
  "sink: is missing; say where the results go, or sluice::empty() to drop them";
constexpr std::chrono::milliseconds send_timeout_max =
  std::chrono::hours{1}; ///< so that a time and it can be added

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

replica_counts replicas_of(const batch_options& options) {
  return {options.num_replicas, options.num_replicas, options.num_replicas};
}

/// What every processor has; takes it out of the options.
template <class Options>
processor_spec common_part(std::string name, pattern kind, Options& options) {
  const auto replicas = replicas_of(options);
  processor_spec spec;
  spec.name = processor_name{std::move(name)};
  spec.kind = kind;
  spec.num_replicas = replicas.num;
  spec.min_replicas = replicas.min;
  spec.max_replicas = replicas.max;
  if constexpr (requires { options.autoscale; })
    spec.autoscale = options.autoscale;
  else
    spec.autoscale = false;
  spec.num_cpus = options.num_cpus;
  spec.memory_bytes = options.memory_bytes;
  spec.node_labels = std::move(options.node_labels);
  spec.num_concurrency = options.num_concurrency.value_or(1);
  spec.timeout = options.timeout;
  spec.log_level = std::move(options.log_level);
  return spec;
}

/// Half of those that user code takes side by side: the rest is for the time in which a replica more starts. Two keep a
/// replica busy that takes one at a time. (Ray Serve aims at 2 of 5 whatever the code can take.)
constexpr std::uint32_t target_ongoing_for(std::uint32_t concurrency) noexcept {
  return std::max(2u, concurrency / 2);
}

/// What everything with a route has; takes it out of the options.
template <class Options>
http_spec common_route(Options& options, std::string openapi) {
  http_spec http;
  http.route = std::move(options.route);
  http.max_queued_requests = options.max_queued_requests;
  http.rate_limit = options.rate_limit;
  http.rate_burst = options.rate_burst;
  http.cors_origins = std::move(options.cors_origins);
  http.openapi = std::move(openapi);
  return http;
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

void flow::check_guard(const std::string& name, const std::optional<route_guard>& guard) {
  if (!guard)
    return;
  if (auto mistake = find_mistake(*guard); !mistake.empty())
    note_mistake(name, "guard: " + mistake);
}

template <class Code>
void flow::add_processor(processor_spec spec, Code make) {
  bodies_.emplace(spec.name, std::move(make));
  spec_.processors.push_back(std::move(spec));
}

void flow::settle_source(io_spec& source, const codec::field_kinds& fields) {
  const auto format = source.options.find("format");
  if (source.kind != "file" || format == source.options.end() || format->second != "csv")
    return;
  auto note = [&](const char* option, const std::vector<std::string_view>& names) {
    std::string all;
    for (auto name : names)
      all.append(all.empty() ? "" : ",").append(name);
    if (!all.empty())
      source.options.emplace(option, std::move(all));
  };
  note("text_columns", fields.text);
  note("text_columns_with_empty", fields.text_with_empty);
  note("value_columns", fields.values);
}

void flow::add(std::string name, consumer_options options, std::string input_type, std::string output_type,
               body_factory make) {
  settle_sink(name, output_type, options.sink);
  auto spec = common_part(std::move(name), pattern::consumer, options);
  spec.source = std::move(options.source);
  spec.sink = std::move(options.sink);
  spec.max_attempts = options.max_attempts;
  spec.batch_size = options.batch_size;
  spec.input_type = std::move(input_type);
  spec.output_type = std::move(output_type);
  add_processor(std::move(spec), std::move(make));
}

void flow::add_batch(std::string name, batch_options options, std::string input_type, std::string output_type,
                     std::string reduce_by, body_factory make) {
  settle_sink(name, output_type, options.sink);
  auto spec = common_part(std::move(name), pattern::batch, options);
  spec.source = std::move(options.source);
  spec.sink = std::move(options.sink);
  spec.max_attempts = options.max_attempts;
  spec.input_type = std::move(input_type);
  spec.output_type = std::move(output_type);
  spec.batch = batch_spec{.max_rejected = options.max_rejected,
                          .rejected = std::move(options.rejected),
                          .split_bytes = options.split_bytes,
                          .reduce_by = std::move(reduce_by)};
  add_processor(std::move(spec), std::move(make));
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
                    .num_concurrency = options.num_concurrency.value_or(1),
                    .timeout = options.timeout,
                    .send_timeout =
                      std::clamp<std::chrono::milliseconds>(options.send_timeout, {}, send_timeout_max)}};
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
          .rate_limit = options.rate_limit,
          .rate_burst = options.rate_burst,
          .cors_origins = std::move(options.cors_origins),
          .guard = std::move(options.guard),
          .errors = std::move(options.errors),
          .log_level = std::move(options.log_level)};
}

void flow::add_request(std::string name, pattern kind, endpoint_options options, io_spec sink,
                       const processor::request_shape& shape, request_body_factory make) {
  if (kind == pattern::collector && sink.kind.empty())
    note_mistake(name, std::string{sink_is_missing});
  if (auto mismatch = processor::find_mismatch(shape, options.route, options.method); !mismatch.empty())
    note_mistake(name, mismatch);
  check_guard(name, options.guard);
  if (auto mistake = processor::find_mistake(options.errors); !mistake.empty())
    note_mistake(name, "errors: " + mistake);
  auto spec = common_part(std::move(name), kind, options);
  spec.sink = std::move(sink);
  spec.input_type = shape.input_label;
  spec.output_type = shape.output_label;
  spec.http = common_route(options, processor::describe_operation(shape, options.route, options.method,
                                                                  options.guard, options.errors));
  spec.http->method = options.method;
  spec.http->body_bytes_max = options.body_bytes_max;
  spec.http->target_ongoing_requests =
    options.target_ongoing_requests.value_or(target_ongoing_for(spec.num_concurrency));
  add_processor(std::move(spec), std::move(make));
}

void flow::add_websocket(std::string name, websocket_options options, const processor::websocket_shape& shape,
                         request_body_factory make) {
  check_guard(name, options.guard);
  auto spec = common_part(std::move(name), pattern::websocket, options);
  spec.input_type = shape.input_label;
  spec.output_type = shape.output_label;
  spec.http = common_route(options, processor::describe_websocket(shape, options.route, options.guard));
  spec.http->body_bytes_max = options.message_bytes_max;
  spec.http->target_ongoing_requests = options.target_connections;
  spec.http->max_connections = options.max_connections;
  add_processor(std::move(spec), std::move(make));
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
