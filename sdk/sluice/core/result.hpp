#pragma once

#include <sluice/core/errc.hpp>

#include <tl/expected.hpp>

#include <string>
#include <utility>

namespace sluice {

/// Why something could not be done: a code to react to and a sentence for people
/// that names the thing, the rule and, where there is one, the next step.
struct failure {
  errc code = errc::internal;
  std::string message;

  friend bool operator==(const failure&, const failure&) = default;
};

/// A value or a failure. Errors that callers are expected to handle travel in
/// results; exceptions are left to user code and to defects.
template <class T>
using result = tl::expected<T, failure>;

/// Builds the failing half of any `result<T>`.
inline tl::unexpected<failure> fail(errc code, std::string message) {
  return tl::unexpected<failure>{failure{code, std::move(message)}};
}

/// Passes the failure of one result on as another result's.
template <class T>
tl::unexpected<failure> fail(const result<T>& other) {
  return tl::unexpected<failure>{other.error()};
}

} // namespace sluice
