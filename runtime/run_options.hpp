#pragma once

#include <sluice/core/result.hpp>
#include <sluice/flow_spec.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace sluice::runtime {

/// What to feed into a queue before and while a flow runs by hand.
struct queue_feed {
  std::string queue;
  std::string file; ///< "-" = standard input
};

enum class run_mode { local, describe, help, peek, dead_letters };

/// What a flow's command line asks for. Everything behind `--` is the program's own.
///
/// Option             | Meaning                                                  | Default
/// ------------------ | -------------------------------------------------------- | -------
/// --describe         | print the flow as JSON                                   | -
/// --help             | say what can be done                                     | -
/// --state-dir DIR    | where local mode keeps its queues                        | ~/.sluice/local/FLOW
/// --put QUEUE=FILE   | put the lines of a file (- = standard input) into a queue | -
/// --http HOST:PORT   | where the flow's routes are served; port 0 picks a free one  | 127.0.0.1:8000
/// --access-log DIR   | write a line per answered request to files in DIR | -
/// --restart          | begin batches anew that were interrupted                 | go on
/// --peek QUEUE       | print what waits in a local queue                        | -
/// --dead-letters     | print the records that failed for good, with their errors | -
/// --requeue QUEUE    | put the dead letters of a queue back into it             | -
struct run_options {
  run_mode mode = run_mode::local;
  std::filesystem::path state_dir; ///< empty = the default
  std::vector<queue_feed> feeds;
  std::string peek_queue;
  std::vector<std::string> requeues; ///< queues whose dead letters are tried again
  std::string http = "127.0.0.1:8000";
  bool http_given = false;              ///< `http` is no default
  std::filesystem::path access_log_dir; ///< empty = no access log
  bool restart = false;
};

/// Fails with `invalid_argument` and a sentence for the user. `--describe` and `--help` win over
/// everything, also over options that are not known.
result<run_options> parse_run_options(const std::vector<std::string>& args);

/// Names the options that were given and have no effect on this flow, one sentence each, and queues that are fed and not
/// read.
std::vector<std::string> idle_options(const run_options& options, const flow_spec& spec);

/// The text of `--help`.
std::string run_help(const std::string& program, const std::string& flow);

} // namespace sluice::runtime
