#pragma once

#include "transport/http/server_options.hpp"
#include "transport/process/log_files.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace sluice::http {

/// One line as the log has it: a JSON object with time, id, client, method, path, status, bytes_in, bytes_out,
/// duration_us, processor, replica and attempts, and a line end. What a client wrote is escaped.
std::string access_line(const access_entry& entry, std::chrono::system_clock::time_point at);

struct access_log_options {
  std::filesystem::path directory; ///< made if it is missing; files in it rotate as a host's log does
  process::log_bounds bounds = {};
  std::function<std::chrono::system_clock::time_point()> now = [] {
    return std::chrono::system_clock::now();
  };
};

/// Writes a line per answered request to files, on a thread of its own: who adds one waits for no disk. Lines wait in
/// memory, at most `waiting_bytes_max` of them; more are dropped, and a line with "dropped" says how many.
class access_log {
public:
  static constexpr std::size_t waiting_bytes_max = 8u << 20;

  explicit access_log(access_log_options what);
  /// Writes what waits.
  ~access_log();
  access_log(const access_log&) = delete;
  access_log& operator=(const access_log&) = delete;

  /// Any thread.
  void add(const access_entry& entry);

private:
  void run();

  const access_log_options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string waiting_;
  std::uint64_t dropped_ = 0;
  bool ended_ = false;
  std::thread thread_;
};

} // namespace sluice::http
