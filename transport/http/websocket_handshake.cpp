#include "transport/http/websocket_handshake.hpp"

#include "transport/http/answer.hpp"
#include "transport/http/head_check.hpp"
#include "transport/http/origin_check.hpp"
#include "transport/http/websocket_codec.hpp"

#include <algorithm>

namespace sluice::http {

namespace {

std::string_view field(const request& head, std::string_view name) {
  return head.headers.find(name).value_or(std::string_view{});
}

bool lists(std::string_view value, std::string_view token) {
  while (!value.empty()) {
    auto comma = value.find(',');
    auto item = value.substr(0, comma);
    value.remove_prefix(comma == value.npos ? value.size() : comma + 1);
    auto first = item.find_first_not_of(" \t");
    if (first == item.npos)
      continue;
    item = item.substr(first, item.find_last_not_of(" \t") - first + 1);
    if (same_token(item, token))
      return true;
  }
  return false;
}

websocket_handshake refuse(unsigned status, std::string_view text) {
  websocket_handshake out{.refused = error_response(status, text)};
  if (status == 426) {
    out.refused->headers.add("Upgrade", "websocket");
    out.refused->headers.add("Sec-WebSocket-Version", "13");
  }
  return out;
}

} // namespace

websocket_handshake check_websocket(const request& head, bool wants_upgrade,
                                    const std::vector<std::string>* origins) {
  if (!wants_upgrade || head.method != method::get || !lists(field(head, "Upgrade"), "websocket"))
    return refuse(426, "this route is a WebSocket");
  if (field(head, "Sec-WebSocket-Version") != "13")
    return refuse(426, "the version of WebSocket known here is 13");
  if (!is_from_allowed_page(head, origins))
    return refuse(403, "pages of this origin may not use the route");
  const auto keys = std::ranges::count_if(
    head.headers, [](const auto& each) { return same_token(each.first, "Sec-WebSocket-Key"); });
  auto accept = websocket_accept(field(head, "Sec-WebSocket-Key"));
  if (!accept || keys != 1)
    return refuse(400, "the Sec-WebSocket-Key is not valid: it is 16 bytes in Base64");
  return {.accept = std::move(*accept)};
}

std::string websocket_opening(std::string_view accept, std::string_view request_id, std::string_view date) {
  std::string out =
    "HTTP/1.1 101 Switching Protocols\r\nServer: sluice\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  out.append("Date: ").append(date).append("\r\nX-Request-Id: ").append(request_id);
  out.append("\r\nSec-WebSocket-Accept: ").append(accept).append("\r\n\r\n");
  return out;
}

} // namespace sluice::http
