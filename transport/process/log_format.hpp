#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// Turns what a program prints into lines that are safe to store and to show. Pure.
namespace sluice::process {

/// Appends `text` with everything that a terminal might obey written out: control
/// characters, DEL and C1 controls as \xNN, and bytes that are no UTF-8 likewise. Tabs
/// stay. Stops before `size_max` bytes are appended; returns how many of `text` were used.
std::size_t append_escaped(std::string& out, std::string_view text, std::size_t size_max);

/// Collects the pieces in which output arrives and cuts them into lines. Holds at most
/// one line of at most `line_bytes_max`; what a longer one has beyond is counted, not kept.
class line_formatter {
public:
  explicit line_formatter(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}

  /// Appends each line that `bytes` complete to `out`, with `prefix` before and '\n' after.
  void feed(std::string_view bytes, std::string_view prefix, std::string& out);

  /// The output ended: appends what is left of an unfinished line.
  void finish(std::string_view prefix, std::string& out);

private:
  void keep(std::string_view piece);
  void end_line(std::string_view prefix, std::string& out);

  std::size_t line_bytes_max_;
  std::string line_;
  std::uint64_t beyond_count_ = 0; ///< bytes of this line that were not kept
};

/// "2026-01-02T03:04:05.678Z" for milliseconds since 1970.
std::string to_timestamp(std::int64_t unix_ms);

} // namespace sluice::process
