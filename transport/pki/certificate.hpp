#pragma once

#include <sluice/core/result.hpp>

#include <chrono>
#include <string>
#include <string_view>

/// Keys and certificates of one cluster. The head holds a self-signed authority; every
/// process of the cluster has a certificate from it that says who the process is.
/// Everything is PEM text in memory; `secret_file` puts it on disk. Free functions,
/// safe from any thread; wall-clock time is an argument.
namespace sluice::pki {

using wall_time = std::chrono::system_clock::time_point;

constexpr auto authority_lifetime = std::chrono::hours{24 * 3650};
constexpr auto certificate_lifetime = std::chrono::hours{24 * 30};
/// Certificates begin this long ago, for nodes whose clocks lag.
constexpr auto clock_skew_max = std::chrono::minutes{5};

/// Who a certificate is for. It stands in the subject alternative name as the URI
/// `sluice://<cluster_id>/<role>/<name>`, so that a node's certificate is good for
/// nothing but to be that node in that cluster: not for the head, not elsewhere.
struct subject {
  std::string cluster_id;
  std::string role; ///< "head", "node" or "host"
  std::string name;

  friend bool operator==(const subject&, const subject&) = default;
};

/// Fails with `invalid_argument` unless every part is 1 to 63 of [A-Za-z0-9._-].
result<std::string> to_uri(const subject& who);
result<subject> parse_uri(std::string_view uri);

/// A certificate with its private key.
struct key_pair {
  std::string key_pem;
  std::string certificate_pem;
};

/// What one process shows and whom it believes.
struct identity {
  std::string key_pem;
  std::string certificate_pem;
  std::string ca_pem;
};

struct validity {
  wall_time from;
  wall_time to;
};

/// `certificate_lifetime` from `now`, less the skew.
validity valid_from(wall_time now) noexcept;

/// Makes the authority of a new cluster: EC P-256, self-signed, ten years from `now`,
/// allowed to sign end certificates only.
result<key_pair> make_authority(const std::string& cluster_id, wall_time now);

/// Makes a private key, EC P-256.
result<std::string> make_key();

/// Makes a PKCS#10 request for the key. `name` is a wish; the signer decides.
result<std::string> make_request(const std::string& key_pem, const std::string& name);

/// Signs a request for `who`. Of the request only the key is used, after its signature
/// is checked: names and extensions in it are ignored. Fails with `invalid_argument`.
result<std::string> sign_request(const key_pair& authority, const std::string& request_pem,
                                 const subject& who, const validity& when);

/// Makes a key and a certificate for it at once, for processes beside the authority.
result<identity> issue(const key_pair& authority, const subject& who, const validity& when);

/// What stands in a certificate.
struct certificate_facts {
  subject who; ///< empty for an authority
  wall_time not_before;
  wall_time not_after;
  std::string serial; ///< hex
};

/// Fails with `invalid_argument` when the text is no certificate.
result<certificate_facts> inspect(const std::string& certificate_pem);

/// SHA-256 over the certificate, 64 hex digits: what a join token pins.
result<std::string> fingerprint(const std::string& certificate_pem);

/// SHA-256 over the public key of a request, 64 hex digits.
result<std::string> request_key_fingerprint(const std::string& request_pem);

/// True from two thirds of the certificate's life on.
bool renewal_due(const certificate_facts& facts, wall_time now) noexcept;

} // namespace sluice::pki
