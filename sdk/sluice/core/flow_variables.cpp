#include <sluice/codec/utf8.hpp>
#include <sluice/core/flow_variables.hpp>
#include <sluice/core/limits.hpp>

#include <algorithm>

namespace sluice {

namespace {

constexpr std::size_t name_shown_bytes_max = 64;

bool is_variable_name(std::string_view name) noexcept {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return !name.empty() && is_letter(name.front())
         && std::ranges::all_of(name, [&](char c) { return is_letter(c) || is_digit(c); });
}

std::string bytes_bound() {
  return std::to_string(limits::variables_bytes_max) + " ("
         + std::to_string(limits::variables_bytes_max >> 10) + " KiB)";
}

} // namespace

std::string_view variable_name_mistake(std::string_view name) noexcept {
  if (!is_variable_name(name))
    return "a variable's name has letters, digits and '_', and does not begin with a digit";
  if (name.starts_with("SLUICE_"))
    return "names that begin with SLUICE_ are Sluice's own";
  if (name.starts_with("LD_") || name == "GLIBC_TUNABLES")
    return "LD_* and GLIBC_TUNABLES are the loader's, and would make another program of it";
  return {};
}

std::string_view variable_value_mistake(std::string_view value) noexcept {
  if (value.find('\0') != std::string_view::npos)
    return "its value has a zero byte, which no environment can hold";
  if (!codec::is_utf8(value))
    return "its value is not UTF-8; pass it in base64, or in a file";
  return {};
}

result<void> check_variables(const flow_variables& all) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : all) {
    auto mistake = variable_name_mistake(name);
    if (mistake.empty())
      mistake = variable_value_mistake(value);
    if (!mistake.empty())
      return fail(errc::invalid_argument, "variable '" + codec::to_utf8(name.substr(0, name_shown_bytes_max))
                                            + "': " + std::string{mistake});
    const auto size = name.size() + value.size() + 2; // as the environment holds it
    if (size > limits::variables_bytes_max)
      return fail(errc::invalid_argument, "variable '" + codec::to_utf8(name.substr(0, name_shown_bytes_max))
                                            + "' is too large: it takes " + std::to_string(size)
                                            + " bytes, and all together may have " + bytes_bound()
                                            + "; put it in a file");
    bytes += size;
  }
  if (all.size() > limits::variables_count_max)
    return fail(errc::invalid_argument, "too many variables: " + std::to_string(all.size()) + " of at most "
                                          + std::to_string(limits::variables_count_max));
  if (bytes > limits::variables_bytes_max)
    return fail(errc::invalid_argument, "the variables are too large: they take " + std::to_string(bytes)
                                          + " bytes, and may have " + bytes_bound()
                                          + "; put what is large in a file");
  return {};
}

} // namespace sluice
