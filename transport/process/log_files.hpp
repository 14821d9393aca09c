#pragma once

#include "transport/process/unique_fd.hpp"

#include <sluice/core/limits.hpp>
#include <sluice/core/result.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

/// One host's log on disk: files named by the offset of their first byte, so that an
/// offset counts over all of them and stays right when the oldest is gone.
namespace sluice::process {

struct log_bounds {
  std::size_t file_bytes_max = limits::log_file_bytes_max;
  std::size_t files_max = limits::log_files_max;
};

/// Appends to one log. Used by one thread.
class log_writer {
public:
  /// `directory` exists and is this log's own; writing goes on in its newest file. Half a line at the end, of a
  /// process that died, is cut off.
  log_writer(std::filesystem::path directory, log_bounds bounds);

  /// Writes whole lines. When the disk refuses, they are counted and dropped, and the
  /// files still end with a whole line; the count is written once there is room again.
  void write(std::string_view lines);

  std::uint64_t dropped_count() const noexcept { return dropped_total_; }

private:
  void resume(const std::filesystem::path& newest);
  bool append(std::string_view lines);
  bool open_next();
  void remove_oldest();

  std::filesystem::path directory_;
  log_bounds bounds_;
  unique_fd file_;
  std::uint64_t file_start_ = 0;
  std::uint64_t file_size_ = 0;
  std::uint64_t dropped_total_ = 0;
  std::uint64_t dropped_unsaid_ = 0;
  int last_error_ = 0;
};

struct log_text {
  std::string text; ///< whole lines
  std::uint64_t offset_next = 0;
};

/// Reads from `offset` on, at most `size_bytes_max` but at least one whole line if there
/// is one. An offset before the oldest file means its start; one inside a line means
/// the next line; one behind the end gives nothing.
result<log_text> read_log(const std::filesystem::path& directory, std::uint64_t offset,
                          std::size_t size_bytes_max);

/// Reads the last `count` lines, or as many of them as fit into `size_bytes_max`.
result<log_text> read_log_tail(const std::filesystem::path& directory, std::size_t count,
                               std::size_t size_bytes_max);

} // namespace sluice::process
