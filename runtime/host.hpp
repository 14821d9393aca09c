#pragma once

#include "transport/process/host_environment.hpp"

#include <sluice/flow_spec.hpp>
#include <sluice/processor/request_body.hpp>

#include <map>

namespace sluice::runtime {

/// Runs this process as a host: serves the node agent that started it, over the socket and the
/// shared memory it was given, until that says SIGTERM or its end of the socket
/// closes. Returns the exit code; calls `_Exit` when user code does not return.
///
/// The orderly way to end is the node's: it drains the replicas first, then ends the process.
int run_host(const process::host_environment& who, const flow_spec& spec,
             const std::map<processor_name, processor_code>& bodies);

} // namespace sluice::runtime
