#include <sluice/codec/json_reader.hpp>
#include <sluice/codec/reflect.hpp>
#include <sluice/core/name_rule.hpp>
#include <sluice/flow_spec.hpp>
#include <sluice/http/route.hpp>
#include <sluice/log.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace sluice {

std::string_view to_string(pattern value) noexcept {
  for (const auto& entry : codec::enum_entries_v<pattern>)
    if (entry.value == value)
      return entry.name;
  return "unknown";
}

namespace {

constexpr std::size_t option_value_bytes_max = 4096; // a path, a URL
constexpr std::size_t options_max = 64;
constexpr std::size_t type_label_bytes_max = 1024;
constexpr std::size_t route_bytes_max = 1024;
constexpr std::size_t cors_origins_max = 64;
constexpr std::size_t node_labels_max = 16;
constexpr std::size_t label_bytes_max = 256;
constexpr std::size_t cors_origin_bytes_max = 300; // a host name has 253
constexpr std::uint32_t queued_requests_max = 100'000;
constexpr std::uint32_t ongoing_requests_max = 100'000;
constexpr std::uint32_t connections_max = 1'000'000;
constexpr auto timeout_max = std::chrono::hours{24 * 365}; // so that a time and it can be added
constexpr double requests_per_s_max = 1'000'000;
constexpr std::uint32_t burst_max = 1'000'000;
constexpr auto http_timeout_max = std::chrono::hours{24};

std::string normal(const std::string& path) {
  return std::filesystem::path{path}.lexically_normal().string();
}

/// The file that a source or sink names; empty if it is no file.
std::string file_of(const io_spec& io) {
  auto path = io.options.find("path");
  return io.kind == "file" && path != io.options.end() ? normal(path->second) : std::string{};
}

/// Collects the first mistake of one processor.
class rules {
public:
  explicit rules(const processor_spec& spec) : spec_(spec) {}

  result<void> first_mistake() {
    check_ends();
    check_replicas();
    check_resources();
    check_delivery();
    check_batch();
    if (mistake_.empty())
      return {};
    return fail(errc::invalid_argument, "processor \"" + spec_.name.value + "\": " + mistake_);
  }

private:
  /// Notes `option: rule` unless it holds or something was noted before.
  void need(bool holds, std::string_view option, std::string rule) {
    if (!holds && mistake_.empty())
      mistake_ = std::string{option} + ": " + std::move(rule);
  }

  void check_range(std::string_view option, std::uint64_t value, std::uint64_t low, std::uint64_t high) {
    need(value >= low && value <= high, option,
         "must be from " + std::to_string(low) + " to " + std::to_string(high) + ", is "
           + std::to_string(value));
  }

  /// Which of source, sink and route the pattern has.
  void check_ends() {
    const bool has_source = spec_.kind == pattern::consumer || spec_.kind == pattern::batch;
    const bool has_sink = has_source || spec_.kind == pattern::collector;
    if (has_source)
      check_io("source", spec_.source);
    else
      check_absent("source", spec_.source);
    if (has_sink) {
      need(spec_.sink.kind != "pulse", "sink", "a pulse only comes, nothing goes into it; it is a source");
      check_io("sink", spec_.sink);
    } else
      check_absent("sink", spec_.sink);
    need(has_source != spec_.http.has_value(), "route",
         has_source ? "must not be given to a " + std::string{to_string(spec_.kind)} : "is missing");
    if (spec_.http)
      check_http(*spec_.http);
  }

  void check_absent(std::string_view option, const io_spec& io) {
    need(io == io_spec{}, option, "must not be given; pattern: " + std::string{to_string(spec_.kind)});
  }

