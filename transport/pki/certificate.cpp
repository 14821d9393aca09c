#include "transport/pki/certificate.hpp"

#include "transport/pki/openssl.hpp"

#include <openssl/asn1.h>
#include <openssl/ec.h>
#include <openssl/rand.h>

#include <algorithm>
#include <ctime>

namespace sluice::pki {

namespace {

constexpr std::string_view uri_scheme = "sluice://";
constexpr int serial_bytes = 16;

bool is_uri_part(std::string_view text) {
  constexpr std::size_t length_max = 63;
  return !text.empty() && text.size() <= length_max && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_'
           || c == '-';
  });
}

tl::unexpected<failure> openssl_failed(std::string_view what) {
  return fail(errc::internal, "OpenSSL could not " + std::string{what} + ": " + take_openssl_errors());
}

template <class T>
result<std::string> to_pem(int (*write)(BIO*, T*), T* object) {
  bio_ptr out{BIO_new(BIO_s_mem())};
  if (!out || write(out.get(), object) != 1)
    return openssl_failed("write PEM");
  char* data = nullptr;
  auto size = BIO_get_mem_data(out.get(), &data);
  return std::string{data, static_cast<std::size_t>(size)};
}

result<std::string> key_to_pem(EVP_PKEY* key) {
  return to_pem<EVP_PKEY>(
    [](BIO* out, EVP_PKEY* k) {
      return PEM_write_bio_PrivateKey(out, k, nullptr, nullptr, 0, nullptr, nullptr);
    },
    key);
}

result<std::string> certificate_to_pem(X509* certificate) {
  return to_pem<X509>([](BIO* out, X509* c) { return PEM_write_bio_X509(out, c); }, certificate);
}

result<key_ptr> generate_key() {
  key_ptr key{EVP_EC_gen("P-256")};
  if (!key)
    return openssl_failed("make an EC key");
  return key;
}

bool set_time(ASN1_TIME* field, wall_time when) {
  return ASN1_TIME_set(field, std::chrono::system_clock::to_time_t(when)) != nullptr;
}

bool set_common_name(X509_NAME* name, const std::string& text) {
  constexpr int whole_length = -1;
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(text.c_str()), whole_length, -1, 0)
         == 1;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  std::unique_ptr<X509_EXTENSION, openssl_deleter<X509_EXTENSION_free>> extension{
    X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str())};
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_random_serial(X509* certificate) {
  unsigned char bytes[serial_bytes];
  if (RAND_bytes(bytes, sizeof(bytes)) != 1)
    return false;
  bytes[0] &= 0x7f; // positive
  bytes[0] |= 0x40; // and of full length
  std::unique_ptr<BIGNUM, openssl_deleter<BN_free>> number{BN_bin2bn(bytes, sizeof(bytes), nullptr)};
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate));
}

/// Version, serial, times and key: what every certificate begins with.
result<x509_ptr> begin_certificate(EVP_PKEY* key, const validity& when) {
  constexpr long version_3 = 2;
  x509_ptr certificate{X509_new()};
  if (!certificate || X509_set_version(certificate.get(), version_3) != 1
      || !set_random_serial(certificate.get()) || !set_time(X509_getm_notBefore(certificate.get()), when.from)
      || !set_time(X509_getm_notAfter(certificate.get()), when.to)
      || X509_set_pubkey(certificate.get(), key) != 1)
    return openssl_failed("begin a certificate");
  return certificate;
}

result<std::string> sign_key(const key_pair& authority, EVP_PKEY* key, const subject& who,
                             const validity& when) {
  auto uri = to_uri(who);
  if (!uri)
    return fail(uri);
  auto ca_key = parse_key(authority.key_pem);
  if (!ca_key)
    return fail(ca_key);
  auto ca = parse_certificate(authority.certificate_pem);
  if (!ca)
    return fail(ca);
  auto made = begin_certificate(key, when);
  if (!made)
    return fail(made);
  auto* certificate = made->get();
  if (!set_common_name(X509_get_subject_name(certificate), who.name)
      || X509_set_issuer_name(certificate, X509_get_subject_name(ca->get())) != 1
      || !add_extension(certificate, ca->get(), NID_basic_constraints, "critical,CA:FALSE")
      || !add_extension(certificate, ca->get(), NID_key_usage, "critical,digitalSignature")
      || !add_extension(certificate, ca->get(), NID_ext_key_usage, "serverAuth,clientAuth")
      || !add_extension(certificate, ca->get(), NID_authority_key_identifier, "keyid")
      || !add_extension(certificate, ca->get(), NID_subject_alt_name, "URI:" + *uri)
      || X509_sign(certificate, ca_key->get(), EVP_sha256()) == 0)
    return openssl_failed("sign a certificate");
  return certificate_to_pem(certificate);
}

result<wall_time> to_wall_time(const ASN1_TIME* field) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(field, &parts) != 1)
    return fail(errc::invalid_argument, "the certificate's times cannot be read");
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

/// Parses a request and checks that who made it holds the key.
result<x509_req_ptr> verified_request(const std::string& request_pem) {
  auto request = parse_request(request_pem);
  if (!request)
    return fail(request);
  auto* key = X509_REQ_get0_pubkey(request->get());
  if (!key || X509_REQ_verify(request->get(), key) != 1)
    return fail(errc::invalid_argument,
                "the signature of the certificate request is wrong: " + take_openssl_errors());
  if (EVP_PKEY_is_a(key, "EC") != 1 || EVP_PKEY_get_bits(key) != 256)
    return fail(errc::invalid_argument, "the certificate request is for another key than EC P-256");
  return request;
}

} // namespace

