#pragma once

#include <sluice/flow_spec.hpp>
#include <sluice/io/sink.hpp>
#include <sluice/io/source.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace sluice {

/// The kinds of sources and sinks a program knows. A value: filled by the program's
/// composition, passed by reference, never global.
class connector_registry {
public:
  using make_source = std::function<result<std::unique_ptr<source>>(const io_spec&)>;
  using make_sink = std::function<result<std::unique_ptr<sink>>(const io_spec&)>;

  void add_source(std::string kind, make_source make);
  void add_sink(std::string kind, make_sink make);

  /// Checks the options and builds. Fails with `invalid_argument`, naming the kind
  /// and the option, or the kinds that exist.
  result<std::unique_ptr<source>> source_of(const io_spec& spec) const;
  result<std::unique_ptr<sink>> sink_of(const io_spec& spec) const;

private:
  std::map<std::string, make_source> sources_;
  std::map<std::string, make_sink> sinks_;
};

} // namespace sluice
