#include "transport/process/group_watch.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::process {

namespace {

constexpr int input_fd = 3;
constexpr std::size_t groups_max = 4096; ///< more hosts than a node will ever have

/// What goes through the pipe: a group to watch, or, negative, one to forget.
using note = pid_t;

/// Only calls that are safe after a fork of a process with threads.
[[noreturn]] void watch(int from) {
  static note groups[groups_max];
  std::size_t count = 0;
  ::setsid();
  ::prctl(PR_SET_NAME, "sluice-watch", 0, 0, 0);
  for (int ignored : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE})
    ::signal(ignored, SIG_IGN);
  if (from != input_fd && ::dup2(from, input_fd) < 0)
    ::_exit(1);
  ::syscall(SYS_close_range, static_cast<unsigned>(input_fd) + 1, ~0U, 0U);
  for (;;) {
    note told = 0;
    auto size = ::read(input_fd, &told, sizeof(told));
    if (size < 0 && errno == EINTR)
      continue;
    if (size != sizeof(told))
      break;
    if (told > 0 && count < groups_max)
      groups[count++] = told;
    for (std::size_t i = 0; told < 0 && i < count; ++i)
      if (groups[i] == -told) {
        groups[i] = groups[--count];
        break;
      }
  }
  for (std::size_t i = 0; i < count; ++i)
    ::kill(-groups[i], SIGKILL);
  ::_exit(0);
}

void tell(int to, note what) noexcept {
  // Never full in practice: the watcher does nothing but read.
  [[maybe_unused]] auto written = ::write(to, &what, sizeof(what));
}

} // namespace

std::unique_ptr<group_watch> group_watch::start() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return nullptr;
  unique_fd from{ends[0]};
  unique_fd to{ends[1]};
  const auto watcher = ::fork();
  if (watcher < 0)
    return nullptr;
  if (watcher == 0)
    watch(from.get());
  ::fcntl(to.get(), F_SETFL, O_NONBLOCK);
  return std::unique_ptr<group_watch>{new group_watch{watcher, std::move(to)}};
}

group_watch::~group_watch() {
  to_.reset();
  while (::waitpid(watcher_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void group_watch::add(pid_t group) noexcept { tell(to_.get(), group); }
void group_watch::remove(pid_t group) noexcept { tell(to_.get(), -group); }

} // namespace sluice::process
