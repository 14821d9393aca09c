#pragma once

#include "transport/process/oom_watch.hpp"

#include <string>
#include <string_view>
#include <vector>

/// Says in words how a process ended, from its status and its last lines. Pure.
namespace sluice::process {

struct exit_status {
  int exit_code = 0; ///< valid when `signal` is 0
  int signal = 0;
};

/// What is known about an end besides its status.
struct exit_context {
  bool we_terminated = false;              ///< we sent SIGTERM
  bool we_killed = false;                  ///< we sent SIGKILL
  oom_verdict by_kernel = oom_verdict::no; ///< whether it was the kernel that sent SIGKILL
  std::string kill_reason = {};            ///< why we sent SIGKILL; empty = nothing to say
};

/// "SIGSEGV"; "signal 63" for those without a name.
std::string signal_name(int number);

/// "exited with code 3" · "killed by SIGSEGV" · "killed by SIGABRT after an uncaught
/// std::runtime_error: text" · "out of memory: killed by the kernel" · "killed by SIGKILL
/// (maybe by the kernel, out of memory)" · "ended itself: its node was gone: the peer said nothing for 10000 ms" · "killed by SIGKILL (not by Sluice)" · the reason of our own kill · "exited with code 127: libx.so.1: cannot open shared object file".
/// `log_tail` are its last lines with their time stamps.
std::string describe_exit(const exit_status& status, const exit_context& context,
                          const std::vector<std::string>& log_tail);

/// The lines between what the crash handler prints first and last, without time
/// stamps; empty if there are none.
std::string find_backtrace(const std::vector<std::string>& log_tail);

/// A log line without the time stamp that the node put before it.
std::string_view without_timestamp(std::string_view line);

/// What a host writes before it ends because it hears nothing of its node any more; the reason follows.
inline constexpr std::string_view node_gone_line = "sluice: the node is gone: ";

inline constexpr std::string_view crash_line_first = "sluice: crashed with ";
inline constexpr std::string_view crash_line_last = "sluice: end of backtrace";

} // namespace sluice::process
