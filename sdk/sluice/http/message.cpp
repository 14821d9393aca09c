#include <sluice/codec/json_writer.hpp>
#include <sluice/codec/utf8.hpp>
#include <sluice/http/message.hpp>
#include <sluice/http/url.hpp>

#include <algorithm>
#include <array>

namespace sluice {

namespace {

constexpr std::array<std::string_view, 7> method_names = {"GET",    "POST", "PUT",    "PATCH",
                                                          "DELETE", "HEAD", "OPTIONS"};

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

bool same_name(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size()
         && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

} // namespace

std::string_view to_string(method value) noexcept {
  auto i = static_cast<std::size_t>(value);
  return i < method_names.size() ? method_names[i] : "UNKNOWN";
}

std::optional<method> method_from(std::string_view text) noexcept {
  auto found = std::ranges::find(method_names, text);
  if (found == method_names.end())
    return std::nullopt;
  return static_cast<method>(found - method_names.begin());
}

std::optional<std::string_view> headers::find(std::string_view name) const noexcept {
  for (const auto& [have, value] : fields_)
    if (same_name(have, name))
      return value;
  return std::nullopt;
}

void headers::set(std::string_view name, std::string value) {
  for (auto at = fields_.begin(); at != fields_.end(); ++at)
    if (same_name(at->first, name)) {
      at->second = std::move(value);
      fields_.erase(
        std::remove_if(at + 1, fields_.end(), [&](const field& x) { return same_name(x.first, name); }),
        fields_.end());
      return;
    }
  add(std::string{name}, std::move(value));
}

void headers::erase(std::string_view name) {
  std::erase_if(fields_, [&](const field& x) { return same_name(x.first, name); });
}

std::string_view request::param(std::string_view name) const noexcept {
  for (const auto& [have, value] : params)
    if (have == name)
      return value;
  return {};
}

std::optional<std::string> request::query_field(std::string_view name) const {
  std::optional<std::string> found;
  http::for_each_query_field(query, [&](std::string key, std::string value) {
    if (!found && key == name)
      found = std::move(value);
  });
  return found;
}

std::string_view status_text(unsigned status) noexcept {
  switch (status) {
  case 100:
    return "Continue";
  case 101:
    return "Switching Protocols";
  case 200:
    return "OK";
  case 201:
    return "Created";
  case 202:
    return "Accepted";
  case 204:
    return "No Content";
  case 206:
    return "Partial Content";
  case 301:
    return "Moved Permanently";
  case 302:
    return "Found";
  case 303:
    return "See Other";
  case 304:
    return "Not Modified";
  case 307:
    return "Temporary Redirect";
  case 308:
    return "Permanent Redirect";
  case 400:
    return "Bad Request";
  case 401:
    return "Unauthorized";
  case 403:
    return "Forbidden";
  case 404:
    return "Not Found";
  case 405:
    return "Method Not Allowed";
  case 406:
    return "Not Acceptable";
  case 408:
    return "Request Timeout";
  case 409:
    return "Conflict";
  case 410:
    return "Gone";
  case 411:
    return "Length Required";
  case 412:
    return "Precondition Failed";
  case 413:
    return "Content Too Large";
  case 414:
    return "URI Too Long";
  case 415:
    return "Unsupported Media Type";
  case 417:
    return "Expectation Failed";
  case 421:
    return "Misdirected Request";
  case 422:
    return "Unprocessable Content";
  case 426:
    return "Upgrade Required";
  case 428:
    return "Precondition Required";
  case 429:
    return "Too Many Requests";
  case 431:
    return "Request Header Fields Too Large";
  case 500:
    return "Internal Server Error";
  case 501:
    return "Not Implemented";
  case 502:
    return "Bad Gateway";
  case 503:
    return "Service Unavailable";
  case 504:
    return "Gateway Timeout";
  case 505:
    return "HTTP Version Not Supported";
  case 507:
    return "Insufficient Storage";
  default:
    return "Unknown";
  }
}

response error_response(unsigned status, std::string_view text) {
  response out{status, {{"Content-Type", "application/json"}}, {}};
  out.body = R"({"error":)";
  codec::json_writer writer{out.body};
  static_cast<void>(writer.string(codec::to_utf8(text))); // fails for what is no UTF-8 only
  out.body += '}';
  return out;
}

} // namespace sluice
