#include "transport/connectors/file/file_failure.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace sluice::connectors {

tl::unexpected<failure> file_failure(errc code, const char* what, const std::string& path) {
  const std::string why = std::strerror(errno);
  std::error_code unknown;
  const auto whole = std::filesystem::absolute(path, unknown);
  return fail(code, "file: " + std::string{what} + " " + (unknown ? path : whole.string()) + ": " + why);
}

} // namespace sluice::connectors
