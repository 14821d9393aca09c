#pragma once

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
  using time_point = std::chrono::steady_clock::time_point;
  using client = std::array<unsigned char, 8>; ///< as `client_key` has it

  /// @param per_s above 0
  /// @param burst tokens in a full bucket; 0 = those of one second, at least 1
  client_rates(double per_s, std::uint32_t burst, std::size_t clients_max = 100'000);

  /// Takes a token. Without one it says when to try again, in whole seconds, at least 1.
  std::optional<std::chrono::seconds> take(const client& who, time_point now);

  std::size_t known_count() const noexcept { return buckets_.size(); }

private:
  struct bucket {
    double tokens = 0;
    time_point at{};
  };
  void fill(bucket& which, time_point now) const;
  void make_room(time_point now);

  const double per_s_;
  const double burst_;
  const std::size_t clients_max_;
  std::map<client, bucket> buckets_;
};

} // namespace sluice::http
