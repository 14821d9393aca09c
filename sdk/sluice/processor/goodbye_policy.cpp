#include <sluice/core/random.hpp>
#include <sluice/processor/goodbye_policy.hpp>

#include <algorithm>

namespace sluice::processor {

std::chrono::nanoseconds goodbye_span(std::size_t count) noexcept {
  const auto clients_max = static_cast<std::size_t>(goodbye_span_max / goodbye_interval);
  return goodbye_interval * static_cast<std::int64_t>(std::min(count, clients_max));
}

std::chrono::nanoseconds goodbye_after(std::size_t index, std::size_t count, std::uint64_t seed,
                                       std::chrono::nanoseconds span) noexcept {
  auto state = seed ^ (static_cast<std::uint64_t>(index) << 32);
  constexpr double random_end = 0x1p64;
  const auto within = static_cast<double>(next_random(state)) / random_end; // from 0 to 1
  const auto part = static_cast<double>(span.count()) / static_cast<double>(count);
  return std::chrono::nanoseconds{static_cast<std::int64_t>((static_cast<double>(index) + within) * part)};
}

} // namespace sluice::processor
