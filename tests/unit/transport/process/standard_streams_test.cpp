// Goal: a program that was started with closed streams neither reads nor prints into what it opens later.
#include "transport/process/standard_streams.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <initializer_list>
#include <sys/wait.h>
#include <unistd.h>

TEST_CASE("standard streams that are closed are held, so that they fail") {
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (int fd : {0, 1, 2})
      ::close(fd);
    sluice::process::hold_standard_streams();
    char byte = 'x';
    const bool fail = ::read(0, &byte, 1) < 0 && ::write(1, &byte, 1) < 0 && ::write(2, &byte, 1) < 0;
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::_exit(fail && next > 2 ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
