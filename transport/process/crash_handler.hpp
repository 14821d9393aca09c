#pragma once

namespace sluice::process {

/// Makes a crash of this process explain itself on stderr: the signal, the address, the
/// thread and a backtrace, between the two lines that `exit_report.hpp` names. Then the
/// process dies of the same signal. Marks the thread's flight slot first.
///
/// For hosts and the node itself; call it once, early, from the main thread. What the
/// handler does beyond the first line is not async-signal-safe (it reads debug
/// information), so a watchdog ends it: the process dies within 5 s in any case, then
/// with bare addresses.
void install_crash_handler();

/// A stack for the handler, for the calling thread: without one, a thread that
/// overflowed its own stack dies without a word. The main thread gets one from
/// `install_crash_handler`. Lives as long as the thread runs code that may overflow.
class crash_stack {
public:
  crash_stack();
  ~crash_stack();
  crash_stack(const crash_stack&) = delete;
  crash_stack& operator=(const crash_stack&) = delete;

private:
  void* memory_ = nullptr;
};

} // namespace sluice::process