result<std::string> to_uri(const subject& who) {
  if (!is_uri_part(who.cluster_id) || !is_uri_part(who.role) || !is_uri_part(who.name))
    return fail(errc::invalid_argument,
                "'" + who.cluster_id + "/" + who.role + "/" + who.name
                  + "' cannot stand in a certificate: each part has 1 to 63 letters, digits, "
                    "'.', '_' or '-'");
  return std::string{uri_scheme} + who.cluster_id + "/" + who.role + "/" + who.name;
}

result<subject> parse_uri(std::string_view uri) {
  auto refuse = [] { return fail(errc::invalid_argument, "no sluice:// URI"); };
  if (!uri.starts_with(uri_scheme))
    return refuse();
  uri.remove_prefix(uri_scheme.size());
  auto first = uri.find('/');
  auto second = first == uri.npos ? uri.npos : uri.find('/', first + 1);
  if (second == uri.npos)
    return refuse();
  subject who{std::string{uri.substr(0, first)}, std::string{uri.substr(first + 1, second - first - 1)},
              std::string{uri.substr(second + 1)}};
  if (!to_uri(who))
    return refuse();
  return who;
}

validity valid_from(wall_time now) noexcept { return {now - clock_skew_max, now + certificate_lifetime}; }

result<key_pair> make_authority(const std::string& cluster_id, wall_time now) {
  if (!is_uri_part(cluster_id))
    return fail(errc::invalid_argument, "'" + cluster_id + "' is no cluster id");
  auto key = generate_key();
  if (!key)
    return fail(key);
  auto made = begin_certificate(key->get(), {now - clock_skew_max, now + authority_lifetime});
  if (!made)
    return fail(made);
  auto* certificate = made->get();
  if (!set_common_name(X509_get_subject_name(certificate), "Sluice cluster " + cluster_id)
      || X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) != 1
      || !add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0")
      || !add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign")
      || !add_extension(certificate, certificate, NID_subject_key_identifier, "hash")
      || X509_sign(certificate, key->get(), EVP_sha256()) == 0)
    return openssl_failed("sign the authority");
  auto key_pem = key_to_pem(key->get());
  if (!key_pem)
    return fail(key_pem);
  auto certificate_pem = certificate_to_pem(certificate);
  if (!certificate_pem)
    return fail(certificate_pem);
  return key_pair{std::move(*key_pem), std::move(*certificate_pem)};
}

result<std::string> make_key() {
  auto key = generate_key();
  if (!key)
    return fail(key);
  return key_to_pem(key->get());
}

result<std::string> make_request(const std::string& key_pem, const std::string& name) {
  auto key = parse_key(key_pem);
  if (!key)
    return fail(key);
  x509_req_ptr request{X509_REQ_new()};
  if (!request || !set_common_name(X509_REQ_get_subject_name(request.get()), name)
      || X509_REQ_set_pubkey(request.get(), key->get()) != 1
      || X509_REQ_sign(request.get(), key->get(), EVP_sha256()) == 0)
    return openssl_failed("make a certificate request");
  return to_pem<X509_REQ>([](BIO* out, X509_REQ* r) { return PEM_write_bio_X509_REQ(out, r); },
                          request.get());
}

result<std::string> sign_request(const key_pair& authority, const std::string& request_pem,
                                 const subject& who, const validity& when) {
  auto request = verified_request(request_pem);
  if (!request)
    return fail(request);
  return sign_key(authority, X509_REQ_get0_pubkey(request->get()), who, when);
}

result<identity> issue(const key_pair& authority, const subject& who, const validity& when) {
  auto key = generate_key();
  if (!key)
    return fail(key);
  auto certificate_pem = sign_key(authority, key->get(), who, when);
  if (!certificate_pem)
    return fail(certificate_pem);
  auto key_pem = key_to_pem(key->get());
  if (!key_pem)
    return fail(key_pem);
  return identity{std::move(*key_pem), std::move(*certificate_pem), authority.certificate_pem};
}

result<certificate_facts> inspect(const std::string& certificate_pem) {
  auto certificate = parse_certificate(certificate_pem);
  if (!certificate)
    return fail(certificate);
  auto from = to_wall_time(X509_get0_notBefore(certificate->get()));
  auto to = to_wall_time(X509_get0_notAfter(certificate->get()));
  if (!from || !to)
    return fail(from ? to : from);
  certificate_facts facts;
  facts.not_before = *from;
  facts.not_after = *to;
  if (auto who = parse_uri(uri_of(certificate->get())))
    facts.who = std::move(*who);
  const auto* serial = X509_get0_serialNumber(certificate->get());
  facts.serial = to_hex({reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)),
                         static_cast<std::size_t>(ASN1_STRING_length(serial))});
  return facts;
}

result<std::string> fingerprint(const std::string& certificate_pem) {
  auto certificate = parse_certificate(certificate_pem);
  if (!certificate)
    return fail(certificate);
  auto text = fingerprint_of(certificate->get());
  if (text.empty())
    return openssl_failed("hash the certificate");
  return text;
}

result<std::string> request_key_fingerprint(const std::string& request_pem) {
  auto request = verified_request(request_pem);
  if (!request)
    return fail(request);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  unsigned char* der = nullptr;
  auto der_size = i2d_X509_PUBKEY(X509_REQ_get_X509_PUBKEY(request->get()), &der);
  if (der_size <= 0)
    return openssl_failed("encode the public key");
  bool hashed =
    EVP_Digest(der, static_cast<std::size_t>(der_size), digest, &size, EVP_sha256(), nullptr) == 1;
  OPENSSL_free(der);
  if (!hashed)
    return openssl_failed("hash the public key");
  return to_hex({reinterpret_cast<const char*>(digest), size});
}

bool renewal_due(const certificate_facts& facts, wall_time now) noexcept {
  return now >= facts.not_before + (facts.not_after - facts.not_before) / 3 * 2;
}

} // namespace sluice::pki
