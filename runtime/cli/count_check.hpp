#pragma once

#include <cstdint>
#include <limits>

namespace CLI {
class Validator;
}

namespace sluice::cli {

/// For `option->check(...)` of every number on the command line: refuses what is not a whole number from `min`
/// to `max`, naming option, value and rule. CLI11 by itself takes -5 for a large number.
CLI::Validator count_check(std::uint64_t min = 0,
                           std::uint64_t max = std::numeric_limits<std::uint64_t>::max());

} // namespace sluice::cli
