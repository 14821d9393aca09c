#include "transport/http/origin_check.hpp"

#include "transport/http/answer.hpp"
#include "transport/http/head_check.hpp"

namespace sluice::http {

namespace {

/// A browser leaves the port away that the scheme stands for; a proxy may name it in the Host that it sends.
bool is_from_here(std::string_view origin, std::string_view host) {
  const auto scheme_end = origin.find("://");
  if (scheme_end == origin.npos)
    return false;
  const std::string_view port = same_token(origin.substr(0, scheme_end), "https") ? ":443" : ":80";
  const auto without_port = [port](std::string_view text) {
    return text.ends_with(port) ? text.substr(0, text.size() - port.size()) : text;
  };
  return same_token(without_port(origin.substr(scheme_end + 3)), without_port(host));
}

} // namespace

bool is_from_allowed_page(const request& head, const std::vector<std::string>* origins) {
  const auto origin = head.headers.find("Origin");
  return !origin || is_from_here(*origin, head.headers.find("Host").value_or(std::string_view{}))
         || (origins && !allowed_origin(*origin, *origins).empty());
}

} // namespace sluice::http
