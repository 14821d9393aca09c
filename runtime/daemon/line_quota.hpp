#pragma once

#include <sluice/core/token_bucket.hpp>

#include <cstdint>
#include <optional>
#include <utility>

namespace sluice::daemon {

/// Bounds the lines of a log that anybody can cause who reaches a port: a disk is full of them else. Pure; one thread at
/// a time.
class line_quota {
public:
  static constexpr token_rate rate{0.1, 100}; ///< so many at once, then one every 10 s

  /// None: the line is not to be written. Else how many were not since the last one that was.
  std::optional<std::uint64_t> take(token_bucket::time_point now) noexcept {
    if (bucket_.take(rate, now)) {
      ++left_out_;
      return std::nullopt;
    }
    return std::exchange(left_out_, 0);
  }

private:
  token_bucket bucket_;
  std::uint64_t left_out_ = 0;
};

} // namespace sluice::daemon
