#pragma once

#include <string>
#include <string_view>

namespace sluice::testing {

/// A frame as a client sends it, masked with zeros.
/// @pre the payload is shorter than 64 KiB
inline std::string client_frame(unsigned opcode, std::string_view payload) {
  std::string out{static_cast<char>(0x80 | opcode)};
  if (payload.size() < 126) {
    out += static_cast<char>(0x80 | payload.size());
  } else {
    out += static_cast<char>(0x80 | 126);
    out += static_cast<char>(payload.size() >> 8);
    out += static_cast<char>(payload.size());
  }
  return out + std::string(4, '\0') + std::string{payload};
}

/// The request that opens a WebSocket.
inline std::string websocket_opening(const std::string& path) {
  return "GET " + path
         + " HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
}

} // namespace sluice::testing