  void check_http(const http_spec& http) {
    auto route = http::parse_route(http.route);
    need(!http.route.empty(), "route", "is missing");
    need(route.has_value(), "route", route ? "" : route.error().message);
    const auto shape = http::route_shape(http.route);
    need(shape != http::openapi_path && shape != http::docs_path, "route",
         http.route + " is a page of Sluice itself, as " + std::string{http::openapi_path} + " and "
           + std::string{http::docs_path} + " are; take another path");
    need(http.route.size() <= route_bytes_max, "route",
         "has more than " + std::to_string(route_bytes_max) + " bytes");
    check_method(http.method);
    check_range("body_bytes_max", http.body_bytes_max, 1, limits::http_body_bytes_max);
    check_range("max_queued_requests", http.max_queued_requests, 0, queued_requests_max);
    check_range("target_ongoing_requests", http.target_ongoing_requests, 1, ongoing_requests_max);
    check_range("max_connections", http.max_connections, 1, connections_max);
    need(http.rate_limit >= 0 && http.rate_limit <= requests_per_s_max, "rate_limit",
         "must be from 0 to 1000000 requests per second, is " + std::to_string(http.rate_limit));
    check_range("rate_burst", http.rate_burst, 0, burst_max);
    need(http.rate_burst == 0 || http.rate_limit > 0, "rate_burst", "is of no use without a rate_limit");
    need(spec_.timeout <= http_timeout_max, "timeout", "must not be above 24 hours");
    need(http.cors_origins.size() <= cors_origins_max, "cors_origins",
         "has more than " + std::to_string(cors_origins_max) + " origins");
    for (const auto& origin : http.cors_origins)
      need(is_origin(origin), "cors_origins",
           "\"" + origin.substr(0, 64) + "\" is no origin such as https://example.org:8443, and not \"*\"");
    codec::json_reader openapi{http.openapi};
    need(http.openapi.empty() || (openapi.skip_value() && openapi.finish()), "openapi", "is not JSON");
  }

  void check_method(method value) {
    switch (spec_.kind) {
    case pattern::websocket:
      need(value == method::get, "method", "a websocket opens with GET");
      break;
    case pattern::collector:
      need(value == method::get || value == method::post, "method", "a collector takes POST or GET");
      break;
    default:
      need(value <= method::delete_, "method", "HEAD and OPTIONS are answered by the ingress itself");
    }
  }

  /// "*" or scheme://host[:port], as browsers send it.
  static bool is_origin(std::string_view text) {
    if (text == "*")
      return true;
    if (text.size() > cors_origin_bytes_max)
      return false;
    for (std::string_view scheme : {"http://", "https://"})
      if (text.starts_with(scheme)) {
        auto host = text.substr(scheme.size());
        return !host.empty() && std::ranges::all_of(host, [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
                 || std::string_view{".-:[]"}.find(c) != std::string_view::npos;
        });
      }
    return false;
  }

  void check_io(std::string_view option, const io_spec& io) {
    need(!io.kind.empty(), option, "is missing");
    need(is_valid_name(io.kind), option, "the kind \"" + io.kind.substr(0, 64) + "\" is no name");
    need(io.options.size() <= options_max, option,
         "has more than " + std::to_string(options_max) + " options");
    for (const auto& [name, value] : io.options)
      need(is_valid_name(name) && value.size() <= option_value_bytes_max, option,
           "the option \"" + name.substr(0, 64) + "\" has a bad name or more than "
             + std::to_string(option_value_bytes_max) + " bytes");
    if (io.kind == "queue") {
      auto name = io.options.find("name");
      need(name != io.options.end() && is_valid_name(name->second), option,
           "a queue's name has " + std::string{name_rule} + "; it is \""
             + (name == io.options.end() ? std::string{} : name->second.substr(0, 64)) + "\"");
      need(name == io.options.end() || !name->second.starts_with(batch_queue_prefix), option,
           "names of queues that begin with \"" + std::string{batch_queue_prefix}
             + "\" are those of batches; take another one");
    }
    if (io.kind == "file")
      need(io.options.contains("path") && !io.options.at("path").empty(), option, "a file needs a path");
    if (io.kind == "pulse") {
      auto interval = io.options.find("interval_ms");
      need(interval != io.options.end()
             && interval->second.find_first_not_of("0123456789") == std::string::npos
             && interval->second.find_first_not_of('0') != std::string::npos,
           option, "a pulse needs an interval of at least 1 ms");
    }
  }

  void check_replicas() {
    if (spec_.kind == pattern::batch) // its max_replicas is not the user's
      check_range("num_replicas", spec_.num_replicas, 1, limits::replicas_max);
    check_range("max_replicas", spec_.max_replicas, 1, limits::replicas_max);
    need(spec_.min_replicas <= spec_.max_replicas, "min_replicas",
         "must not be above max_replicas (" + std::to_string(spec_.max_replicas) + "), is "
           + std::to_string(spec_.min_replicas));
    need(spec_.num_replicas >= spec_.min_replicas && spec_.num_replicas <= spec_.max_replicas, "num_replicas",
         "must be from min_replicas (" + std::to_string(spec_.min_replicas) + ") to max_replicas ("
           + std::to_string(spec_.max_replicas) + "), is " + std::to_string(spec_.num_replicas));
    const bool is_owned = has_one_owner(spec_);
    need(!is_owned || spec_.max_replicas == 1, "max_replicas",
         "must be 1 with a " + spec_.source.kind + " source, which one replica owns; put a queue between, is "
           + std::to_string(spec_.max_replicas));
    need(!is_owned || spec_.num_replicas == 1, "num_replicas",
         "must be 1 with a " + spec_.source.kind + " source, is " + std::to_string(spec_.num_replicas));
  }

