#pragma once

#include <sluice/io/registry.hpp>

namespace sluice::connectors::empty_sink {

/// Adds the `empty` sink: drops all results. It has no options.
void add_to(connector_registry& registry);

} // namespace sluice::connectors::empty_sink
