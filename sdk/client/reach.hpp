#pragma once

#include <sluice/core/result.hpp>

#include <chrono>
#include <string>
#include <string_view>

namespace sluice::client {

/// A control address in parts: a path, or a host and a port.
struct parsed_address {
  std::string socket_path; ///< not empty: a unix socket
  std::string host;
  std::string port;
};

/// Reads "unix:PATH" or "HOST:PORT"; an IPv6 host stands in brackets.
result<parsed_address> parse_address(std::string_view text);

/// Lower-case hex of a fingerprint that may be written with colons, capitals or the
/// prefix "sha256:". Fails unless it is a SHA-256.
result<std::string> normalise_pin(std::string_view text);

/// True for "sluice://CLUSTER/head/NAME", the name in a head's certificate.
bool is_head_uri(std::string_view uri) noexcept;

/// Connects to the socket and closes it again, to say precisely why nobody answers.
result<void> reach_socket(const std::string& path);

/// Shakes hands with HOST:PORT and returns, as PEM, the certificate of its chain whose
/// SHA-256 is `pin`. Trusts nothing else of the peer: the caller makes the real
/// connection with that certificate as its only root. Fails with `unavailable`,
/// `timeout`, or `unauthenticated` when no certificate has the pin.
result<std::string> fetch_pinned_certificate(const parsed_address& where, const std::string& pin,
                                             std::chrono::milliseconds timeout);

} // namespace sluice::client
