#pragma once

#include "runtime/cli/command.hpp"

namespace sluice::cli {

/// The environment of a real process: its streams, terminal, variables, clock and Ctrl-C.
/// `stdout` that nobody reads any more ends the process quietly.
environment make_process_environment(node_runner run_head, node_runner run_worker,
                                     std::function<bool(const std::filesystem::path&)> has_joined);

} // namespace sluice::cli
