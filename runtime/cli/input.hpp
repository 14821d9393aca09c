#pragma once

#include <sluice/core/result.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace sluice::cli {

/// What came of reading: bytes, or why there are none.
struct input_piece {
  enum class outcome { bytes, pause, end, signal };
  outcome came = outcome::bytes;
  std::string bytes = {};
};

/// Reads what there is. Where there is nothing yet it waits for at most `wait_max` (none = until
/// something comes), then tells `pause`; `signal` = the process was asked to end.
using byte_reader = std::function<result<input_piece>(std::optional<std::chrono::milliseconds> wait_max)>;

/// Opens a file, or with "-" the standard input. `wake_fd` becomes readable when the process is to
/// end; -1 = never. A failure says which file and why.
result<byte_reader> open_file(const std::string& path, int wake_fd);

/// Cuts what is read into lines. One thread.
class line_reader {
public:
  explicit line_reader(byte_reader read) : read_(std::move(read)) {}

  /// The next line that is here, without its end ("\n", "\r\n" or that of the input) and the first one without a byte
  /// order mark. One that is not
  /// whole and has more than `limits::record_size_bytes_max` bytes counts as here.
  std::optional<std::string> next();

  /// Reads on. After `end` there is nothing more than what `next` still has.
  result<input_piece::outcome> fill(std::optional<std::chrono::milliseconds> wait_max);

private:
  byte_reader read_;
  std::string here_;
  std::size_t begin_ = 0;   ///< of the next line
  std::size_t scanned_ = 0; ///< no line ends before
  bool is_at_begin_ = true; ///< no line has been given
  bool is_at_end_ = false;
};

} // namespace sluice::cli
