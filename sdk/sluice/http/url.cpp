#include <sluice/http/url.hpp>

#include <algorithm>
#include <utility>

namespace sluice::http {

namespace {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

/// Where the first '%' stands that is not followed by two hex digits, or npos.
std::size_t find_bad_escape(std::string_view text) noexcept {
  for (auto at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 1))
    if (at + 2 >= text.size() || hex_digit(text[at + 1]) < 0 || hex_digit(text[at + 2]) < 0)
      return at;
  return std::string_view::npos;
}

std::string decoded_or_as_is(std::string_view text) {
  auto decoded = percent_decode(text, true);
  return decoded ? std::move(*decoded) : std::string{text};
}

} // namespace

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_blank) {
  if (find_bad_escape(text) != std::string_view::npos)
    return std::nullopt;
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_blank) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    }
  }
  return out;
}

std::optional<std::string> find_malformed_field(std::string_view query) {
  const auto bad = find_bad_escape(query);
  if (bad == std::string_view::npos)
    return std::nullopt;
  const auto before = query.rfind('&', bad); // '&' and '=' end an escape, so it is within one field
  auto field = query.substr(before == std::string_view::npos ? 0 : before + 1);
  field = field.substr(0, field.find('&'));
  return decoded_or_as_is(field.substr(0, field.find('=')));
}

void for_each_query_field(std::string_view query, const std::function<void(std::string, std::string)>& use) {
  while (!query.empty()) {
    auto field = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), field.size() + 1));
    if (field.empty())
      continue;
    auto equals = field.find('=');
    use(decoded_or_as_is(field.substr(0, equals)),
        equals == std::string_view::npos ? std::string{} : decoded_or_as_is(field.substr(equals + 1)));
  }
}

} // namespace sluice::http
