#pragma once

#include <sluice/http/message.hpp>

#include <string>
#include <vector>

namespace sluice::http {

/// Whether the page that sent a request, if it was one, may change something here: it is of this host, or among the route's
/// `origins` (null = none). A browser says so in `Origin`, which a page cannot forge; programs send none. Pure.
///
/// @source OWASP, Cross-Site Request Forgery Prevention: verifying origin with standard headers
bool is_from_allowed_page(const request& head, const std::vector<std::string>* origins);

} // namespace sluice::http
