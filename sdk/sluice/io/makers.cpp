#include <sluice/io/makers.hpp>

#include <utility>

namespace sluice::io {

io_spec queue(std::string name) { return {"queue", {{"name", std::move(name)}}}; }

io_spec file(std::string path, file_options options) {
  auto format = options.format.value_or(path.ends_with(".csv") ? file_format::csv : file_format::jsonl);
  io_spec spec{"file", {{"path", std::move(path)}, {"format", format == file_format::csv ? "csv" : "jsonl"}}};
  if (options.tail)
    spec.options.emplace("tail", "true");
  return spec;
}

io_spec pulse(std::chrono::milliseconds interval) {
  return {"pulse", {{"interval_ms", std::to_string(interval.count())}}};
}

io_spec standard_output() { return {"stdout", {}}; }

io_spec empty() { return {"empty", {}}; }

} // namespace sluice::io
