#include "transport/store/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::store {

void make_private(const std::filesystem::path& database) {
  constexpr mode_t own = S_IRUSR | S_IWUSR;
  // One that is there is not opened: closing it would end the locks that this process may have on it.
  if (const int fd = ::open(database.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, own); fd >= 0)
    ::close(fd);
  for (const auto* beside : {"", "-wal", "-shm"}) {
    const auto file = database.string() + beside;
    struct stat facts {};
    if (::lstat(file.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) && (facts.st_mode & 07777) != own)
      static_cast<void>(::chmod(file.c_str(), own));
  }
}

} // namespace sluice::store
