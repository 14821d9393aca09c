#include "transport/link/tls_session.hpp"

#include "transport/pki/openssl.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>

namespace sluice::link {

/// Lets OpenSSL read from the ciphertext at hand and write to the output string.
struct tls_session::bio_access {
  static int read(BIO* bio, char* out, int size) {
    BIO_clear_retry_flags(bio);
    auto& input = static_cast<tls_session*>(BIO_get_data(bio))->input_;
    auto count = std::min(input.size(), static_cast<std::size_t>(size));
    if (count == 0) {
      BIO_set_retry_read(bio);
      return -1;
    }
    std::memcpy(out, input.data(), count);
    input.remove_prefix(count);
    return static_cast<int>(count);
  }

  static int write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    static_cast<tls_session*>(BIO_get_data(bio))->output_.append(data, static_cast<std::size_t>(size));
    return size;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH; }

  static BIO* make(tls_session* session) {
    static BIO_METHOD* const method = [] {
      auto* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice link");
      BIO_meth_set_read(made, read);
      BIO_meth_set_write(made, write);
      BIO_meth_set_ctrl(made, control);
      return made;
    }();
    auto* bio = BIO_new(method);
    if (bio) {
      BIO_set_data(bio, session);
      BIO_set_init(bio, 1);
    }
    return bio;
  }
};

namespace {

using context_ptr = std::shared_ptr<ssl_ctx_st>;

result<context_ptr> make_context() {
  context_ptr context{SSL_CTX_new(TLS_method()), SSL_CTX_free};
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1
      || SSL_CTX_set_ciphersuites(context.get(), "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                                 "TLS_CHACHA20_POLY1305_SHA256")
           != 1
      || SSL_CTX_set_num_tickets(context.get(), 0) != 1)
    return fail(errc::internal, "OpenSSL could not set TLS 1.3 up: " + pki::take_openssl_errors());
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  return context;
}

result<context_ptr> make_context(const pki::identity& identity) {
  auto key = pki::parse_key(identity.key_pem);
  if (!key)
    return fail(key);
  auto certificate = pki::parse_certificate(identity.certificate_pem);
  if (!certificate)
    return fail(certificate);
  auto ca = pki::parse_certificate(identity.ca_pem);
  if (!ca)
    return fail(ca);
  auto context = make_context();
  if (!context)
    return context;
  auto* ctx = context->get();
  // The CA goes along in the handshake, so that a joining node can find the one it pins.
  if (SSL_CTX_use_certificate(ctx, certificate->get()) != 1 || SSL_CTX_use_PrivateKey(ctx, key->get()) != 1
      || SSL_CTX_check_private_key(ctx) != 1 || SSL_CTX_add1_chain_cert(ctx, ca->get()) != 1
      || X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca->get()) != 1)
    return fail(errc::invalid_argument,
                "certificate and key do not belong together: " + pki::take_openssl_errors());
  if (X509_verify(certificate->get(), X509_get0_pubkey(ca->get())) != 1) {
    ERR_clear_error();
    return fail(errc::invalid_argument, "the certificate was not signed by the cluster CA beside it");
  }
  return context;
}

/// Takes the place of OpenSSL's chain check for a client that knows only a fingerprint.
int verify_pinned(X509_STORE_CTX* store, void* pin) {
  auto* sent = X509_STORE_CTX_get0_untrusted(store);
  std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)> trusted{
    sk_X509_new_null(), [](STACK_OF(X509) * stack) { sk_X509_free(stack); }};
  for (int i = 0; i < sk_X509_num(sent); ++i)
    if (pki::fingerprint_of(sk_X509_value(sent, i)) == *static_cast<std::string*>(pin))
      sk_X509_push(trusted.get(), sk_X509_value(sent, i));
  if (sk_X509_num(trusted.get()) == 0) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
    return 0;
  }
  auto who = pki::parse_uri(pki::uri_of(X509_STORE_CTX_get0_cert(store)));
  if (!who || who->role != to_string(peer_role::head)) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
  }
  X509_STORE_CTX_set0_trusted_stack(store, trusted.get());
  auto verified = X509_verify_cert(store);
  X509_STORE_CTX_set0_trusted_stack(store, nullptr);
  return verified;
}

} // namespace

std::string_view to_string(peer_role role) noexcept {
  switch (role) {
  case peer_role::head:
    return "head";
  case peer_role::node:
    return "node";
  case peer_role::host:
    return "host";
  }
  return "unknown";
}

result<std::shared_ptr<tls_credentials>> tls_credentials::make(const pki::identity& identity) {
  std::shared_ptr<tls_credentials> made{new tls_credentials};
  auto updated = made->update(identity);
  if (!updated)
    return fail(updated);
  return made;
}

result<void> tls_credentials::update(const pki::identity& identity) {
  auto context = make_context(identity);
  if (!context)
    return fail(context);
  std::lock_guard lock{mutex_};
  context_ = std::move(*context);
  return {};
}

std::shared_ptr<ssl_ctx_st> tls_credentials::current() const {
  std::lock_guard lock{mutex_};
  return context_;
}

tls_session::~tls_session() = default;

