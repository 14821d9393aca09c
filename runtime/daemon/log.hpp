#pragma once

#include <sluice/core/result.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace sluice::daemon {

enum class log_level : std::uint8_t { debug, info, warning, error };

/// Lines below this are not written. `name` is one of the names above; info until it is called.
void set_log_level(std::string_view name);

/// Writes one line to the node's own log (stderr; a file when it runs in the background), with
/// the time and the part that speaks. Any thread.
void log_line(std::string_view part, const std::string& text, log_level level = log_level::info);

/// Tells of links that a listener has refused, within a `line_quota`. What it returns is for one listener.
std::function<void(const failure&)> make_refusal_log(log_level level);

} // namespace sluice::daemon
