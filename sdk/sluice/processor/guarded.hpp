#pragma once

#include <sluice/core/result.hpp>

#include <exception>

namespace sluice::processor {

/// An exception of user code as a failure worth another try, its text cut to
/// `limits::error_text_bytes_max`.
failure to_failure(std::exception_ptr error) noexcept;

/// Runs what may throw on behalf of user code. `Work` returns result<void>.
template <class Work>
result<void> guarded(Work work) noexcept {
  try {
    return work();
  } catch (...) {
    return result<void>{tl::unexpect, to_failure(std::current_exception())};
  }
}

} // namespace sluice::processor