result<std::unique_ptr<tls_session>> tls_session::make(const tls_credentials& credentials, link_side side,
                                                       bool anonymous_ok) {
  std::unique_ptr<tls_session> made{new tls_session};
  auto attached = made->attach(credentials.current(), side);
  if (!attached)
    return fail(attached);
  int mode = SSL_VERIFY_PEER;
  if (side == link_side::server && !anonymous_ok)
    mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_set_verify(made->ssl_.get(), mode, nullptr);
  return made;
}

result<std::unique_ptr<tls_session>> tls_session::make_pinned(const std::string& ca_fingerprint) {
  auto context = make_context();
  if (!context)
    return fail(context);
  std::unique_ptr<tls_session> made{new tls_session};
  made->pin_ = std::make_unique<std::string>(ca_fingerprint);
  SSL_CTX_set_cert_verify_callback(context->get(), verify_pinned, made->pin_.get());
  auto attached = made->attach(std::move(*context), link_side::client);
  if (!attached)
    return fail(attached);
  SSL_set_verify(made->ssl_.get(), SSL_VERIFY_PEER, nullptr);
  return made;
}

result<void> tls_session::attach(std::shared_ptr<ssl_ctx_st> context, link_side side) {
  context_ = std::move(context);
  ssl_ = {SSL_new(context_.get()), SSL_free};
  auto* bio = ssl_ ? bio_access::make(this) : nullptr;
  if (!bio)
    return fail(errc::internal, "OpenSSL could not begin a session: " + pki::take_openssl_errors());
  SSL_set_bio(ssl_.get(), bio, bio);
  if (side == link_side::client)
    SSL_set_connect_state(ssl_.get());
  else
    SSL_set_accept_state(ssl_.get());
  return {};
}

result<void> tls_session::begin() { return SSL_is_server(ssl_.get()) ? result<void>{} : handshake(); }

result<void> tls_session::handshake() {
  ERR_clear_error();
  auto done = SSL_do_handshake(ssl_.get());
  if (done == 1) {
    established_ = true;
    if (auto* certificate = SSL_get0_peer_certificate(ssl_.get()))
      peer_uri_ = pki::uri_of(certificate);
    return {};
  }
  if (SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_READ)
    return {};
  return tl::unexpected{explain_failure(done)};
}

result<void> tls_session::receive(std::string_view ciphertext, std::span<char> buffer,
                                  const std::function<result<void>(std::string_view)>& on_plain) {
  input_ = ciphertext;
  if (!established_) {
    auto advanced = handshake();
    if (!advanced || !established_)
      return advanced;
  }
  std::size_t filled = 0;
  for (;;) {
    ERR_clear_error();
    auto count = SSL_read(ssl_.get(), buffer.data() + filled, static_cast<int>(buffer.size() - filled));
    if (count > 0) {
      filled += static_cast<std::size_t>(count);
      if (filled < buffer.size())
        continue;
    }
    auto error = count > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), count);
    failure why{errc::ok, {}};
    if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN)
      why = explain_failure(count);
    if (filled > 0) {
      auto taken = on_plain({buffer.data(), filled});
      if (!taken)
        return taken;
      filled = 0;
    }
    if (why.code != errc::ok)
      return tl::unexpected{std::move(why)};
    peer_finished_ = error == SSL_ERROR_ZERO_RETURN;
    if (error != SSL_ERROR_NONE)
      return {};
  }
}

result<void> tls_session::send(std::string_view plain) {
  constexpr std::size_t piece_max = 1u << 30; // SSL_write counts in int
  while (!plain.empty()) {
    ERR_clear_error();
    auto size = static_cast<int>(std::min(plain.size(), piece_max));
    auto count = SSL_write(ssl_.get(), plain.data(), size);
    if (count <= 0)
      return tl::unexpected{explain_failure(count)};
    plain.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

void tls_session::finish() {
  ERR_clear_error();
  if (established_)
    SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

failure tls_session::explain_failure(int result) {
  auto error = SSL_get_error(ssl_.get(), result);
  auto verified = SSL_get_verify_result(ssl_.get());
  if (verified == X509_V_ERR_APPLICATION_VERIFICATION) {
    ERR_clear_error();
    return {errc::unauthenticated, "the peer's certificate is refused: it is not a head's"};
  }
  if (verified != X509_V_OK) {
    ERR_clear_error();
    return {errc::unauthenticated,
            std::string{"the peer's certificate is refused: "} + X509_verify_cert_error_string(verified)};
  }
  auto code = ERR_peek_error();
  auto reason = ERR_GET_REASON(code);
  constexpr int alert_first = SSL_AD_REASON_OFFSET; // reasons above are the peer's alerts
  const char* text = ERR_reason_error_string(code);
  std::string detail = text ? text : "connection ended (" + std::to_string(error) + ")";
  ERR_clear_error();
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
    return {errc::unauthenticated, "the peer showed no certificate"};
  if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason > alert_first)
    return {errc::unauthenticated, "the peer refused our certificate or TLS: " + detail};
  return {errc::corrupt, "TLS: " + detail};
}

} // namespace sluice::link
