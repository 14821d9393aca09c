#pragma once

#include "transport/link/link.hpp"

#include <string>
#include <string_view>

/// The bodies of the frames that only the link itself speaks. Each is a fixed part and
/// texts with a u16 length, little-endian, with a cap on every text; a reader refuses
/// what is short, long or has bytes left over. They never change within a protocol
/// version, so that any two versions can at least refuse each other in words.
namespace sluice::link {

/// What a process without a certificate sends instead of a hello.
struct join_request {
  std::string token;       ///< the secret part of the one-time join token
  std::string name;        ///< the node id it wants in its certificate
  std::string request_pem; ///< PKCS#10 request, signed by the key the node keeps
};

/// What it gets, if the token is good.
struct join_grant {
  std::string cluster_id;
  std::string name;            ///< the id that was granted
  std::string certificate_pem; ///< the node's
  std::string ca_pem;
};

/// Encodes a hello; a text longer than its cap is cut, and the peer will refuse it.
std::string encode_hello(const hello& self);
/// Fails with `corrupt`, or with `unsupported` where the magic is not ours at all.
result<hello> decode_hello(std::string_view body);

std::string encode_goodbye(const failure& why);
/// What cannot be read becomes `corrupt`; never `ok`.
failure decode_goodbye(std::string_view body);

std::string encode_join(const join_request& request);
result<join_request> decode_join(std::string_view body);

std::string encode_grant(const join_grant& grant);
result<join_grant> decode_grant(std::string_view body);

/// Whether `peer` may talk to `self`: same protocol version and cluster, a name, an
/// incarnation. The failure says what differs. An empty cluster id on either side
/// stands for "the fd or the directory is the proof" and matches any.
result<void> check_hello(const hello& self, const hello& peer);

} // namespace sluice::link
