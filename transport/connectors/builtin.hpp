#pragma once

#include <sluice/io/registry.hpp>

namespace sluice::connectors {

/// Adds every kind of source and sink that comes with Sluice, but `queue`, which
/// replicas reach through the queue actor.
void add_builtin_connectors(connector_registry& registry);

} // namespace sluice::connectors