  void check_resources() {
    need(std::isfinite(spec_.num_cpus) && spec_.num_cpus >= 0 && spec_.num_cpus <= limits::cpus_max,
         "num_cpus",
         "must be from 0 to " + std::to_string(static_cast<int>(limits::cpus_max)) + ", is "
           + std::to_string(spec_.num_cpus));
    check_range("num_concurrency", spec_.num_concurrency, 1, limits::concurrency_max);
    need(spec_.node_labels.size() <= node_labels_max, "node_labels",
         "has more than " + std::to_string(node_labels_max) + " labels");
    for (const auto& [key, value] : spec_.node_labels)
      need(is_label(key, value), "node_labels",
           "\"" + key.substr(0, 64) + "=" + value.substr(0, 64)
             + "\" is no label that a node can have: KEY=VALUE without commas, up to "
             + std::to_string(label_bytes_max) + " bytes each");
  }

  /// What `sluice start --labels` can say.
  static bool is_label(std::string_view key, std::string_view value) {
    return !key.empty() && key.find_first_of("=,") == std::string_view::npos
           && value.find(',') == std::string_view::npos && key.size() <= label_bytes_max
           && value.size() <= label_bytes_max;
  }

  void check_delivery() {
    need(spec_.timeout >= spec_.timeout.zero(), "timeout", "must not be negative");
    need(spec_.timeout <= timeout_max, "timeout", "must be a year at most; 0 is none");
    check_range("max_attempts", spec_.max_attempts, 1, limits::attempts_max);
    check_range("batch_size", spec_.batch_size, 1, limits::block_count_max);
    need(std::ranges::any_of(codec::enum_entries_v<log::level>,
                             [&](const auto& entry) { return entry.name == spec_.log_level; }),
         "log_level",
         "must be trace, debug, info, warn or error, is \"" + spec_.log_level.substr(0, 64) + "\"");
    need(spec_.input_type.size() <= type_label_bytes_max, "input_type", "is too long");
    need(spec_.output_type.size() <= type_label_bytes_max, "output_type", "is too long");
  }

  void check_batch() {
    const auto source_file = file_of(spec_.source);
    need(source_file.empty() || source_file != file_of(spec_.sink), "sink",
         "must not be the file that is read");
    need((spec_.kind == pattern::batch) == spec_.batch.has_value(), "batch",
         spec_.batch ? "must not be given; pattern: " + std::string{to_string(spec_.kind)} : "is missing");
    if (!spec_.batch)
      return;
    need(spec_.source.kind == "file" || spec_.source.kind == "queue", "source",
         "a batch reads a file, or what is in a queue; a " + spec_.source.kind + " has no end");
    if (spec_.source.kind == "queue")
      check_queue_batch();
    need(!spec_.source.options.contains("tail"), "source",
         "a batch can not follow a file (tail): it has an end");
    const auto rejected = normal(spec_.batch->rejected);
    need(rejected.empty() || (rejected != source_file && rejected != file_of(spec_.sink)), "rejected",
         "must be another file than source and sink");
    need(spec_.batch->rejected.size() <= option_value_bytes_max, "rejected", "is too long");
    if (spec_.batch->split_bytes != 0)
      check_range("split_bytes", spec_.batch->split_bytes, limits::batch_split_bytes_min,
                  limits::batch_split_bytes_max);
  }

  void check_queue_batch() {
    need(spec_.sink != spec_.source, "sink", "must not be the queue that is read");
    const bool keeps_files =
      spec_.batch->max_rejected > 0 || !spec_.batch->reduce_by.empty() || spec_.sink.kind == "stdout";
    need(!keeps_files || spec_.sink.kind == "file" || !spec_.batch->rejected.empty(), "rejected",
         "must name a file, as neither source nor sink is one: what waits for its place is kept beside it");
    need(spec_.batch->split_bytes <= limits::block_size_bytes_max, "split_bytes",
         "must not be above " + std::to_string(limits::block_size_bytes_max) + " with a queue, is "
           + std::to_string(spec_.batch->split_bytes));
  }

