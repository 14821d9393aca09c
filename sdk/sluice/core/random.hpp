#pragma once

#include <cstdint>

namespace sluice {

/// Next of a sequence that is random enough to spread load and waits (splitmix64). Each start of `state` gives another.
constexpr std::uint64_t next_random(std::uint64_t& state) noexcept {
  std::uint64_t z = state += 0x9e37'79b9'7f4a'7c15;
  z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
  z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
  return z ^ (z >> 31);
}

} // namespace sluice
