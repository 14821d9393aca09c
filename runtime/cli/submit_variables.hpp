#pragma once

#include "runtime/cli/command.hpp"

#include <sluice/core/flow_variables.hpp>

#include <string>
#include <vector>

namespace sluice::cli {

/// The variables that `submit` was given: those of `files` in their order, then those of `given`; of two with one
/// name the later one counts.
///
/// `given` are NAME=VALUE, or NAME alone for the value the caller's environment has. A file has lines NAME=VALUE,
/// taken as they stand: no quotes, no escapes; blank lines and those that begin with '#' are skipped. Fails with
/// what open_file says, otherwise with `invalid_argument` and the option or FILE:LINE; no text shows a value.
result<flow_variables> read_variables(const environment& env, const std::vector<std::string>& files,
                                      const std::vector<std::string>& given);

} // namespace sluice::cli
