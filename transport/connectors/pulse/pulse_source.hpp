#pragma once

#include <sluice/io/registry.hpp>

#include <chrono>
#include <functional>

namespace sluice::connectors::pulse_source {

/// Adds the `pulse` source: a record {"tick":n,"time":"<ISO 8601>"} every so often.
///
/// Option      | Meaning                                | Default
/// ----------- | -------------------------------------- | -------
/// interval_ms | from one tick to the next, 1 or more   | -
///
/// The first tick comes at once; `n` counts from 1 since the replica started. Ticks that came due while nobody
/// asked are one tick, so a pause is not followed by a storm. It has no position: a tick during which the replica dies is lost.
void add_to(connector_registry& registry);

/// Time as the source sees it.
struct clocks {
  std::function<std::chrono::steady_clock::time_point()> now;
  std::function<std::chrono::system_clock::time_point()> wall;
  std::function<void(std::chrono::milliseconds)> wait;
};

std::unique_ptr<source> make(std::chrono::milliseconds interval, clocks time);

} // namespace sluice::connectors::pulse_source
