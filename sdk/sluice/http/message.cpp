#include <sluice/codec/json_writer.hpp>
#include <sluice/codec/utf8.hpp>
#include <sluice/core/fingerprint.hpp>
#include <sluice/http/field_value.hpp>
#include <sluice/http/message.hpp>
#include <sluice/http/url.hpp>

#include <algorithm>
#include <array>

namespace sluice {

namespace {

constexpr std::array<std::string_view, 7> method_names = {"GET",    "POST", "PUT",    "PATCH",
                                                          "DELETE", "HEAD", "OPTIONS"};

constexpr auto reasons =
  std::to_array<std::pair<unsigned, std::string_view>>({{100, "Continue"},
                                                        {101, "Switching Protocols"},
                                                        {102, "Processing"},
                                                        {103, "Early Hints"},
                                                        {200, "OK"},
                                                        {201, "Created"},
                                                        {202, "Accepted"},
                                                        {203, "Non-Authoritative Information"},
                                                        {204, "No Content"},
                                                        {205, "Reset Content"},
                                                        {206, "Partial Content"},
                                                        {207, "Multi-Status"},
                                                        {208, "Already Reported"},
                                                        {226, "IM Used"},
                                                        {300, "Multiple Choices"},
                                                        {301, "Moved Permanently"},
                                                        {302, "Found"},
                                                        {303, "See Other"},
                                                        {304, "Not Modified"},
                                                        {305, "Use Proxy"},
                                                        {307, "Temporary Redirect"},
                                                        {308, "Permanent Redirect"},
                                                        {400, "Bad Request"},
                                                        {401, "Unauthorized"},
                                                        {402, "Payment Required"},
                                                        {403, "Forbidden"},
                                                        {404, "Not Found"},
                                                        {405, "Method Not Allowed"},
                                                        {406, "Not Acceptable"},
                                                        {407, "Proxy Authentication Required"},
                                                        {408, "Request Timeout"},
                                                        {409, "Conflict"},
                                                        {410, "Gone"},
                                                        {411, "Length Required"},
                                                        {412, "Precondition Failed"},
                                                        {413, "Content Too Large"},
                                                        {414, "URI Too Long"},
                                                        {415, "Unsupported Media Type"},
                                                        {416, "Range Not Satisfiable"},
                                                        {417, "Expectation Failed"},
                                                        {418, "I'm a Teapot"},
                                                        {421, "Misdirected Request"},
                                                        {422, "Unprocessable Content"},
                                                        {423, "Locked"},
                                                        {424, "Failed Dependency"},
                                                        {425, "Too Early"},
                                                        {426, "Upgrade Required"},
                                                        {428, "Precondition Required"},
                                                        {429, "Too Many Requests"},
                                                        {431, "Request Header Fields Too Large"},
                                                        {451, "Unavailable For Legal Reasons"},
                                                        {499, "Client Closed Request"},
                                                        {500, "Internal Server Error"},
                                                        {501, "Not Implemented"},
                                                        {502, "Bad Gateway"},
                                                        {503, "Service Unavailable"},
                                                        {504, "Gateway Timeout"},
                                                        {505, "HTTP Version Not Supported"},
                                                        {506, "Variant Also Negotiates"},
                                                        {507, "Insufficient Storage"},
                                                        {508, "Loop Detected"},
                                                        {510, "Not Extended"},
                                                        {511, "Network Authentication Required"}});

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
    if (http::same_token(have, name))
      return value;
  return std::nullopt;
}

std::size_t headers::count(std::string_view name) const noexcept {
  return static_cast<std::size_t>(
    std::ranges::count_if(fields_, [&](const field& x) { return http::same_token(x.first, name); }));
}

void headers::set(std::string_view name, std::string value) {
  for (auto at = fields_.begin(); at != fields_.end(); ++at)
    if (http::same_token(at->first, name)) {
      at->second = std::move(value);
      fields_.erase(std::remove_if(at + 1, fields_.end(),
                                   [&](const field& x) { return http::same_token(x.first, name); }),
                    fields_.end());
      return;
    }
  add(std::string{name}, std::move(value));
}

void headers::erase(std::string_view name) {
  std::erase_if(fields_, [&](const field& x) { return http::same_token(x.first, name); });
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
  auto found = std::ranges::find(reasons, status, &std::pair<unsigned, std::string_view>::first);
  return found == reasons.end() ? "Unknown" : found->second;
}

std::optional<std::string> find_flaw(const response& answer) {
  if (answer.status < 200 || answer.status > 999)
    return "its status " + std::to_string(answer.status) + " is none from 200 to 999";
  for (const auto& [name, value] : answer.headers) {
    if (!http::is_token(name))
      return "\"" + name + "\" is no name of a header field";
    if (!http::is_field_value(value))
      return "the value of its header field " + name + " has a line end or another control character";
  }
  return std::nullopt;
}

std::uint64_t fingerprint_of(const request& in) noexcept {
  // No method, path or query contains what stands behind it here.
  auto value = fingerprint(" ", fingerprint(to_string(in.method)));
  value = fingerprint("?", fingerprint(in.path, value));
  value = fingerprint("\n", fingerprint(in.query, value));
  value = fingerprint(in.body, value);
  return value == 0 ? 1 : value;
}

response collected_response() { return {200, {{"Content-Type", "application/json"}}, R"({"success":true})"}; }

response error_response(unsigned status, std::string_view text, error_form form) {
  response out{status, {{"Content-Type", "application/json"}}, {}};
  out.body = form == error_form::collector ? R"({"success":false,"error":)" : R"({"error":)";
  codec::json_writer writer{out.body};
  static_cast<void>(writer.string(codec::to_utf8(text))); // fails for what is no UTF-8 only
  out.body += '}';
  return out;
}

} // namespace sluice
