#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

/// Value of a fingerprint nothing was added to.
constexpr std::uint64_t fingerprint_empty = 0xcbf2'9ce4'8422'2325;

/// Adds `text` to the fingerprint `before` (FNV-1a): the same in every build and on every machine, so it may be stored.
/// Tells texts apart that differ by accident, not those that somebody makes alike on purpose.
constexpr std::uint64_t fingerprint(std::string_view text,
                                    std::uint64_t before = fingerprint_empty) noexcept {
  auto value = before;
  for (char c : text)
    value = (value ^ static_cast<unsigned char>(c)) * 0x0000'0100'0000'01b3;
  return value;
}

} // namespace sluice
