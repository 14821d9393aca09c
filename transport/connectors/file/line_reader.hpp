#pragma once

#include "transport/connectors/file/csv.hpp"

#include <sluice/core/result.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::connectors {

/// Reads one open file line by line, or CSV row by row, in bounded memory.
///
/// What `next` gives stays valid until the next call. One thread. Closes the descriptor.
class line_reader {
public:
  struct line {
    std::string_view text;       ///< without its line break, and without the byte order mark of a file
    std::uint64_t end = 0;       ///< offset behind it
    std::uint64_t cut_bytes = 0; ///< not 0: the line has this many bytes, `text` is its beginning
  };

  /// `quotes` = a line break inside quotes does not end the line.
  line_reader(int fd, std::uint64_t offset, bool quotes);
  ~line_reader();
  line_reader(const line_reader&) = delete;
  line_reader& operator=(const line_reader&) = delete;

  /// The next line, or nothing at the end of the file. A last line without a break is given
  /// only with `unfinished`.
  result<std::optional<line>> next(bool unfinished);

  int fd() const noexcept { return fd_; }
  std::uint64_t offset() const noexcept { return offset_; } ///< of what `next` has not given

  /// Goes on at `offset`.
  void seek(std::uint64_t offset);

  /// Reads an unfinished line again from its beginning, unless it is a long one.
  void forget_unfinished();

private:
  result<bool> fill();
  bool scan();
  line take(std::size_t size);

  int fd_;
  bool quotes_;
  std::uint64_t offset_; ///< of `buffer_[begin_]`
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t scanned_ = 0; ///< behind `begin_`, looked at and no end found
  csv::place place_ = csv::place::field_start;
  std::uint64_t dropped_ = 0; ///< bytes of a line too long to keep, behind what is kept
};

} // namespace sluice::connectors
