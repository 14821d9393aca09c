#include <sluice/http/field_value.hpp>
#include <sluice/processor/guard.hpp>

#include <cstdlib>
#include <utility>

namespace sluice {

route_guard bearer_token_from_env(std::string variable) {
  return {route_guard::kind::bearer, "Authorization", std::move(variable)};
}

route_guard api_key_from_env(std::string header, std::string variable) {
  return {route_guard::kind::api_key, std::move(header), std::move(variable)};
}

std::string find_mistake(const route_guard& guard) {
  if (!http::is_token(guard.header))
    return "\"" + guard.header.substr(0, 64) + "\" is no name of a header field";
  if (guard.variable.empty() || guard.variable.find('=') != std::string::npos)
    return "\"" + guard.variable.substr(0, 64) + "\" is no name of an environment variable";
  return {};
}

namespace processor {

namespace {

/// The token of "Bearer <token>"; the scheme's name is case-insensitive (RFC 9110 §11.1).
std::optional<std::string_view> bearer_token(std::string_view authorization) noexcept {
  constexpr std::string_view scheme = "bearer ";
  if (authorization.size() < scheme.size())
    return std::nullopt;
  for (std::size_t i = 0; i < scheme.size(); ++i)
    if ((authorization[i] | 0x20) != scheme[i]) // ' ' has the bit, too
      return std::nullopt;
  authorization.remove_prefix(scheme.size());
  while (authorization.starts_with(' '))
    authorization.remove_prefix(1);
  return authorization;
}

} // namespace

bool equal_in_constant_time(std::string_view given, std::string_view secret) noexcept {
  volatile std::size_t difference = given.size() ^ secret.size();
  for (std::size_t i = 0; i < given.size(); ++i) {
    auto expected = secret.empty() ? '\0' : secret[i % secret.size()];
    difference = difference | static_cast<unsigned char>(given[i] ^ expected);
  }
  return difference == 0 && !secret.empty();
}

result<void> guard_check::setup() {
  if (!rule_)
    return {};
  const char* value = std::getenv(rule_->variable.c_str());
  if (value == nullptr || *value == '\0')
    return fail(errc::invalid_argument, "guard: the environment variable " + rule_->variable
                                          + (value == nullptr ? " is not set" : " is empty")
                                          + "; it holds the secret that clients have to know. "
                                            "On a cluster, give it with: sluice submit ... --env "
                                          + rule_->variable);
  secret_ = value;
  return {};
}

std::optional<guard_check::denial> guard_check::check(const request& in) const {
  if (!rule_)
    return std::nullopt;
  auto header = in.headers.find(rule_->header);
  if (rule_->what == route_guard::kind::bearer) {
    auto token = header ? bearer_token(*header) : std::nullopt;
    if (!token)
      return denial{401, "a bearer token is needed: Authorization: Bearer TOKEN", "Bearer"};
    if (!equal_in_constant_time(*token, secret_))
      return denial{401, "the bearer token is wrong", "Bearer error=\"invalid_token\""};
    return std::nullopt;
  }
  if (!header)
    return denial{401, "an API key is needed, in the header " + rule_->header,
                  "ApiKey header=\"" + rule_->header + "\""};
  if (!equal_in_constant_time(*header, secret_))
    return denial{403, "the API key is wrong", {}};
  return std::nullopt;
}

} // namespace processor

} // namespace sluice
