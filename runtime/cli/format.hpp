#pragma once

#include <cstdint>
#include <string>

/// Numbers as people read them. Pure, but for the time zone of `clock_text`.
namespace sluice::cli {

std::string count_text(std::uint64_t count);       ///< "12,400"
std::string short_count_text(std::uint64_t count); ///< "9,999,999", then "12.3M"
std::string rate_text(double per_s);               ///< "950/s", "12.3k/s"
std::string bytes_text(std::uint64_t bytes);       ///< "1.2 GiB"
std::string latency_text(std::uint64_t us);        ///< "850us", "12.3ms", "4.2s"; "-" for 0
std::string span_text(std::uint64_t milliseconds); ///< "0.3s", "42s", "3m12s", "5h02m", "3d04h"
std::string cpus_text(double cpus);                ///< "2", "0.5"
std::string clock_text(std::int64_t unix_ms);      ///< "14:03:59", local time
std::string date_text(std::int64_t unix_ms);       ///< "2026-11-24 14:03:59", local time

} // namespace sluice::cli
