#pragma once

#include <sluice/core/result.hpp>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

/// Owners and helpers for OpenSSL objects; for `transport/pki` and `transport/link` only.
namespace sluice::pki {

template <auto Free>
struct openssl_deleter {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

using bio_ptr = std::unique_ptr<BIO, openssl_deleter<BIO_free_all>>;
using key_ptr = std::unique_ptr<EVP_PKEY, openssl_deleter<EVP_PKEY_free>>;
using x509_ptr = std::unique_ptr<X509, openssl_deleter<X509_free>>;
using x509_req_ptr = std::unique_ptr<X509_REQ, openssl_deleter<X509_REQ_free>>;

/// Empties OpenSSL's error queue of this thread into one line.
std::string take_openssl_errors();

result<key_ptr> parse_key(const std::string& pem);
result<x509_ptr> parse_certificate(const std::string& pem);
result<x509_req_ptr> parse_request(const std::string& pem);

/// SHA-256 of the certificate's DER form, 64 hex digits; empty on failure.
std::string fingerprint_of(X509* certificate);

/// The `sluice://` URI in the subject alternative name; empty when there is none or
/// more than one.
std::string uri_of(X509* certificate);

std::string to_hex(std::string_view bytes);

} // namespace sluice::pki
