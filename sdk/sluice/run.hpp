#pragma once

#include <sluice/flow.hpp>

namespace sluice {

/// Runs a flow the way the program was started and returns its exit code: by hand = local
/// mode, the whole system in this process until Ctrl-C; by a node = as a host of the
/// cluster; `--describe` = prints the flow as JSON; `--help` = says so.
///
/// Call once, from `main`, and return what it returns.
int run(flow& flow, int argc, char** argv);

} // namespace sluice
