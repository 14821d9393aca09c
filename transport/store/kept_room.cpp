#include "transport/store/kept_room.hpp"

#include "transport/process/unique_fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::store {

void kept_room::keep() noexcept {
  if (is_kept_ || bytes_ == 0)
    return;
  const process::unique_fd fd{::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!fd)
    return;
  is_kept_ = ::fallocate(fd.get(), 0, 0, static_cast<off_t>(bytes_)) == 0;
  if (!is_kept_) // what was got is for others
    ::unlink(path_.c_str());
}

void kept_room::give_up() noexcept {
  is_kept_ = false;
  ::unlink(path_.c_str());
}

} // namespace sluice::store
