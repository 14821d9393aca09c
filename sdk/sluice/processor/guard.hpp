#pragma once

#include <sluice/core/result.hpp>
#include <sluice/http/message.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// Who may use a route: whoever knows the secret in an environment variable of the process that
/// runs the replica. Of the two only the variable's name is part of the program.
struct route_guard {
  enum class kind : std::uint8_t { bearer, api_key };

  kind what = kind::bearer;
  std::string header; ///< of an API key
  std::string variable;

  friend bool operator==(const route_guard&, const route_guard&) = default;
};

/// `Authorization: Bearer <token>` (RFC 6750); otherwise 401.
route_guard bearer_token_from_env(std::string variable);

/// `<header>: <key>`; without it 401, with a wrong one 403.
route_guard api_key_from_env(std::string header, std::string variable);

/// The rule that a guard breaks, or nothing.
std::string find_mistake(const route_guard& guard);

namespace processor {

/// A guard with its secret, which is read once, at the setup of a replica. After that any thread.
class guard_check {
public:
  /// None: everybody may.
  explicit guard_check(std::optional<route_guard> rule) : rule_(std::move(rule)) {}

  /// Fails when the variable is not there or empty, with its name.
  result<void> setup();

  /// The answer to a request that may not pass: status, a text for `{"error": ...}`, and the value of
  /// WWW-Authenticate for a 401.
  struct denial {
    unsigned status = 401;
    std::string text;
    std::string challenge;
  };
  std::optional<denial> check(const request& in) const;

private:
  std::optional<route_guard> rule_;
  std::string secret_;
};

/// Compares in a time that depends on the size of `given` only. An empty secret is equal to nothing.
bool equal_in_constant_time(std::string_view given, std::string_view secret) noexcept;

} // namespace processor

} // namespace sluice
