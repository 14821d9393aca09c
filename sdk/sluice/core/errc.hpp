#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

/// One code per *reaction* a caller can have; the text of a `failure` is detail.
///
/// Stable on the wire: append, never renumber.
enum class errc : std::uint8_t {
  ok = 0,
  invalid_argument = 1,  ///< asked wrongly: fix the request, do not retry
  not_found = 2,         ///< the named thing is not there
  conflict = 3,          ///< already there, or changed meanwhile: look, then decide
  unauthenticated = 4,   ///< no valid credential
  permission_denied = 5, ///< valid credential, wrong role
  unavailable = 6,       ///< peer or store out of reach: retry with back-off
  timeout = 7,           ///< deadline passed; the work may have been done
  overloaded = 8,        ///< a bound is full: slow down, retry later
  shutting_down = 9,     ///< draining: ask somebody else
  stale = 10,            ///< the lease or epoch is no longer the caller's: drop the work
  corrupt = 11,          ///< stored or received bytes fail their check
  exhausted = 12,        ///< no capacity for it in the cluster
  unsupported = 13,      ///< other version or missing feature
  cancelled = 14,        ///< the caller gave up
  internal = 15,         ///< a defect on our side
};

/// Returns the name as it is shown to people, for example "not_found".
std::string_view to_string(errc code) noexcept;

} // namespace sluice
