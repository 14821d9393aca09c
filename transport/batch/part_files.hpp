#pragma once

#include "transport/process/unique_fd.hpp"
#include "actors/batch/batch_port.hpp"

#include <sluice/core/result.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::batch {

/// How the lines of an output look.
enum class part_format : std::uint8_t { jsonl, csv };

/// A file that appears under its name whole or not at all. One thread. What is not finished goes with the object.
class whole_file {
public:
  /// Makes the folder if it is not there. A file that is to be replaced passes its permissions on. Fails like `output_path`.
  /// @param beside a folder in the same one as the file: what a process that is killed leaves is in it, and goes with it.
  /// None, or elsewhere: that is beside the file
  static result<whole_file> create(std::filesystem::path path, const std::filesystem::path& beside = {});
  whole_file(whole_file&&) noexcept = default;
  whole_file& operator=(whole_file&&) noexcept = default;
  ~whole_file();

  result<void> write(std::string_view text);
  /// Appends all of another file from `offset` on.
  result<void> append(const process::unique_fd& from, std::uint64_t offset);

  /// What was written is on disk, so that `finish` has little to do.
  result<void> sync();

  /// Synced to disk and renamed into place, as is the folder.
  result<void> finish();

private:
  whole_file(std::filesystem::path path, std::filesystem::path temporary, process::unique_fd fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}
  tl::unexpected<failure> fail_errno(const char* what) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  process::unique_fd fd_;
  bool is_synced_ = false;
};

/// Where an output of this name goes: a symbolic link leads to its file. Fails with `invalid_argument` if something is there
/// that is no regular file, which an output must not take the place of.
result<std::filesystem::path> output_path(std::filesystem::path path);

/// Where the parts of a run are.
class part_folder {
public:
  explicit part_folder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path results(std::uint32_t index) const;
  std::filesystem::path rejected(std::uint32_t index) const;
  const std::filesystem::path& path() const noexcept { return folder_; }

private:
  std::filesystem::path folder_;
};

/// A part that is a file. `target` is for messages.
result<std::unique_ptr<part_writer>> make_file_part(const part_folder& folder, std::uint32_t index,
                                                    part_format format, const std::string& target);

/// Makes all results of a batch, which `write` gives to the function it gets, one file beside `target`; synced, not finished.
result<whole_file> write_whole(
  const part_folder& folder, const std::filesystem::path& target, part_format format,
  const std::function<result<void>(const std::function<result<void>(std::string_view)>& give)>& write);

/// A part that is a block for a queue, or, without `keeps_results`, dropped.
std::unique_ptr<part_writer> make_block_part(const part_folder& folder, std::uint32_t index,
                                             bool keeps_results);

/// Joins the parts 0 to `count` in order; with `csv` under one header, which all must have. Fails with `corrupt` when
/// one is missing.
result<void> join_parts(const part_folder& folder, std::uint32_t count, part_format format, whole_file& to);

/// Calls `give` for each line of a file.
result<void> for_each_line(const std::filesystem::path& path,
                           const std::function<result<void>(std::string_view)>& give);

/// Appends a payload as one line.
void append_line(std::string_view payload, std::string& to);

} // namespace sluice::batch
