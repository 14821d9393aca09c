#include <sluice/core/limits.hpp>
#include <sluice/processor/guarded.hpp>

namespace sluice::processor {

failure to_failure(std::exception_ptr error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return {errc::internal, std::string{e.what()}.substr(0, limits::error_text_bytes_max)};
  } catch (...) {
    return {errc::internal, "an exception that is no std::exception"};
  }
}

} // namespace sluice::processor
