#pragma once

#include <sluice/io/registry.hpp>

namespace sluice::connectors::stdout_sink {

/// Adds the `stdout` sink: prints each result as a line. It has no options.
///
/// Results are out when the system has taken them; a closed pipe is a failure, so
/// nothing is settled that nobody could read. Replicas of one process never mix lines.
void add_to(connector_registry& registry);

/// The same into another descriptor, which stays the caller's.
std::unique_ptr<sink> make_for_test(int fd);

} // namespace sluice::connectors::stdout_sink
