#pragma once

#include <csignal>
#include <pthread.h>

namespace sluice::process {

/// No signal reaches this thread while it lives: a child that is forked meanwhile runs none of our handlers.
class blocked_signals {
public:
  blocked_signals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~blocked_signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  blocked_signals(const blocked_signals&) = delete;
  blocked_signals& operator=(const blocked_signals&) = delete;

private:
  sigset_t before_;
};

} // namespace sluice::process
