#pragma once

#include <sluice/core/fingerprint.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::connectors {

/// By what a file is known again of which the first bytes were read: a fingerprint of its first KiB and of the last 256 bytes
/// of what was read. Who appends changes neither; who writes the file anew, with whatever length, hardly leaves both.
///
/// One per file and reading. One thread.
class file_mark {
public:
  /// The text for the first `end` bytes of the open file, "1:END:FINGERPRINT"; empty if they cannot be read. The beginning is read
  /// once, so that a file which changes under its reader is noticed. Costs one small read. @pre `end` does not shrink
  std::string at(int fd, std::uint64_t end);

private:
  std::uint64_t head_size_ = 0;
  std::uint64_t head_ = fingerprint_empty; ///< of the first `head_size_` bytes
};

/// Whether the open file still begins with what `mark` was made of. Of an empty text, or one of another form, nothing is known: true.
bool still_begins_as(int fd, std::string_view mark);

} // namespace sluice::connectors
