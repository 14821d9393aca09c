#pragma once

#include <cstddef>
#include <string_view>

namespace sluice::codec {

/// Length of the valid UTF-8 sequence at the front of `text`, which is not empty; 0 if there is none.
std::size_t utf8_sequence(std::string_view text) noexcept;

/// Position of the first byte that JSON cannot carry as it is: '"', '\\', below 0x20, and
/// 0x80 or above, which has to be checked. `text.size()` if there is none.
std::size_t find_special(std::string_view text) noexcept;

} // namespace sluice::codec
