#pragma once

#include <sluice/core/result.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

/// Amounts as people write them. All fail with `invalid_argument` and a text that shows a
/// right one; none rounds or wraps.
namespace sluice::config {

/// "8GiB", "512 MiB", "2G", "1048576"; K, M, G, T are powers of 1024.
result<std::uint64_t> parse_size(std::string_view text);

/// "500ms", "30s", "5m", "2h"; a bare number is seconds.
result<std::chrono::milliseconds> parse_duration(std::string_view text);

/// "zone=a,disk=ssd".
result<std::map<std::string, std::string>> parse_labels(std::string_view text);

/// A whole number from `min` to `max`.
result<std::uint64_t> parse_count(std::string_view text, std::uint64_t min, std::uint64_t max);

/// A number above zero.
result<double> parse_cpus(std::string_view text);

/// "true", "false", "yes", "no", "1", "0".
result<bool> parse_bool(std::string_view text);

} // namespace sluice::config
