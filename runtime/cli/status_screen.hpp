#pragma once

#include "runtime/cli/command.hpp"
#include "sdk/client/control_client.hpp"

#include <string>

namespace sluice::cli {

/// The cluster at one moment as text with a line end behind each line. On a terminal of known size no line is
/// wider, and there is at least one line less than it is high. What is left out is counted together with the
/// command that shows it, as far as there is room for that; flows that failed or are degraded go last.
std::string status_screen(const terminal& where, const client::api::SnapshotReply& snapshot);

} // namespace sluice::cli
