#pragma once

#include "transport/link/tls.hpp"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct ssl_st;

namespace sluice::link {

enum class link_side : std::uint8_t { client, server };

/// One TLS connection as a function from bytes to bytes; it knows no socket. What
/// `output` holds must be sent to the peer after every call. One thread at a time.
class tls_session {
public:
  /// `anonymous_ok`: a server that also lets in clients without a certificate; look at
  /// `peer_uri` to tell them apart.
  static result<std::unique_ptr<tls_session>> make(const tls_credentials& credentials, link_side side,
                                                   bool anonymous_ok);

  /// A client without a certificate that believes exactly the authority with this
  /// fingerprint, and only a head.
  static result<std::unique_ptr<tls_session>> make_pinned(const std::string& ca_fingerprint);

  ~tls_session();
  tls_session(const tls_session&) = delete;
  tls_session& operator=(const tls_session&) = delete;

  /// Begins the handshake, for the client. Not an error to call for a server.
  result<void> begin();

  /// Takes all of `ciphertext`. Hands plaintext on in pieces of at most
  /// `buffer.size()` bytes, decrypted into `buffer`; `on_plain` returning a failure ends it.
  /// Fails with `unauthenticated` when one side's certificate is refused, with
  /// `corrupt` when the bytes are not TLS or were changed on the way.
  result<void> receive(std::string_view ciphertext, std::span<char> buffer,
                       const std::function<result<void>(std::string_view)>& on_plain);

  /// Encrypts. @pre established()
  result<void> send(std::string_view plain);

  /// Says that nothing more comes.
  void finish();

  bool established() const noexcept { return established_; }
  /// The peer said that nothing more comes.
  bool peer_finished() const noexcept { return peer_finished_; }

  /// The `sluice://` URI of the peer's certificate; empty when it showed none.
  /// @pre established()
  const std::string& peer_uri() const noexcept { return peer_uri_; }

  /// Ciphertext for the peer; the caller empties it.
  std::string& output() noexcept { return output_; }

  struct bio_access; // the BIO's two callbacks

private:
  tls_session() = default;
  result<void> attach(std::shared_ptr<ssl_ctx_st> context, link_side side);
  result<void> handshake();
  failure explain_failure(int result);

  std::shared_ptr<ssl_ctx_st> context_;
  std::unique_ptr<std::string> pin_;
  std::unique_ptr<ssl_st, void (*)(ssl_st*)> ssl_{nullptr, nullptr};
  std::string_view input_;
  std::string output_;
  std::string peer_uri_;
  bool established_ = false;
  bool peer_finished_ = false;
};

} // namespace sluice::link
