// Goal: an error of the system becomes what a person can do about it.
#include <sluice/core/disk_errc.hpp>

#include <doctest/doctest.h>

#include <cerrno>

using namespace sluice;

TEST_CASE("an error of the system becomes what a person can do about it") {
  for (int no_right : {EACCES, EPERM, EROFS})
    CHECK(errc_of_disk(no_right, errc::internal) == errc::permission_denied);
  for (int no_room : {ENOSPC, EDQUOT, EFBIG})
    CHECK(errc_of_disk(no_room, errc::internal) == errc::exhausted);
  CHECK(errc_of_disk(EIO) == errc::unavailable);
  CHECK(errc_of_disk(ENOENT, errc::not_found) == errc::not_found);
}
