#pragma once

#include <sluice/http/message.hpp>

namespace sluice::http {

/// The page that lists the operations of the document beside it, `openapi.json` with the same query,
/// shows their schemas and lets one try them. Needs nothing else: style and script are in it, and its
/// Content-Security-Policy allows just these, by their hashes.
response docs_page();

} // namespace sluice::http
