#pragma once

#include "transport/link/link.hpp"
#include "transport/pki/certificate.hpp"

#include <memory>
#include <mutex>

struct ssl_ctx_st;

namespace sluice::link {

/// What this process shows on TLS links and whom it believes: one object shared by its
/// listeners and connectors, so that a renewed certificate is put in once.
///
/// TLS 1.3 only, certificates on both sides, no session resumption. Safe from any thread.
class tls_credentials {
public:
  /// Fails with `invalid_argument` when key, certificate and CA do not belong together.
  static result<std::shared_ptr<tls_credentials>> make(const pki::identity& identity);

  /// Puts a new certificate in for links made from now on; those that are up stay up.
  /// On failure the old one stays.
  result<void> update(const pki::identity& identity);

  /// For `tls_session`.
  std::shared_ptr<ssl_ctx_st> current() const;

private:
  tls_credentials() = default;

  mutable std::mutex mutex_;
  std::shared_ptr<ssl_ctx_st> context_;
};

/// The role as it stands in certificates.
std::string_view to_string(peer_role role) noexcept;

} // namespace sluice::link
