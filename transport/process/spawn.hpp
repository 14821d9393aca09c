#pragma once

#include "transport/process/unique_fd.hpp"

#include <sluice/core/flow_variables.hpp>
#include <sluice/core/result.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace sluice::process {

/// How a child process is to be. What is not given is closed, cleared or at its default.
struct spawn_options {
  int program_fd = -1;           ///< run by descriptor: the bytes that were checked are the bytes that run
  std::vector<std::string> argv; ///< [0] is the name in `ps`
  std::vector<std::string> env;  ///< complete, "NAME=value"
  int output_fd = -1;            ///< becomes 1, and 2 unless `error_fd` is given; -1 = /dev/null
  int error_fd = -1;
  std::vector<std::pair<int, int>> fds; ///< {here, number in the child}, numbers from 3 to 15
  std::string directory;                ///< working directory; empty = ours
  int nice = 0;
  int oom_score_adj = 0;                            ///< > 0: the kernel's OOM killer takes it before us
  std::optional<std::uint64_t> file_size_bytes_max; ///< of a file it writes
};

struct child {
  pid_t pid = -1;
  unique_fd pidfd; ///< readable once the child ended
};

/// Starts a child and returns once its program runs, or why it does not.
///
/// The child leads its own process group (Ctrl-C on our terminal does not reach it), reads
/// /dev/null, gains no privileges, writes no core, inherits only the descriptors named,
/// has default signal handling, and is killed when the *thread* that called this ends, which
/// the kernel takes for the death of the parent. So call this from a thread that lives
/// as long as the child should.
///
/// Fails with `invalid_argument` when the file cannot be run (not an executable of this
/// machine, no permission), otherwise with `exhausted` or `internal`.
result<child> spawn(const spawn_options& options);

/// Our environment, cut down to what a program needs to find its files and its language:
/// PATH, HOME, LANG, LC_*, TZ, TMPDIR, LD_LIBRARY_PATH and the options of sanitizers. What the flow is given
/// comes on top, in place of ours where both have a name.
std::vector<std::string> scrubbed_environment(const flow_variables& given = {});

} // namespace sluice::process
