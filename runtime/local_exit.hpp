#pragma once

#include "transport/process/flight_recorder.hpp"

#include <memory>

namespace sluice::runtime {

/// While it lives, user code that calls `exit` or `quick_exit` does not end the process as if all were done: what happened
/// is said on stderr, the next run blames the record that the calling thread has in user code, and the exit code
/// is 1. `_exit` cannot be seen.
///
/// One at a time; made and ended by the main thread. A process that is ended by `exit` in the meantime never
/// comes to its destructor.
class exit_watch {
public:
  explicit exit_watch(std::shared_ptr<const process::flight_recorder> recorder);
  ~exit_watch();
  exit_watch(const exit_watch&) = delete;
  exit_watch& operator=(const exit_watch&) = delete;

private:
  std::shared_ptr<const process::flight_recorder> recorder_;
};

} // namespace sluice::runtime
