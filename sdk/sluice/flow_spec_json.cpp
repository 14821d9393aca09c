#include <sluice/codec/codec.hpp>
#include <sluice/flow_spec.hpp>

#include <optional>
#include <utility>

namespace sluice {

namespace {

// Members as they are written; the names are a contract with stored and sent documents.
struct io_json {
  std::string kind;
  std::optional<std::map<std::string, std::string>> options;
};

struct http_json {
  std::string route;
  std::string method;
  std::uint64_t body_bytes_max = http_spec{}.body_bytes_max;
  std::uint32_t max_queued_requests = http_spec{}.max_queued_requests;
  std::uint32_t target_ongoing_requests = http_spec{}.target_ongoing_requests;
  std::uint32_t max_connections = http_spec{}.max_connections;
  double rate_limit = http_spec{}.rate_limit;
  std::uint32_t rate_burst = http_spec{}.rate_burst;
  std::optional<std::vector<std::string>> cors_origins;
  std::optional<json_text> openapi;
};

struct batch_json {
  std::uint64_t max_rejected = batch_spec{}.max_rejected;
  std::optional<std::string> rejected;
  std::uint64_t split_bytes = batch_spec{}.split_bytes;
  std::optional<std::string> reduce_by;
};

struct processor_json {
  std::string name;
  sluice::pattern pattern = sluice::pattern::consumer;
  std::optional<io_json> source;
  std::optional<io_json> sink;
  std::optional<http_json> http;
  std::optional<batch_json> batch;
  std::uint32_t num_replicas = processor_spec{}.num_replicas;
  std::uint32_t min_replicas = processor_spec{}.min_replicas;
  std::uint32_t max_replicas = processor_spec{}.max_replicas;
  bool autoscale = processor_spec{}.autoscale;
  double num_cpus = processor_spec{}.num_cpus;
  std::uint64_t memory_bytes = processor_spec{}.memory_bytes;
  std::optional<std::map<std::string, std::string>> node_labels;
  std::uint32_t num_concurrency = processor_spec{}.num_concurrency;
  std::chrono::milliseconds timeout_ms = processor_spec{}.timeout;
  std::uint32_t max_attempts = processor_spec{}.max_attempts;
  std::uint32_t batch_size = processor_spec{}.batch_size;
  std::string log_level = processor_spec{}.log_level;
  std::optional<std::string> input_type;
  std::optional<std::string> output_type;
};

struct flow_json {
  std::string name;
  std::vector<processor_json> processors;
};

struct description {
  std::string sluice;
  flow_json flow;
};

std::optional<io_json> to_document(const io_spec& io) {
  if (io == io_spec{})
    return std::nullopt;
  return io_json{io.kind, io.options};
}

io_spec from_document(std::optional<io_json> io) {
  if (!io)
    return {};
  return {std::move(io->kind), std::move(io->options).value_or(std::map<std::string, std::string>{})};
}

std::optional<http_json> to_document(const std::optional<http_spec>& http) {
  if (!http)
    return std::nullopt;
  return http_json{.route = http->route,
                   .method = std::string{to_string(http->method)},
                   .body_bytes_max = http->body_bytes_max,
                   .max_queued_requests = http->max_queued_requests,
                   .target_ongoing_requests = http->target_ongoing_requests,
                   .max_connections = http->max_connections,
                   .rate_limit = http->rate_limit,
                   .rate_burst = http->rate_burst,
                   .cors_origins = http->cors_origins,
                   .openapi = http->openapi.empty() ? std::nullopt : std::optional{json_text{http->openapi}}};
}

/// None if the method is no method.
std::optional<http_spec> from_document(http_json http) {
  auto method = method_from(http.method);
  if (!method)
    return std::nullopt;
  return http_spec{.route = std::move(http.route),
                   .method = *method,
                   .body_bytes_max = http.body_bytes_max,
                   .max_queued_requests = http.max_queued_requests,
                   .target_ongoing_requests = http.target_ongoing_requests,
                   .max_connections = http.max_connections,
                   .rate_limit = http.rate_limit,
                   .rate_burst = http.rate_burst,
                   .cors_origins = std::move(http.cors_origins).value_or(std::vector<std::string>{}),
                   .openapi = std::move(http.openapi).value_or(json_text{""}).text};
}

std::optional<std::string> text_or_none(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional{text};
}

std::optional<batch_json> to_document(const std::optional<batch_spec>& batch) {
  if (!batch)
    return std::nullopt;
  return batch_json{.max_rejected = batch->max_rejected,
                    .rejected = text_or_none(batch->rejected),
                    .split_bytes = batch->split_bytes,
                    .reduce_by = text_or_none(batch->reduce_by)};
}

std::optional<batch_spec> from_document(std::optional<batch_json> batch) {
  if (!batch)
    return std::nullopt;
  return batch_spec{.max_rejected = batch->max_rejected,
                    .rejected = std::move(batch->rejected).value_or(""),
                    .split_bytes = batch->split_bytes,
                    .reduce_by = std::move(batch->reduce_by).value_or("")};
}

processor_json to_document(const processor_spec& from) {
  return {.name = from.name.value,
          .pattern = from.kind,
          .source = to_document(from.source),
          .sink = to_document(from.sink),
          .http = to_document(from.http),
          .batch = to_document(from.batch),
          .num_replicas = from.num_replicas,
          .min_replicas = from.min_replicas,
          .max_replicas = from.max_replicas,
          .autoscale = from.autoscale,
          .num_cpus = from.num_cpus,
          .memory_bytes = from.memory_bytes,
          .node_labels = from.node_labels.empty() ? std::nullopt : std::optional{from.node_labels},
          .num_concurrency = from.num_concurrency,
          .timeout_ms = from.timeout,
          .max_attempts = from.max_attempts,
          .batch_size = from.batch_size,
          .log_level = from.log_level,
          .input_type = from.input_type,
          .output_type = from.output_type};
}

processor_spec from_document(processor_json from) {
  return {.name = processor_name{std::move(from.name)},
          .kind = from.pattern,
          .source = from_document(std::move(from.source)),
          .sink = from_document(std::move(from.sink)),
          .num_replicas = from.num_replicas,
          .min_replicas = from.min_replicas,
          .max_replicas = from.max_replicas,
          .autoscale = from.autoscale,
          .num_cpus = from.num_cpus,
          .memory_bytes = from.memory_bytes,
          .node_labels = std::move(from.node_labels).value_or(std::map<std::string, std::string>{}),
          .num_concurrency = from.num_concurrency,
          .timeout = from.timeout_ms,
          .max_attempts = from.max_attempts,
          .batch_size = from.batch_size,
          .log_level = std::move(from.log_level),
          .input_type = std::move(from.input_type).value_or(""),
          .output_type = std::move(from.output_type).value_or(""),
          .http = {},
          .batch = from_document(std::move(from.batch))};
}

} // namespace

std::string to_json(const flow_spec& spec) {
  description doc{spec.sluice_version, {spec.name.value, {}}};
  for (const auto& processor : spec.processors)
    doc.flow.processors.push_back(to_document(processor));
  std::string text;
  // What cannot be written (a name that is no UTF-8) is nothing that `check` lets pass.
  if (!codec::encode(doc, text))
    return "{}\n";
  return codec::indent_json(text) + "\n";
}

result<flow_spec> flow_spec_from_json(std::string_view text) {
  if (text.size() > limits::flow_spec_bytes_max)
    return fail(errc::invalid_argument,
                "flow: longer than " + std::to_string(limits::flow_spec_bytes_max) + " bytes");
  auto doc = codec::decode<description>(text);
  if (!doc)
    return fail(doc);
  flow_spec spec{flow_name{std::move(doc->flow.name)}, std::move(doc->sluice), {}};
  for (std::size_t i = 0; i < doc->flow.processors.size(); ++i) {
    auto& processor = doc->flow.processors[i];
    auto document = std::exchange(processor.http, std::nullopt);
    auto& read = spec.processors.emplace_back(from_document(std::move(processor)));
    if (!document)
      continue;
    auto method = document->method;
    read.http = from_document(std::move(*document));
    if (!read.http)
      return fail(errc::invalid_argument, "description.flow.processors[" + std::to_string(i)
                                            + "].http.method: expected a method such as GET, got \""
                                            + method.substr(0, 64) + "\"");
  }
  return spec;
}

} // namespace sluice
