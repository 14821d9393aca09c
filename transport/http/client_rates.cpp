#include "transport/http/client_rates.hpp"

namespace sluice::http {

std::optional<std::chrono::seconds> client_rates::take(const client& who, time_point now) {
  auto found = buckets_.find(who);
  if (found == buckets_.end()) {
    if (buckets_.size() >= clients_max_)
      make_room(now);
    found = buckets_.emplace(who, token_bucket{}).first;
  }
  return found->second.take(rate_, now);
}

void client_rates::make_room(time_point now) {
  std::erase_if(buckets_, [&](const auto& each) { return each.second.is_full(rate_, now); });
  if (buckets_.size() >= clients_max_)
    buckets_.clear();
}

} // namespace sluice::http
