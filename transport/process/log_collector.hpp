#pragma once

#include "transport/process/log_files.hpp"
#include "transport/process/unique_fd.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace sluice::process {

/// Reads what hosts print and writes it to their logs, on a thread of its own, so that
/// neither a chatty host nor a slow disk delays the news of another's death. A host that
/// prints faster than the disk takes it waits in its own write.
class log_collector {
public:
  /// Gives the time for the stamps: milliseconds since 1970.
  explicit log_collector(std::function<std::int64_t()> unix_ms);
  ~log_collector();
  log_collector(const log_collector&) = delete;
  log_collector& operator=(const log_collector&) = delete;

  /// Takes over the reading end of a pipe. Any thread.
  void add(std::uint64_t key, unique_fd pipe, std::filesystem::path directory, log_bounds bounds = {});

  using log_lines = std::vector<std::string>;

  /// The writer is gone: reads the rest, adds the line that `last_words` makes of the last
  /// `limits::crash_log_lines_max` lines, which are also bounded in bytes, closes the log, and calls `done`
  /// with the same lines; both on the collector's thread. Unknown keys have none. Any thread.
  void finish(std::uint64_t key, std::function<std::string(const log_lines&)> last_words,
              std::function<void(log_lines log_tail)> done);

private:
  struct stream;

  void wait(const std::shared_ptr<stream>& which);
  bool read_some(stream& which, std::size_t bytes_max);
  void store(stream& which, const std::string& lines);

  std::function<std::int64_t()> unix_ms_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::map<std::uint64_t, std::shared_ptr<stream>> streams_; ///< on the thread only
  std::thread thread_;
};

} // namespace sluice::process
