#include <sluice/http/field_value.hpp>

#include <algorithm>
#include <cstddef>

namespace sluice::http {

namespace {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

} // namespace

bool is_token(std::string_view text) noexcept {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || others.find(c) != others.npos;
  });
}

bool is_field_value(std::string_view text) noexcept {
  return std::ranges::all_of(
    text, [](char c) { return (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) || c == '\t'; });
}

std::string_view next_part(std::string_view& rest, char separator) noexcept {
  auto at = rest.find(separator);
  auto part = rest.substr(0, at);
  rest.remove_prefix(at == rest.npos ? rest.size() : at + 1);
  return trim(part);
}

int weight_of(std::string_view parameters) noexcept {
  constexpr int whole = 1000;
  while (!parameters.empty()) {
    auto parameter = next_part(parameters, ';');
    if (parameter.size() < 3 || lower(parameter[0]) != 'q' || parameter[1] != '=')
      continue;
    if (parameter[2] != '0' || (parameter.size() > 3 && parameter[3] != '.'))
      return whole;
    int weight = 0;
    int place = 100;
    for (auto digits = parameter.substr(std::min<std::size_t>(parameter.size(), 4));
         !digits.empty() && place > 0; digits.remove_prefix(1), place /= 10) {
      if (!is_digit(digits.front()))
        return whole;
      weight += place * (digits.front() - '0');
    }
    return weight;
  }
  return whole;
}

} // namespace sluice::http
