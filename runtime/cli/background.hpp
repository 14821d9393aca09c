#pragma once

#include "runtime/config/options.hpp"

#include <sluice/core/result.hpp>

#include <chrono>
#include <filesystem>
#include <functional>

namespace sluice::cli {

/// What the child calls once it serves.
using say_ready = std::function<void(const config::ready_info&)>;

/// Forks a node into the background: own session, no terminal, stdout and stderr at the end of
/// `log_file`, which begins anew if it is long; the one before is kept as `log_file`.1. In the child `work` runs and the process ends with its result, without
/// coming back. The parent returns when the child serves, or with why it does not: its own
/// failure, or how it died and the last lines of its log. After `deadline` it returns `timeout` and the
/// child goes on.
///
/// Must be called before the process has made threads.
result<config::ready_info> run_in_background(const std::filesystem::path& log_file,
                                             std::chrono::milliseconds deadline,
                                             const std::function<result<void>(const say_ready&)>& work);

} // namespace sluice::cli
