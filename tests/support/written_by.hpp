#pragma once

#include <cstdio>
#include <string>
#include <unistd.h>

namespace sluice::testing {

/// Runs `act` and returns what it wrote to the standard error.
template <class F>
std::string written_by(F act) {
  std::fflush(stderr);
  const int before = ::dup(STDERR_FILENO);
  std::FILE* to = std::tmpfile();
  ::dup2(::fileno(to), STDERR_FILENO);
  act();
  ::dup2(before, STDERR_FILENO);
  ::close(before);
  std::string text(static_cast<std::size_t>(::lseek(::fileno(to), 0, SEEK_END)), ' ');
  const auto got = ::pread(::fileno(to), text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  std::fclose(to);
  return text;
}

} // namespace sluice::testing
