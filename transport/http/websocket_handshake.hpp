#pragma once

#include <sluice/http/message.hpp>

#include <optional>
#include <string>
#include <vector>

namespace sluice::http {

/// What becomes of a request for a WebSocket route: `accept` for the 101, or the answer that refuses it.
struct websocket_handshake {
  std::string accept = {};
  std::optional<response> refused = {};
};

/// Checks a request that may ask for a WebSocket (RFC 6455 §4.2.1). 426 if it does not, or asks for another
/// version; 403 if a browser says that a page of another site asks, unless `origins` has it ("*" =
/// any; may be null): browsers send cookies along and CORS does not hold them back here. Pure.
///
/// `wants_upgrade`: HTTP/1.1 with the Connection option "upgrade" and no body.
websocket_handshake check_websocket(const request& head, bool wants_upgrade,
                                    const std::vector<std::string>* origins);

/// The answer that opens it.
std::string websocket_opening(std::string_view accept, std::string_view request_id, std::string_view date);

} // namespace sluice::http
