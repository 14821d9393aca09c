#include "runtime/cli/count_check.hpp"

#include "runtime/config/quantity.hpp"

#include <CLI/CLI.hpp>

#include <string>

namespace sluice::cli {

CLI::Validator count_check(std::uint64_t min, std::uint64_t max) {
  const auto check = [min, max](std::string& text) -> std::string {
    const auto number = config::parse_count(text, min, max);
    if (number)
      return {};
    if (max != std::numeric_limits<std::uint64_t>::max())
      return number.error().message;
    return "'" + text + "' is not a whole number, " + std::to_string(min) + " or more";
  };
  return CLI::Validator{check, {}};
}

} // namespace sluice::cli
