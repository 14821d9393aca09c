#pragma once

#include <string>
#include <string_view>

namespace sluice::daemon {

/// Writes one line to the node's own log (stderr; a file when it runs in the background), with
/// the time and the part that speaks. Any thread.
void log_line(std::string_view part, const std::string& text);

} // namespace sluice::daemon