  const processor_spec& spec_;
  std::string mistake_;
};

/// Two batches of which one would replace what the other has written.
result<void> check_outputs(const flow_spec& spec) {
  std::map<std::string, const processor_spec*> taken;
  for (const auto& processor : spec.processors) {
    if (!processor.batch)
      continue;
    for (const auto& [option, file] : {std::pair{"sink", file_of(processor.sink)},
                                       std::pair{"rejected", normal(processor.batch->rejected)}}) {
      const auto [at, is_new] = file.empty() ? std::pair{taken.end(), true} : taken.emplace(file, &processor);
      if (!is_new)
        return fail(errc::invalid_argument, "processor \"" + processor.name.value + "\": " + option + ": "
                                              + file + " is written by processor \"" + at->second->name.value
                                              + "\", and a batch replaces its output as a whole");
    }
  }
  return {};
}

/// A batch that would take what another one has not written yet.
result<void> check_chains(const flow_spec& spec) {
  for (const auto& reader : spec.processors)
    for (const auto& writer : spec.processors)
      if (const auto file = file_of(reader.source);
          reader.batch && writer.batch && &reader != &writer
          && (reader.source == writer.sink || (!file.empty() && file == file_of(writer.sink))))
        return fail(
          errc::invalid_argument,
          "processor \"" + reader.name.value
            + "\": source: " + (file.empty() ? "queue " + reader.source.options.at("name") : file)
            + " is written by the batch \"" + writer.name.value
            + "\" of the same flow, and both begin at once: it would end with what is there by then; make "
              "it a flow of its own, and run that after this one");
  return {};
}

/// Two processors that would get the same requests.
result<void> check_routes(const flow_spec& spec) {
  std::map<std::pair<method, std::string>, const processor_spec*> taken;
  for (const auto& processor : spec.processors) {
    if (!processor.http)
      continue;
    const auto& http = *processor.http;
    auto [at, is_new] = taken.emplace(std::pair{http.method, http::route_shape(http.route)}, &processor);
    if (!is_new)
      return fail(errc::invalid_argument,
                  "processor \"" + processor.name.value + "\": route: " + std::string{to_string(http.method)}
                    + " " + http.route + " is taken by processor \"" + at->second->name.value + "\" ("
                    + at->second->http->route + ")");
  }
  return {};
}

std::string name_mistake(std::string_view what, const std::string& name) {
  return std::string{what} + " \"" + name.substr(0, 64) + "\": a name has " + std::string{name_rule};
}

} // namespace

bool ends_by_itself(const flow_spec& spec) noexcept {
  return !spec.processors.empty() && std::ranges::all_of(spec.processors, [](const processor_spec& each) {
    return each.kind == pattern::batch;
  });
}

bool has_one_owner(const processor_spec& spec) noexcept {
  return spec.kind == pattern::consumer && (spec.source.kind == "file" || spec.source.kind == "pulse");
}

result<void> check_for_cluster(const flow_spec& spec) {
  for (const auto& processor : spec.processors)
    for (const auto& [option, path] :
         {std::pair{"source", file_of(processor.source)}, std::pair{"sink", file_of(processor.sink)},
          std::pair{"rejected", processor.batch ? normal(processor.batch->rejected) : std::string{}}})
      if (!path.empty() && std::filesystem::path{path}.is_relative())
        return fail(
          errc::invalid_argument,
          "processor \"" + processor.name.value + "\": " + option + ": the path " + path
            + " is relative; on a cluster it has to be absolute and lead to the same file on every node, "
              "as each host has its own folder");
  return {};
}

result<void> check(const flow_spec& spec) {
  if (!is_valid_name(spec.name.value))
    return fail(errc::invalid_argument, name_mistake("flow", spec.name.value));
  if (spec.processors.empty())
    return fail(errc::invalid_argument, "flow \"" + spec.name.value + "\": has no processors");
  if (spec.processors.size() > limits::processors_max)
    return fail(errc::invalid_argument, "flow \"" + spec.name.value + "\": has more than "
                                          + std::to_string(limits::processors_max) + " processors");
  std::set<processor_name> names;
  for (const auto& processor : spec.processors) {
    if (!is_valid_name(processor.name.value))
      return fail(errc::invalid_argument, name_mistake("processor", processor.name.value));
    if (!names.insert(processor.name).second)
      return fail(errc::invalid_argument, "processor \"" + processor.name.value
                                            + "\": name: is used twice in flow \"" + spec.name.value + "\"");
    if (auto checked = rules{processor}.first_mistake(); !checked)
      return checked;
  }
  if (auto checked = check_outputs(spec); !checked)
    return checked;
  if (auto checked = check_chains(spec); !checked)
    return checked;
  return check_routes(spec);
}

} // namespace sluice
