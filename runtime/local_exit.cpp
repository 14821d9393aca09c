#include "runtime/local_exit.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unistd.h>
#include <utility>

namespace sluice::runtime {

namespace {

std::atomic<const process::flight_recorder*> watched{nullptr};

/// On the thread that called `exit`, while all others go on.
void tell_and_end(const std::string& call) {
  const auto* recorder = watched.exchange(nullptr);
  if (recorder == nullptr)
    return;
  process::mark_crashed(); // its own record is guilty, not its neighbours'
  const auto count = recorder->inside().size();
  auto text = std::string{::isatty(STDERR_FILENO) == 1 ? "\r\x1b[K" : ""} + "sluice: user code called " + call
              + " before the run was over";
  if (count > 0)
    text += "; " + std::to_string(count) + (count == 1 ? " record was" : " records were")
            + " in user code and will come again; the next run says whose attempt counts";
  text += "\n";
  [[maybe_unused]] auto written = ::write(STDERR_FILENO, text.data(), text.size());
  std::fflush(nullptr); // what it printed, as the exit would have done
  std::_Exit(EXIT_FAILURE);
}

void on_exit_call(int status, void*) { tell_and_end("exit(" + std::to_string(status) + ")"); }
void on_quick_exit_call() { tell_and_end("quick_exit"); }

} // namespace

exit_watch::exit_watch(std::shared_ptr<const process::flight_recorder> recorder)
  : recorder_(std::move(recorder)) {
  // Behind what the program has registered, so before it at the end. Once: they cannot be taken back.
  [[maybe_unused]] static const bool registered =
    ::on_exit(on_exit_call, nullptr) == 0 && std::at_quick_exit(on_quick_exit_call) == 0;
  watched = recorder_.get();
}

exit_watch::~exit_watch() { watched = nullptr; }

} // namespace sluice::runtime
