#pragma once

#include "transport/work/worker_threads.hpp"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>

namespace sluice::work {

/// Counts threads that nobody joins, so that the end of a process can wait for them.
struct worker_threads::counter {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t count = 0;
};

/// Starts a counted thread with a name of up to 15 characters. It inherits the signal mask.
void start_thread(const std::shared_ptr<worker_threads::counter>& counter, const std::string& name,
                  std::function<void()> body);

} // namespace sluice::work
