#include "transport/connectors/builtin.hpp"

#include "transport/connectors/empty/empty_sink.hpp"
#include "transport/connectors/file/file_sink.hpp"
#include "transport/connectors/file/file_source.hpp"
#include "transport/connectors/pulse/pulse_source.hpp"
#include "transport/connectors/stdout/stdout_sink.hpp"

namespace sluice::connectors {

void add_builtin_connectors(connector_registry& registry) {
  file_source::add_to(registry);
  file_sink::add_to(registry);
  pulse_source::add_to(registry);
  stdout_sink::add_to(registry);
  empty_sink::add_to(registry);
}

} // namespace sluice::connectors
