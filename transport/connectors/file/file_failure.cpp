#include "transport/connectors/file/file_failure.hpp"

#include <sluice/core/disk_errc.hpp>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace sluice::connectors {

std::string whole_path(const std::string& path) {
  std::error_code unknown;
  const auto whole = std::filesystem::absolute(path, unknown);
  return unknown ? path : whole.string();
}

tl::unexpected<failure> file_failure(errc code, const char* what, const std::string& path) {
  const std::string why = std::strerror(errno);
  return fail(code, "file: " + std::string{what} + " " + whole_path(path) + ": " + why);
}

errc errc_of_reading(int error) noexcept {
  return error == ENOENT || error == ENOTDIR ? errc::not_found : errc_of_disk(error);
}

} // namespace sluice::connectors
