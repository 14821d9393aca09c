#pragma once

#include <sluice/core/record_block.hpp>
#include <sluice/core/result.hpp>

namespace sluice {

/// Where a processor's results go when it is not the built-in queue.
///
/// One replica owns one sink and calls it from one thread.
class sink {
public:
  virtual ~sink() = default;

  /// Called once, first.
  virtual result<void> open() = 0;

  /// Writes all results and returns once they are durable in the sink's own terms.
  /// The `seq` of a result is that of the record it came from. On failure the
  /// inputs are delivered again, so a repeat must be expected: after `invalid_argument` record by record, and what is
  /// refused alone is a dead letter; not after `not_found`, `permission_denied`, `unauthenticated` or `unsupported`,
  /// which end the replica as failed.
  virtual result<void> push(const record_block& results) = 0;

  /// Called once, last, on an orderly stop.
  virtual result<void> close() { return {}; }
};

} // namespace sluice
