#pragma once

#include "tests/support/subprocess.hpp"

#include <boost/json/value.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::test {

/// A cluster of real processes on this machine, driven through the CLI as a user would.
///
/// Each has its own SLUICE_HOME and picks free ports. Everything it started is killed
/// and gone when it ends.
class cli_cluster {
public:
  cli_cluster();
  ~cli_cluster();
  cli_cluster(const cli_cluster&) = delete;
  cli_cluster& operator=(const cli_cluster&) = delete;

  /// `sluice args...`; the exit code is the caller's to check.
  run_result sluice(std::vector<std::string> args, std::string input = {});
  /// The same, and the test fails unless it ends with 0. Returns its stdout.
  std::string must(std::vector<std::string> args, std::string input = {});
  /// `sluice args... -o json`, parsed; must succeed.
  boost::json::value json(std::vector<std::string> args);

  void start_head(std::vector<std::string> extra = {});
  /// Returns the worker's state dir.
  std::filesystem::path start_worker(std::vector<std::string> extra = {});

  /// What a node says of itself in its state dir, for example `control_address`.
  static std::string record_of(const std::filesystem::path& state_dir, const char* member);

  /// Process id of the head, or of the worker with this state dir.
  pid_t head_pid() const;
  static pid_t node_pid(const std::filesystem::path& state_dir);

  std::filesystem::path home() const { return dir_.path(); }
  std::filesystem::path head_dir() const { return dir_.path() / "head"; }
  std::map<std::string, std::string> env() const;

  /// Feeds `count` records {"id":first..}; `extra` is put behind the id, for example
  /// `,"act":"slow"`.
  void put_jobs(const std::string& queue, std::uint64_t first, std::uint64_t count,
                const std::string& extra = {});

  /// How many records `queue` holds; 0 where it does not exist.
  std::uint64_t depth(const std::string& queue);
  /// One number of `list queues`.
  std::uint64_t queue_number(const std::string& queue, const char* member);
  /// Reads all payloads of a queue, oldest first.
  std::vector<boost::json::value> read_queue(const std::string& queue);

  /// The pids of the host processes of a flow, by `list hosts` of every node.
  std::vector<pid_t> host_pids(const std::string& flow);

  void wait_running(const std::string& flow);
  std::string flow_phase(const std::string& flow);

private:
  temp_dir dir_;
  std::vector<std::filesystem::path> workers_;
};

/// The program under test and the flows built for it.
std::string sluice_program();
std::string program(const std::string& name);

} // namespace sluice::test
