#include "transport/pki/openssl.hpp"

#include <openssl/err.h>

namespace sluice::pki {

namespace {

bio_ptr reading(const std::string& pem) {
  return bio_ptr{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
}

/// Nobody is there to type a passphrase.
int no_passphrase(char*, int, int, void*) { return -1; }

constexpr std::string_view uri_scheme = "sluice://";

} // namespace

std::string take_openssl_errors() {
  std::string text;
  while (auto code = ERR_get_error()) {
    char line[256];
    ERR_error_string_n(code, line, sizeof(line));
    if (!text.empty())
      text += "; ";
    text += line;
  }
  return text.empty() ? "no detail" : text;
}

result<key_ptr> parse_key(const std::string& pem) {
  auto in = reading(pem);
  key_ptr key{PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, nullptr)};
  if (!key)
    return fail(errc::invalid_argument, "no private key in PEM form: " + take_openssl_errors());
  return key;
}

result<x509_ptr> parse_certificate(const std::string& pem) {
  auto in = reading(pem);
  x509_ptr certificate{PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr)};
  if (!certificate)
    return fail(errc::invalid_argument, "no certificate in PEM form: " + take_openssl_errors());
  return certificate;
}

result<x509_req_ptr> parse_request(const std::string& pem) {
  auto in = reading(pem);
  x509_req_ptr request{PEM_read_bio_X509_REQ(in.get(), nullptr, no_passphrase, nullptr)};
  if (!request)
    return fail(errc::invalid_argument, "no certificate request in PEM form: " + take_openssl_errors());
  return request;
}

std::string to_hex(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (unsigned char c : bytes) {
    text.push_back(digits[c >> 4]);
    text.push_back(digits[c & 0xf]);
  }
  return text;
}

std::string fingerprint_of(X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1)
    return {};
  return to_hex({reinterpret_cast<const char*>(digest), size});
}

std::string uri_of(X509* certificate) {
  std::unique_ptr<GENERAL_NAMES, openssl_deleter<GENERAL_NAMES_free>> names{
    static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
  std::string found;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const auto* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI)
      continue;
    const auto* text = name->d.uniformResourceIdentifier;
    std::string_view uri{reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                         static_cast<std::size_t>(ASN1_STRING_length(text))};
    if (!uri.starts_with(uri_scheme))
      continue;
    if (!found.empty())
      return {};
    found = uri;
  }
  return found;
}

} // namespace sluice::pki
