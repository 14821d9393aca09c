#pragma once

#include <sluice/core/token_bucket.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace sluice::http {

/// A bucket of tokens for each client: it fills at the allowed rate, and a request takes one. Pure.
///
/// Knows at most `clients_max` clients: beyond that it forgets those whose bucket is full, who lose
/// nothing by it, and if there are none, all.
class client_rates {
public:
  using time_point = token_bucket::time_point;
  using client = std::array<unsigned char, 8>; ///< as `client_key` has it

  explicit client_rates(token_rate rate, std::size_t clients_max = 100'000)
    : rate_(rate), clients_max_(clients_max) {}

  /// Takes a token. Without one it says when to try again, in whole seconds, at least 1.
  std::optional<std::chrono::seconds> take(const client& who, time_point now);

  std::size_t known_count() const noexcept { return buckets_.size(); }

private:
  void make_room(time_point now);

  const token_rate rate_;
  const std::size_t clients_max_;
  std::map<client, token_bucket> buckets_;
};

} // namespace sluice::http
