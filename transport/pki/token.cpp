#include "transport/pki/token.hpp"

#include "transport/pki/openssl.hpp"
#include "transport/pki/secret_file.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <sstream>

namespace sluice::pki {

namespace {

constexpr std::size_t secret_bytes = 32;
constexpr std::size_t hash_digits = 64;
constexpr std::string_view cluster_prefix = "slc1.";
constexpr std::string_view join_prefix = "slj1.";
constexpr std::string_view store_header = "sluice-join-tokens 1";
constexpr std::string_view unused = "-";

bool is_hex(std::string_view text) {
  return text.size() == hash_digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  auto first = text.find_first_not_of(blanks);
  return first == text.npos ? std::string_view{}
                            : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

} // namespace

result<std::string> make_secret() {
  char bytes[secret_bytes];
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes), sizeof(bytes)) != 1)
    return fail(errc::internal, "the system gives no random bytes: " + take_openssl_errors());
  auto text = to_hex({bytes, sizeof(bytes)});
  OPENSSL_cleanse(bytes, sizeof(bytes));
  return text;
}

std::string hash_secret(std::string_view secret) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(secret.data(), secret.size(), digest, &size, EVP_sha256(), nullptr) != 1)
    return {};
  return to_hex({reinterpret_cast<const char*>(digest), size});
}

bool same_hash(std::string_view one, std::string_view other) noexcept {
  return one.size() == hash_digits && other.size() == hash_digits
         && CRYPTO_memcmp(one.data(), other.data(), hash_digits) == 0;
}

result<std::string> load_or_make_cluster_token(const std::filesystem::path& path) {
  auto stored = read_secret(path);
  if (!stored && stored.error().code != errc::not_found)
    return stored;
  if (!stored) {
    auto secret = make_secret();
    if (!secret)
      return secret;
    auto token = std::string{cluster_prefix} + *secret;
    if (auto written = write_secret(path, token + "\n"); !written)
      return fail(written);
    return token;
  }
  auto token = trim(*stored);
  if (!token.starts_with(cluster_prefix) || !is_hex(token.substr(cluster_prefix.size())))
    return fail(errc::corrupt, path.string() + " holds no cluster token; put it back from a copy, or delete "
                                 + "the file and start again: all clients then need the new one");
  return std::string{token};
}

bool is_token(std::string_view shown, std::string_view token_hash) {
  return same_hash(hash_secret(trim(shown)), token_hash);
}

std::string to_string(const join_token& token) {
  return std::string{join_prefix} + token.ca_fingerprint + "." + token.secret;
}

result<join_token> parse_join_token(std::string_view text) {
  text = trim(text);
  constexpr auto length = join_prefix.size() + hash_digits + 1 + hash_digits;
  join_token token;
  if (text.size() == length && text.starts_with(join_prefix)
      && text[join_prefix.size() + hash_digits] == '.') {
    token.ca_fingerprint = text.substr(join_prefix.size(), hash_digits);
    token.secret = text.substr(join_prefix.size() + hash_digits + 1);
  }
  if (!is_hex(token.ca_fingerprint) || !is_hex(token.secret))
    return fail(errc::invalid_argument, "that is no join token: the head prints one, it begins with "
                                          + std::string{join_prefix} + " and has " + std::to_string(length)
                                          + " characters");
  return token;
}

result<std::unique_ptr<join_token_store>> join_token_store::open(std::filesystem::path path) {
  std::unique_ptr<join_token_store> store{new join_token_store{std::move(path)}};
  if (auto loaded = store->load(); !loaded)
    return fail(loaded);
  return store;
}

result<join_token> join_token_store::create(const std::string& ca_fingerprint, wall_time now,
                                            std::chrono::seconds lifetime) {
  if (lifetime <= std::chrono::seconds{0} || lifetime > join_token_lifetime_max)
    return fail(errc::invalid_argument, "a join token is good for 1 second to 24 hours");
  auto secret = make_secret();
  if (!secret)
    return fail(secret);
  std::lock_guard lock{mutex_};
  forget_expired(now);
  if (by_hash_.size() >= join_tokens_max)
    return fail(errc::overloaded,
                std::to_string(join_tokens_max) + " join tokens are open: wait until some expire");
  auto hash = hash_secret(*secret);
  by_hash_[hash] = {now + lifetime, {}};
  if (auto saved = save(); !saved) {
    by_hash_.erase(hash);
    return fail(saved);
  }
  return join_token{ca_fingerprint, std::move(*secret)};
}

result<void> join_token_store::redeem(std::string_view secret, const std::string& key_fingerprint,
                                      wall_time now) {
  if (!is_hex(key_fingerprint))
    return fail(errc::invalid_argument, "the join request has no key");
  auto hash = hash_secret(secret);
  std::lock_guard lock{mutex_};
  forget_expired(now);
  // Looked up by hash: what the time of the look-up tells about a hash tells nothing about the secret.
  auto found = by_hash_.find(hash);
  if (found == by_hash_.end())
    return fail(errc::unauthenticated,
                "the join token is unknown or has expired: make a new one on the head");
  auto& used_by = found->second.used_by;
  if (used_by == key_fingerprint)
    return {};
  if (!used_by.empty())
    return fail(errc::unauthenticated, "the join token was used by another node: make a new one on the head");
  used_by = key_fingerprint;
  if (auto saved = save(); !saved) {
    used_by.clear();
    return saved;
  }
  return {};
}

void join_token_store::forget_expired(wall_time now) {
  std::erase_if(by_hash_, [&](const auto& row) { return row.second.expires <= now; });
}

result<void> join_token_store::load() {
  auto text = read_secret(path_);
  if (!text)
    return text.error().code == errc::not_found ? result<void>{} : fail(text);
  std::istringstream in{*text};
  std::string line;
  bool good = std::getline(in, line) && line == store_header;
  while (good && std::getline(in, line)) {
    std::istringstream row{line};
    std::string hash, used_by, rest;
    std::int64_t expires_s = 0;
    good = static_cast<bool>(row >> hash >> expires_s >> used_by) && !(row >> rest) && is_hex(hash)
           && (used_by == unused || is_hex(used_by));
    by_hash_[hash] = {wall_time{std::chrono::seconds{expires_s}}, used_by == unused ? "" : used_by};
  }
  if (!good)
    return fail(errc::corrupt, path_.string()
                                 + " is damaged; delete it: only join tokens that were not used "
                                   "yet are lost");
  return {};
}

result<void> join_token_store::save() const {
  std::ostringstream out;
  out << store_header << '\n';
  for (const auto& [hash, row] : by_hash_)
    out << hash << ' '
        << std::chrono::duration_cast<std::chrono::seconds>(row.expires.time_since_epoch()).count() << ' '
        << (row.used_by.empty() ? unused : std::string_view{row.used_by}) << '\n';
  return write_secret(path_, out.view());
}

} // namespace sluice::pki
