#include "transport/http/client_rates.hpp"

#include <algorithm>
#include <cmath>

namespace sluice::http {

client_rates::client_rates(double per_s, std::uint32_t burst, std::size_t clients_max)
  : per_s_(per_s), burst_(burst > 0 ? burst : std::max(std::ceil(per_s), 1.0)), clients_max_(clients_max) {}

void client_rates::fill(bucket& which, time_point now) const {
  const auto passed = std::chrono::duration<double>(now - which.at).count();
  which.tokens = std::min(which.tokens + std::max(passed, 0.0) * per_s_, burst_);
  which.at = now;
}

std::optional<std::chrono::seconds> client_rates::take(const client& who, time_point now) {
  auto found = buckets_.find(who);
  if (found == buckets_.end()) {
    if (buckets_.size() >= clients_max_)
      make_room(now);
    found = buckets_.emplace(who, bucket{burst_, now}).first;
  }
  auto& its = found->second;
  fill(its, now);
  if (its.tokens >= 1) {
    its.tokens -= 1;
    return std::nullopt;
  }
  const auto wait = std::ceil((1 - its.tokens) / per_s_);
  return std::chrono::seconds{std::max<std::int64_t>(static_cast<std::int64_t>(wait), 1)};
}

void client_rates::make_room(time_point now) {
  std::erase_if(buckets_, [&](const auto& each) {
    auto its = each.second;
    fill(its, now);
    return its.tokens >= burst_;
  });
  if (buckets_.size() >= clients_max_)
    buckets_.clear();
}

} // namespace sluice::http
