#include "transport/http/channel.hpp"

#include "transport/pki/openssl.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509err.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

namespace sluice::http {

namespace {

/// HTTP/1.1 is all there is; a client that only speaks others learns it here.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned int offered_size, void*) {
  static constexpr unsigned char ours[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, ours, sizeof(ours), offered, offered_size)
      != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

std::optional<failure> check_readable(const std::string& file) {
  const std::ifstream opened{file};
  std::error_code ignored;
  if (!opened.is_open())
    return failure{errc::invalid_argument, "'" + file + "': " + std::strerror(errno)};
  if (std::filesystem::is_directory(file, ignored))
    return failure{errc::invalid_argument, "'" + file + "' is a folder, not a file"};
  return std::nullopt;
}

failure other_key(const std::string& certificate_file, const std::string& key_file) {
  return {errc::invalid_argument,
          "the key in '" + key_file + "' is not that of the certificate in '" + certificate_file + "'"};
}

/// OpenSSL has just refused the key.
failure key_refused(const std::string& certificate_file, const std::string& key_file) {
  const auto why = ERR_peek_error();
  const bool is_other = ERR_GET_LIB(why) == ERR_LIB_X509 && ERR_GET_REASON(why) == X509_R_KEY_VALUES_MISMATCH;
  const auto detail = pki::take_openssl_errors();
  if (is_other)
    return other_key(certificate_file, key_file);
  return {errc::invalid_argument,
          "'" + key_file
            + "' holds no private key in PEM form that can be read without a passphrase: " + detail};
}

} // namespace

result<std::shared_ptr<const tls_certificate>> tls_certificate::load(const std::string& certificate_file,
                                                                     const std::string& key_file) {
  auto made = std::make_shared<tls_certificate>();
  made->context_ = {SSL_CTX_new(TLS_server_method()), SSL_CTX_free};
  auto* context = made->context_.get();
  if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1
      || SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
    return fail(errc::internal, "OpenSSL could not set TLS up: " + pki::take_openssl_errors());
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION
                                 | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                              | SSL_MODE_RELEASE_BUFFERS);
  static constexpr unsigned char sessions[] = "sluice http";
  SSL_CTX_set_session_id_context(context, sessions, sizeof(sessions) - 1);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  SSL_CTX_set_default_passwd_cb(context,
                                [](char*, int, int, void*) { return 0; }); // else it asks the terminal
  if (auto refused = check_readable(certificate_file))
    return tl::unexpected{*refused};
  if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1)
    return fail(errc::invalid_argument,
                "'" + certificate_file
                  + "' holds no certificate in PEM form (BEGIN CERTIFICATE): " + pki::take_openssl_errors());
  if (auto refused = check_readable(key_file))
    return tl::unexpected{*refused};
  if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return tl::unexpected{key_refused(certificate_file, key_file)};
  if (SSL_CTX_check_private_key(context) != 1) { // of another kind, which is compared with nothing above
    ERR_clear_error();
    return tl::unexpected{other_key(certificate_file, key_file)};
  }
  return made;
}

void channel::ssl_free::operator()(ssl_st* ssl) const noexcept { SSL_free(ssl); }

channel::~channel() {
  ssl_.reset();
  ::close(fd_);
}

bool channel::begin_tls(const tls_certificate& certificate) {
  ssl_.reset(SSL_new(certificate.context()));
  if (!ssl_ || SSL_set_fd(ssl_.get(), fd_) != 1) {
    ERR_clear_error();
    return false;
  }
  SSL_set_accept_state(ssl_.get());
  return true;
}

channel::state channel::handshake() {
  if (!ssl_)
    return state::ok;
  ERR_clear_error();
  auto done = SSL_do_handshake(ssl_.get());
  if (done == 1)
    return state::ok;
  auto why = explain(done).what;
  return why == state::ended ? state::broken : why;
}

channel::moved channel::explain(int result) {
  auto error = SSL_get_error(ssl_.get(), result);
  ERR_clear_error();
  switch (error) {
  case SSL_ERROR_WANT_READ:
    wants_write_ = false;
    return {state::waiting};
  case SSL_ERROR_WANT_WRITE:
    wants_write_ = true;
    return {state::waiting};
  case SSL_ERROR_ZERO_RETURN:
    return {state::ended};
  default:
    return {state::broken};
  }
}

channel::moved channel::read(std::span<char> into) {
  if (ssl_) {
    ERR_clear_error();
    auto size = static_cast<int>(std::min<std::size_t>(into.size(), std::numeric_limits<int>::max()));
    auto count = SSL_read(ssl_.get(), into.data(), size);
    return count > 0 ? moved{state::ok, static_cast<std::size_t>(count)} : explain(count);
  }
  for (;;) {
    auto count = ::recv(fd_, into.data(), into.size(), 0);
    if (count > 0)
      return {state::ok, static_cast<std::size_t>(count)};
    if (count == 0)
      return {state::ended};
    if (errno == EINTR)
      continue;
    wants_write_ = false;
    return {errno == EAGAIN ? state::waiting : state::broken};
  }
}

channel::moved channel::write(std::span<const iovec> pieces) {
  if (ssl_) {
    ERR_clear_error();
    auto size = static_cast<int>(std::min<std::size_t>(pieces[0].iov_len, std::numeric_limits<int>::max()));
    auto count = SSL_write(ssl_.get(), pieces[0].iov_base, size);
    return count > 0 ? moved{state::ok, static_cast<std::size_t>(count)} : explain(count);
  }
  const auto sent = write_plain(fd_, pieces);
  if (sent.what != state::ok)
    wants_write_ = true;
  return sent;
}

channel::moved channel::write_plain(int fd, std::span<const iovec> pieces) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  for (;;) {
    const auto count = ::sendmsg(fd, &message, MSG_NOSIGNAL);
    if (count >= 0)
      return {state::ok, static_cast<std::size_t>(count)};
    if (errno != EINTR)
      return {errno == EAGAIN ? state::waiting : state::broken};
  }
}

void channel::finish() {
  if (ssl_) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  ::shutdown(fd_, SHUT_WR);
}

} // namespace sluice::http
