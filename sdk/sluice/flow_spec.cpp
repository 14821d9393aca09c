#include <sluice/codec/codec.hpp>
#include <sluice/flow_spec.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

namespace sluice {

std::string_view to_string(pattern value) noexcept {
  for (const auto& entry : codec::enum_entries_v<pattern>)
    if (entry.value == value)
      return entry.name;
  return "unknown";
}

// ---- rules ----------------------------------------------------------------------

namespace {

constexpr std::size_t option_value_bytes_max = 4096; // a path, a URL
constexpr std::size_t options_max = 64;
constexpr std::size_t type_label_bytes_max = 1024;
constexpr std::string_view log_levels[] = {"trace", "debug", "info", "warn", "error"};

/// Collects the first mistake of one processor.
class rules {
public:
  explicit rules(const processor_spec& spec) : spec_(spec) {}

  result<void> first_mistake() {
    check_io("source", spec_.source);
    check_io("sink", spec_.sink);
    check_replicas();
    check_resources();
    check_delivery();
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
           "a queue's name has 1 to 63 of a-z, 0-9, '-', '_', '.' and starts with a letter or digit, is \""
             + (name == io.options.end() ? std::string{} : name->second.substr(0, 64)) + "\"");
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
    check_range("max_replicas", spec_.max_replicas, 1, limits::replicas_max);
    need(spec_.min_replicas <= spec_.max_replicas, "min_replicas",
         "must not be above max_replicas (" + std::to_string(spec_.max_replicas) + "), is "
           + std::to_string(spec_.min_replicas));
    need(spec_.num_replicas >= spec_.min_replicas && spec_.num_replicas <= spec_.max_replicas, "num_replicas",
         "must be from min_replicas (" + std::to_string(spec_.min_replicas) + ") to max_replicas ("
           + std::to_string(spec_.max_replicas) + "), is " + std::to_string(spec_.num_replicas));
    // The position in such a source has one owner; two replicas would read everything twice.
    bool has_one_owner = spec_.source.kind == "file" || spec_.source.kind == "pulse";
    need(!has_one_owner || spec_.max_replicas == 1, "max_replicas",
         "must be 1 with a " + spec_.source.kind + " source, which one replica owns; put a queue between, is "
           + std::to_string(spec_.max_replicas));
    need(!has_one_owner || spec_.num_replicas == 1, "num_replicas",
         "must be 1 with a " + spec_.source.kind + " source, is " + std::to_string(spec_.num_replicas));
  }

  void check_resources() {
    need(std::isfinite(spec_.num_cpus) && spec_.num_cpus >= 0 && spec_.num_cpus <= limits::cpus_max,
         "num_cpus",
         "must be from 0 to " + std::to_string(static_cast<int>(limits::cpus_max)) + ", is "
           + std::to_string(spec_.num_cpus));
    check_range("num_concurrency", spec_.num_concurrency, 1, limits::concurrency_max);
  }

  void check_delivery() {
    need(spec_.timeout >= spec_.timeout.zero(), "timeout", "must not be negative");
    check_range("max_attempts", spec_.max_attempts, 1, limits::attempts_max);
    check_range("batch_size", spec_.batch_size, 1, limits::block_count_max);
    need(std::ranges::find(log_levels, spec_.log_level) != std::end(log_levels), "log_level",
         "must be trace, debug, info, warn or error, is \"" + spec_.log_level.substr(0, 64) + "\"");
    need(spec_.input_type.size() <= type_label_bytes_max, "input_type", "is too long");
    need(spec_.output_type.size() <= type_label_bytes_max, "output_type", "is too long");
  }

  const processor_spec& spec_;
  std::string mistake_;
};

std::string name_mistake(std::string_view what, const std::string& name) {
  return std::string{what} + " \"" + name.substr(0, 64)
         + "\": a name has 1 to 63 of a-z, 0-9, '-', '_', '.' and starts with a letter or digit";
}

} // namespace

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
  return {};
}

// ---- the JSON of --describe --------------------------------------------------------

namespace {

// Members as they are written; the names are a contract with stored and sent documents.
struct io_json {
  std::string kind;
  std::optional<std::map<std::string, std::string>> options;
};

struct processor_json {
  std::string name;
  sluice::pattern pattern = sluice::pattern::consumer;
  io_json source;
  io_json sink;
  std::uint32_t num_replicas = processor_spec{}.num_replicas;
  std::uint32_t min_replicas = processor_spec{}.min_replicas;
  std::uint32_t max_replicas = processor_spec{}.max_replicas;
  bool autoscale = processor_spec{}.autoscale;
  double num_cpus = processor_spec{}.num_cpus;
  std::uint64_t memory_bytes = processor_spec{}.memory_bytes;
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

io_json to_document(const io_spec& io) { return {io.kind, io.options}; }

io_spec from_document(io_json io) {
  return {std::move(io.kind), std::move(io.options).value_or(std::map<std::string, std::string>{})};
}

processor_json to_document(const processor_spec& from) {
  return {.name = from.name.value,
          .pattern = from.kind,
          .source = to_document(from.source),
          .sink = to_document(from.sink),
          .num_replicas = from.num_replicas,
          .min_replicas = from.min_replicas,
          .max_replicas = from.max_replicas,
          .autoscale = from.autoscale,
          .num_cpus = from.num_cpus,
          .memory_bytes = from.memory_bytes,
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
          .num_concurrency = from.num_concurrency,
          .timeout = from.timeout_ms,
          .max_attempts = from.max_attempts,
          .batch_size = from.batch_size,
          .log_level = std::move(from.log_level),
          .input_type = std::move(from.input_type).value_or(""),
          .output_type = std::move(from.output_type).value_or("")};
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
  for (auto& processor : doc->flow.processors)
    spec.processors.push_back(from_document(std::move(processor)));
  return spec;
}

} // namespace sluice
