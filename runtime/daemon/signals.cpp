#include "runtime/daemon/signals.hpp"

#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>

namespace sluice::daemon {

namespace {

/// As under nohup. A signal that is blocked would be taken all the same.
bool is_ignored(int number) {
  struct sigaction now {};
  return ::sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

} // namespace

stop_signal::stop_signal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  if (!is_ignored(SIGHUP))
    sigaddset(&set, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  signal_fd_ = signalfd(-1, &set, SFD_CLOEXEC);
  event_fd_ = eventfd(0, EFD_CLOEXEC);
  if (signal_fd_ < 0 || event_fd_ < 0)
    throw std::system_error{errno, std::generic_category(), "signals"};
}

stop_signal::~stop_signal() {
  close(signal_fd_);
  close(event_fd_);
}

void stop_signal::wait() {
  pollfd fds[2] = {{signal_fd_, POLLIN, 0}, {event_fd_, POLLIN, 0}};
  while (poll(fds, 2, -1) < 0) {
  }
}

void stop_signal::raise() { eventfd_write(event_fd_, 1); }

} // namespace sluice::daemon
