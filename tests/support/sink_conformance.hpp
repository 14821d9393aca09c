#pragma once

#include <sluice/io/sink.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice::testing {

/// What the suite needs to know of a kind of sink. The target starts empty.
struct sink_case {
  /// A sink at the target, not opened.
  std::function<std::unique_ptr<sink>()> make;
  /// What the target holds, one entry per result, in the form it was pushed.
  std::function<std::vector<std::string>()> contents;
  bool keeps = true; ///< false: what is pushed is gone on purpose
};

/// What every sink must do: all of a push and nothing else, in order; an empty push; going on where
/// another one ended; two of them at one target; results large and with every character.
/// Call it from a doctest case with a fresh target each time. Results are JSON objects
/// of the form {"n":1,"text":"..."}.
void check_sink(const sink_case& kind);

} // namespace sluice::testing
