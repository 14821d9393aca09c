#include "runtime/cli/format.hpp"

#include <fmt/format.h>

#include <array>
#include <ctime>

namespace sluice::cli {

namespace {

std::string local_time(std::int64_t unix_ms, const char* form) {
  std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  if (localtime_r(&seconds, &parts) == nullptr)
    return "?";
  std::array<char, 32> text{};
  auto n = std::strftime(text.data(), text.size(), form, &parts);
  return {text.data(), n};
}

} // namespace

std::string count_text(std::uint64_t count) {
  auto digits = std::to_string(count);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

std::string short_count_text(std::uint64_t count) {
  constexpr std::uint64_t exact_max = 9'999'999;
  if (count <= exact_max)
    return count_text(count);
  const auto value = static_cast<double>(count);
  if (value < 999.95e6)
    return fmt::format("{:.1f}M", value / 1e6);
  if (value < 999.95e9)
    return fmt::format("{:.1f}G", value / 1e9);
  return fmt::format("{:.1f}T", value / 1e12);
}

std::string rate_text(double per_s) {
  if (!(per_s > 0))
    return "0/s";
  if (per_s < 9.95)
    return fmt::format("{:.1f}/s", per_s);
  if (per_s < 9'999.5)
    return fmt::format("{:.0f}/s", per_s);
  if (per_s < 999'950)
    return fmt::format("{:.1f}k/s", per_s / 1e3);
  return fmt::format("{:.1f}M/s", per_s / 1e6);
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array units{"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024)
    return fmt::format("{} B", bytes);
  auto amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (amount >= 1023.95 && unit + 1 < units.size()) {
    amount /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", amount, units[unit]);
}

std::string latency_text(std::uint64_t us) {
  if (us == 0)
    return "-";
  if (us < 1000)
    return std::to_string(us) + "us";
  const bool in_ms = us < 1'000'000;
  return fmt::format("{:.1f}{}", static_cast<double>(us) / (in_ms ? 1e3 : 1e6), in_ms ? "ms" : "s");
}

std::string span_text(std::uint64_t milliseconds) {
  if (milliseconds < 9'950)
    return fmt::format("{:.1f}s", static_cast<double>(milliseconds) / 1e3);
  auto s = (milliseconds + 500) / 1000;
  if (s < 60)
    return fmt::format("{}s", s);
  if (s < 3600)
    return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 24 * 3600)
    return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d{:02}h", s / (24 * 3600), s / 3600 % 24);
}

std::string cpus_text(double cpus) {
  auto text = fmt::format("{:.2f}", cpus);
  while (text.back() == '0')
    text.pop_back();
  if (text.back() == '.')
    text.pop_back();
  return text;
}

std::string clock_text(std::int64_t unix_ms) { return local_time(unix_ms, "%H:%M:%S"); }

std::string date_text(std::int64_t unix_ms) { return local_time(unix_ms, "%Y-%m-%d %H:%M:%S"); }

} // namespace sluice::cli
