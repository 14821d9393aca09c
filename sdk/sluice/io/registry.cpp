#include <sluice/io/registry.hpp>

#include <utility>

namespace sluice {

namespace {

template <class Made>
result<std::unique_ptr<Made>>
make_of(const std::map<std::string, std::function<result<std::unique_ptr<Made>>(const io_spec&)>>& makers,
        std::string_view role, const io_spec& spec) {
  auto found = makers.find(spec.kind);
  if (found != makers.end())
    return found->second(spec);
  std::string message = "no " + std::string{role} + " is called \"" + spec.kind + "\"; there are:";
  for (const auto& [kind, make] : makers)
    message += " " + kind;
  return fail(errc::invalid_argument, makers.empty() ? message + " none" : message);
}

} // namespace

void connector_registry::add_source(std::string kind, make_source make) {
  sources_.insert_or_assign(std::move(kind), std::move(make));
}

void connector_registry::add_sink(std::string kind, make_sink make) {
  sinks_.insert_or_assign(std::move(kind), std::move(make));
}

result<std::unique_ptr<source>> connector_registry::source_of(const io_spec& spec) const {
  return make_of<source>(sources_, "source", spec);
}

result<std::unique_ptr<sink>> connector_registry::sink_of(const io_spec& spec) const {
  return make_of<sink>(sinks_, "sink", spec);
}

} // namespace sluice
