#include "transport/http/origin_check.hpp"

#include "transport/http/answer.hpp"
#include "transport/http/head_check.hpp"

namespace sluice::http {

namespace {

bool is_from_here(std::string_view origin, std::string_view host) {
  const auto scheme = origin.find("://");
  return scheme != origin.npos && same_token(origin.substr(scheme + 3), host);
}

} // namespace

bool is_from_allowed_page(const request& head, const std::vector<std::string>* origins) {
  const auto origin = head.headers.find("Origin");
  return !origin || is_from_here(*origin, head.headers.find("Host").value_or(std::string_view{}))
         || (origins && !allowed_origin(*origin, *origins).empty());
}

} // namespace sluice::http
