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

/// Counts the thread it is made on, which belongs to somebody else, for as long as it lives.
class counted_visit {
public:
  explicit counted_visit(worker_threads::counter& in) : in_(in) {
    std::lock_guard lock{in_.mutex};
    ++in_.count;
  }
  ~counted_visit() {
    std::lock_guard lock{in_.mutex};
    if (--in_.count == 0)
      in_.changed.notify_all();
  }
  counted_visit(const counted_visit&) = delete;
  counted_visit& operator=(const counted_visit&) = delete;

private:
  worker_threads::counter& in_;
};

/// Starts a counted thread with a name of up to 15 characters. It inherits the signal mask.
void start_thread(const std::shared_ptr<worker_threads::counter>& counter, const std::string& name,
                  std::function<void()> body);

} // namespace sluice::work
