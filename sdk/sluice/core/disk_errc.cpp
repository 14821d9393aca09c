#include <sluice/core/disk_errc.hpp>

#include <cerrno>

namespace sluice {

errc errc_of_disk(int error, errc otherwise) noexcept {
  switch (error) {
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
    return errc::exhausted;
  case EACCES:
  case EPERM:
  case EROFS:
    return errc::permission_denied;
  default:
    return otherwise;
  }
}

} // namespace sluice
