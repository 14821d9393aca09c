#include <sluice/http/route.hpp>
#include <sluice/http/url.hpp>

#include <algorithm>

namespace sluice::http {

namespace {

bool is_name(std::string_view text) noexcept {
  auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !text.empty() && is_letter(text.front())
         && std::ranges::all_of(text, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

/// Visible ASCII that ends no path.
bool is_plain(std::string_view text) noexcept {
  return std::ranges::all_of(
    text, [](char c) { return c > 0x20 && c < 0x7f && c != '?' && c != '#' && c != '\\'; });
}

result<route_segment> parse_segment(std::string_view text) {
  if (text.front() == '{' && text.back() == '}') {
    auto name = text.substr(1, text.size() - 2);
    auto kind = segment_kind::parameter;
    if (name.ends_with("...")) {
      kind = segment_kind::rest;
      name.remove_suffix(3);
    }
    if (!is_name(name))
      return fail(errc::invalid_argument, "\"" + std::string{text}
                                            + "\" is no parameter: a name has letters, digits and '_' and "
                                              "starts with none of the digits");
    return route_segment{kind, std::string{name}};
  }
  if (text.find_first_of("{}") != std::string_view::npos)
    return fail(errc::invalid_argument,
                "a parameter takes a whole segment, \"" + std::string{text} + "\" has more");
  auto decoded = percent_decode(text);
  if (!decoded)
    return fail(errc::invalid_argument, "\"" + std::string{text} + "\" has a '%' without two hex digits");
  if (*decoded == "." || *decoded == "..")
    return fail(errc::invalid_argument, "has a segment \"" + *decoded + "\", which clients take away");
  return route_segment{segment_kind::literal, std::move(*decoded)};
}

} // namespace

result<std::vector<route_segment>> parse_route(std::string_view route) {
  if (!route.starts_with('/'))
    return fail(errc::invalid_argument, "must start with '/'");
  if (!is_plain(route))
    return fail(errc::invalid_argument, "must not have blanks, control characters, '?', '#' or '\\'; write "
                                        "others than ASCII as %xx");
  if (route.find("//") != std::string_view::npos)
    return fail(errc::invalid_argument, "has an empty segment");
  std::vector<route_segment> segments;
  route.remove_prefix(1);
  if (route.ends_with('/'))
    route.remove_suffix(1);
  while (!route.empty()) {
    const auto end = std::min(route.find('/'), route.size());
    auto segment = parse_segment(route.substr(0, end));
    if (!segment)
      return fail(segment);
    if (!segments.empty() && segments.back().kind == segment_kind::rest)
      return fail(errc::invalid_argument, "\"{" + segments.back().text + "...}\" must be the last segment");
    if (segment->kind != segment_kind::literal)
      for (const auto& other : segments)
        if (other.kind != segment_kind::literal && other.text == segment->text)
          return fail(errc::invalid_argument, "has two parameters \"" + other.text + "\"");
    segments.push_back(std::move(*segment));
    route.remove_prefix(std::min(end + 1, route.size()));
  }
  return segments;
}

std::string route_shape(std::string_view route) {
  auto segments = parse_route(route);
  if (!segments)
    return std::string{route};
  std::string shape;
  for (const auto& segment : *segments) {
    shape += '/';
    if (segment.kind == segment_kind::parameter)
      shape += "{}";
    else if (segment.kind == segment_kind::rest)
      shape += "{...}";
    else
      for (char c : segment.text) // what a decoded literal may hold and a shape uses itself
        shape += c == '/' ? "%2F" : c == '{' ? "%7B" : c == '%' ? "%25" : std::string{c};
  }
  return shape.empty() ? "/" : shape;
}

} // namespace sluice::http
