#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::codec {

/// Length of the valid UTF-8 sequence at the front of `text`, which is not empty; 0 if there is none.
std::size_t utf8_sequence(std::string_view text) noexcept;

/// Whether all of `text` is valid UTF-8.
bool is_utf8(std::string_view text) noexcept;

/// What some programs begin a file with, so that it is known to be UTF-8.
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// The beginning of a file without it.
constexpr std::string_view without_byte_order_mark(std::string_view text) noexcept {
  return text.starts_with(byte_order_mark) ? text.substr(byte_order_mark.size()) : text;
}

/// Position of the first byte that JSON cannot carry as it is: '"', '\\', below 0x20, and
/// 0x80 or above, which has to be checked. `text.size()` if there is none.
std::size_t find_special(std::string_view text) noexcept;

/// The text with every byte that is not part of valid UTF-8 replaced by U+FFFD: what user code or
/// a client wrote, on its way to a reader who refuses anything else.
std::string to_utf8(std::string_view text);

} // namespace sluice::codec
