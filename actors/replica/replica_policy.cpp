#include "actors/replica/replica_policy.hpp"

#include <sluice/core/random.hpp>

#include <algorithm>
#include <charconv>
#include <system_error>

namespace sluice::replica {

std::string position_text(const source_position& position) {
  auto text = std::to_string(position.seq);
  return position.mark.empty() ? text : text + " " + position.mark;
}

std::optional<source_position> read_position(std::string_view text) {
  source_position out;
  const auto blank = text.find(' ');
  const auto number = text.substr(0, blank);
  const auto read = std::from_chars(number.data(), number.data() + number.size(), out.seq);
  if (!text.empty() && (read.ec != std::errc{} || read.ptr != number.data() + number.size()))
    return std::nullopt;
  if (blank != std::string_view::npos)
    out.mark = text.substr(blank + 1);
  return out;
}

std::uint32_t records_next(std::uint32_t previous, std::chrono::nanoseconds per_record,
                           std::uint32_t num_concurrency, std::uint32_t batch_size) noexcept {
  const auto top = std::max<std::uint64_t>(batch_size, 1);
  const auto at_once = std::min(std::max<std::uint64_t>(num_concurrency, 1), top);
  if (previous == 0)
    return static_cast<std::uint32_t>(at_once);
  if (per_record <= std::chrono::nanoseconds::zero())
    return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(previous, at_once, top));
  const auto record_ns = static_cast<std::uint64_t>(per_record.count());
  const auto block_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds{block_duration}.count());
  const auto fitting = block_ns / record_ns * at_once;
  const auto grown = std::uint64_t{previous} * block_growth_max;
  return static_cast<std::uint32_t>(std::clamp(std::min(fitting, grown), at_once, top));
}

std::chrono::milliseconds backoff_delay(std::uint32_t tries, std::uint32_t random,
                                        std::chrono::milliseconds min,
                                        std::chrono::milliseconds max) noexcept {
  const auto doublings = std::min(std::max(tries, 1u) - 1, 20u);
  const auto whole = std::min<std::int64_t>(min.count() << doublings, max.count());
  const auto half = whole / 2;
  return std::chrono::milliseconds{
    half + static_cast<std::int64_t>((std::uint64_t{random} * (whole - half)) >> 32)};
}

std::uint32_t next_random(std::uint64_t& stream) noexcept {
  return static_cast<std::uint32_t>(sluice::next_random(stream) >> 32);
}

} // namespace sluice::replica
