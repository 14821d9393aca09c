#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sluice::ingress {

/// How long requests took, two steps per doubling: a quantile is right to a quarter. Counts only grow, so the
/// difference of two tells of the time between. Pure.
struct latency_histogram {
  static constexpr std::size_t steps = 54; ///< the last begins at 1.5 * 2^25 us, 50 s, and has no end

  std::array<std::uint64_t, steps> counts{};

  static constexpr std::size_t step_of(std::chrono::nanoseconds taken) noexcept {
    const auto us =
      static_cast<std::uint64_t>(std::max<std::int64_t>(taken / std::chrono::microseconds{1}, 1));
    const auto doublings = static_cast<std::size_t>(std::bit_width(us)) - 1;
    const std::size_t upper_half = doublings > 0 ? (us >> (doublings - 1)) & 1 : 0;
    return std::min(2 * doublings + upper_half, steps - 1);
  }

  void add(std::chrono::nanoseconds taken) noexcept { ++counts[step_of(taken)]; }

  void add(const latency_histogram& other) noexcept {
    for (std::size_t i = 0; i < steps; ++i)
      counts[i] += other.counts[i];
  }

  /// What came after `earlier`; all of it where counts went back, for then they have begun anew.
  latency_histogram since(const latency_histogram& earlier) const noexcept {
    for (std::size_t i = 0; i < steps; ++i)
      if (counts[i] < earlier.counts[i])
        return *this;
    auto out = *this;
    for (std::size_t i = 0; i < steps; ++i)
      out.counts[i] -= earlier.counts[i];
    return out;
  }

  /// @param part 0.5 = the median. The middle of the step it falls into; 0 without any.
  std::chrono::microseconds quantile(double part) const noexcept {
    std::uint64_t all = 0;
    for (auto each : counts)
      all += each;
    if (all == 0)
      return {};
    const auto wanted = std::min(static_cast<std::uint64_t>(part * static_cast<double>(all)), all - 1);
    std::uint64_t passed = 0;
    for (std::size_t i = 0; i < steps; ++i) {
      passed += counts[i];
      if (passed > wanted) {
        const auto power = std::uint64_t{1} << (i / 2);
        const auto begin = power + (i % 2) * (power / 2);
        return std::chrono::microseconds{static_cast<std::int64_t>(begin + power / 4)};
      }
    }
    return {};
  }

  friend bool operator==(const latency_histogram&, const latency_histogram&) = default;
};

} // namespace sluice::ingress
