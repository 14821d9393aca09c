#include "transport/artifact/sha256.hpp"

#include <openssl/evp.h>

#include <array>
#include <new>
#include <stdexcept>

namespace sluice::artifact {

void sha256::freer::operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }

sha256::sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_)
    throw std::bad_alloc{};
  if (EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1)
    throw std::runtime_error{"OpenSSL offers no SHA-256"};
}

void sha256::add(std::string_view bytes) {
  if (EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1)
    throw std::runtime_error{"OpenSSL cannot compute SHA-256"};
}

artifact_id sha256::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  if (EVP_DigestFinal_ex(context_.get(), bytes.data(), &size) != 1)
    throw std::runtime_error{"OpenSSL cannot compute SHA-256"};
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text.push_back(digits[bytes[i] >> 4]);
    text.push_back(digits[bytes[i] & 15]);
  }
  return artifact_id{std::move(text)};
}

bool is_valid_artifact_id(const artifact_id& id) noexcept {
  return id.value.size() == 64 && id.value.find_first_not_of("0123456789abcdef") == std::string::npos;
}

} // namespace sluice::artifact
