#pragma once

#include "transport/pki/certificate.hpp"

#include <sluice/core/result.hpp>

#include <chrono>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace sluice::pki {

/// 256 random bits, 64 hex digits. Fails with `internal` when the system has none.
result<std::string> make_secret();

/// SHA-256, 64 hex digits: the form in which secrets are stored.
std::string hash_secret(std::string_view secret);

/// Compares in a time that does not depend on where two hashes differ. Both must be hashes: the length of a
/// secret would show otherwise.
bool same_hash(std::string_view one, std::string_view other) noexcept;

/// The token that clients of the cluster show: `slc1.<secret>`. Reads it from `path`, or makes
/// it there at the first start; an unreadable or damaged file is a failure.
result<std::string> load_or_make_cluster_token(const std::filesystem::path& path);

/// Whether what a client showed is the token with this hash.
bool is_token(std::string_view shown, std::string_view token_hash);

/// What a person carries to a new worker: `slj1.<fingerprint of the CA>.<secret>`.
struct join_token {
  std::string ca_fingerprint; ///< for `link::join_target`: who may be believed at all
  std::string secret;         ///< for `link::join_request`: sent only to who was believed
};

std::string to_string(const join_token& token);
/// Blanks around it are ignored. Fails with `invalid_argument`, without repeating the text.
result<join_token> parse_join_token(std::string_view text);

constexpr auto join_token_lifetime = std::chrono::hours{1};
constexpr auto join_token_lifetime_max = std::chrono::hours{24};
constexpr std::size_t join_tokens_max = 100; ///< open at a time

/// The head's open join tokens, as hashes in one file (0600), written before any call
/// returns. Safe from any thread; calls wait for the disk.
///
/// A token is good for one key: who repeats a join with the same key within the token's life, because
/// the answer was lost, gets an answer again; anybody else is refused.
class join_token_store {
public:
  /// Reads the file, if there is one. A damaged one is `corrupt`, naming what to do.
  static result<std::unique_ptr<join_token_store>> open(std::filesystem::path path);

  /// Makes a token that is good for `lifetime`. Fails with `overloaded` when `join_tokens_max` are open and
  /// with `invalid_argument` unless 0 < lifetime <= 24 h.
  result<join_token> create(const std::string& ca_fingerprint, wall_time now,
                            std::chrono::seconds lifetime = join_token_lifetime);

  /// Uses a token for the key with this fingerprint (`request_key_fingerprint`). Fails with
  /// `unauthenticated` when it is unknown, expired or used for another key.
  result<void> redeem(std::string_view secret, const std::string& key_fingerprint, wall_time now);

private:
  struct entry {
    wall_time expires;
    std::string used_by; ///< fingerprint of a key; empty = not yet
  };

  explicit join_token_store(std::filesystem::path path) : path_(std::move(path)) {}
  result<void> load();
  result<void> save() const;
  void forget_expired(wall_time now);

  const std::filesystem::path path_;
  std::mutex mutex_;
  std::map<std::string, entry, std::less<>> by_hash_;
};

} // namespace sluice::pki
