#include "runtime/config/quantity.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace sluice::config {

namespace {

tl::unexpected<failure> wrong(std::string_view text, const char* expected) {
  return fail(errc::invalid_argument, "'" + std::string{text} + "' is not " + expected);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ')
    text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ')
    text.remove_suffix(1);
  return text;
}

/// Splits "12 GiB" into 12 and "GiB". False when there is no number in front.
bool split(std::string_view text, double& number, std::string_view& unit) {
  text = trimmed(text);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number) || number < 0)
    return false;
  unit = trimmed(text.substr(static_cast<std::size_t>(end - text.data())));
  return true;
}

} // namespace

result<std::uint64_t> parse_size(std::string_view text) {
  constexpr auto expected = "a size; write bytes or for example 512MiB or 8GiB";
  double number = 0;
  std::string_view unit;
  if (!split(text, number, unit))
    return wrong(text, expected);
  constexpr std::string_view prefixes = "KMGT";
  double factor = 1;
  if (!unit.empty() && unit != "B") {
    auto power = prefixes.find(unit.front());
    auto rest = unit.substr(1);
    if (power == std::string_view::npos || !(rest.empty() || rest == "iB" || rest == "i" || rest == "B"))
      return wrong(text, expected);
    factor = std::pow(1024.0, static_cast<double>(power + 1));
  }
  auto size = number * factor;
  if (size >= static_cast<double>(std::numeric_limits<std::int64_t>::max()))
    return wrong(text, "a size this machine could have");
  return static_cast<std::uint64_t>(size);
}

result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr auto expected = "a time span; write for example 500ms, 30s, 5m or 2h";
  constexpr std::array<std::pair<std::string_view, double>, 5> units{
    {{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}}};
  double number = 0;
  std::string_view unit;
  if (!split(text, number, unit))
    return wrong(text, expected);
  for (auto [name, factor] : units)
    if (name == unit) {
      auto span = number * factor;
      if (span > 365.0 * 24 * 3600e3)
        return wrong(text, "a time span of at most a year");
      return std::chrono::milliseconds{static_cast<std::int64_t>(span)};
    }
  return wrong(text, expected);
}

result<std::map<std::string, std::string>> parse_labels(std::string_view text) {
  std::map<std::string, std::string> labels;
  while (!text.empty()) {
    auto comma = text.find(',');
    auto one = trimmed(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    auto equals = one.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return wrong(one, "a label; write KEY=VALUE, several with commas between");
    if (!labels.emplace(one.substr(0, equals), one.substr(equals + 1)).second)
      return wrong(one, "unique: the label has a value already");
  }
  return labels;
}

result<std::uint64_t> parse_count(std::string_view text, std::uint64_t min, std::uint64_t max) {
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty() || number < min
      || number > max)
    return fail(errc::invalid_argument, "'" + std::string{text} + "' is not a whole number from "
                                          + std::to_string(min) + " to " + std::to_string(max));
  return number;
}

result<double> parse_cpus(std::string_view text) {
  double number = 0;
  std::string_view unit;
  if (!split(text, number, unit) || !unit.empty() || number <= 0 || number > 1e6)
    return wrong(text, "a number of CPUs; write for example 4 or 0.5");
  return number;
}

result<bool> parse_bool(std::string_view text) {
  if (text == "true" || text == "yes" || text == "1")
    return true;
  if (text == "false" || text == "no" || text == "0")
    return false;
  return wrong(text, "true or false");
}

} // namespace sluice::config
