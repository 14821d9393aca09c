#pragma once

#include <sluice/io/source.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace sluice::testing {

/// What the suite needs to know of a kind of source. The origin starts empty.
struct source_case {
  /// A source at the origin, not opened.
  std::function<std::unique_ptr<source>()> make;
  /// Adds `count` records at the origin, or lets so many come due.
  std::function<void(std::size_t count)> feed;
  bool ends = false;          ///< says `end` when the origin has no more
  bool one_at_a_time = false; ///< what comes due together is one record
};

/// What every source must do: records once, in order, with seqs that grow and from which reading resumes;
/// bounds kept; an empty answer within the wait; an end that stays. Call it from a
/// doctest case with a fresh origin each time.
void check_source(const source_case& kind);

} // namespace sluice::testing
