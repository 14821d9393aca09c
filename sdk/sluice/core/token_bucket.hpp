#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

namespace sluice {

/// How many may come in.
struct token_rate {
  double per_s = 0;        ///< above 0
  std::uint32_t burst = 0; ///< at once; 0 = those of one second, at least 1

  double bucket_size() const noexcept { return burst > 0 ? burst : std::max(std::ceil(per_s), 1.0); }

  friend bool operator==(const token_rate&, const token_rate&) = default;
};

/// Tokens that come at a rate, of which everybody who wants in takes one. Begins full. Pure; the rate may
/// change from call to call.
class token_bucket {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Takes a token. Without one it says when to try again, in whole seconds, at least 1.
  std::optional<std::chrono::seconds> take(const token_rate& rate, time_point now) noexcept {
    fill(rate, now);
    if (tokens_ >= 1) {
      tokens_ -= 1;
      return std::nullopt;
    }
    const auto wait = std::ceil((1 - tokens_) / rate.per_s);
    return std::chrono::seconds{std::max<std::int64_t>(static_cast<std::int64_t>(wait), 1)};
  }

  /// Nothing would change if it were made anew.
  bool is_full(const token_rate& rate, time_point now) const noexcept {
    auto copy = *this;
    copy.fill(rate, now);
    return copy.tokens_ >= rate.bucket_size();
  }

private:
  void fill(const token_rate& rate, time_point now) noexcept {
    const auto passed = std::chrono::duration<double>(now - at_).count();
    tokens_ = std::min(tokens_ + std::max(passed, 0.0) * rate.per_s, rate.bucket_size());
    at_ = now;
  }

  double tokens_ = std::numeric_limits<double>::infinity();
  time_point at_{};
};

} // namespace sluice
