#pragma once

#include "transport/process/exit_report.hpp"

#include <sluice/core/flow_variables.hpp>
#include <sluice/core/limits.hpp>
#include <sluice/core/result.hpp>
#include <sluice/flow_spec.hpp>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace sluice::artifact {

struct describe_options {
  std::string sluice_version;    ///< ours: "major.minor.patch"
  std::vector<std::string> args; ///< what hosts will be started with, after "--describe"
  flow_variables env = {};       ///< what hosts will be given
  std::chrono::milliseconds deadline = limits::describe_deadline;
  std::size_t output_bytes_max = limits::describe_size_bytes_max;
};

/// Asks a binary which flow it is: runs `BINARY --describe ARGS` in a child that is confined as
/// hosts are and finds the same environment, cannot write files, and is killed at the deadline or when it prints too
/// much. Waits for it on the calling thread.
///
/// Fails with the real reason in words: `not_found` (no such file), `unsupported` (built against
/// another Sluice), `timeout` (it hangs), otherwise `invalid_argument`: not executable, no program of
/// this machine, a missing shared library, an exit code with what it said on stderr, a
/// signal, or an output that is no flow.
result<flow_spec> describe(const std::filesystem::path& binary, const describe_options& options);

/// The same for an open file, called `name` in messages.
result<flow_spec> describe(int program_fd, const std::string& name, const describe_options& options);

/// Fails with `unsupported` unless both have the same major and minor number. Pure.
result<void> check_version(const std::string& built_with, const std::string& ours);

/// Reads what `--describe` printed; `name` is for the message. Pure but for the parser.
result<flow_spec> read_description(const std::string& name, const std::string& output,
                                   const std::string& ours);

/// Why a child that did not end with code 0 did not describe itself. Pure.
failure explain_end(const std::string& name, const process::exit_status& how,
                    const std::string& error_output);

} // namespace sluice::artifact
