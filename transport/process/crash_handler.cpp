#include "transport/process/crash_handler.hpp"

#include "transport/process/exit_report.hpp"
#include "transport/process/flight_recorder.hpp"

#define BACKWARD_HAS_DW 1
#include <backward.hpp>

#include <atomic>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <execinfo.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice::process {

namespace {

constexpr std::size_t stack_bytes = 1u << 20; // reading debug information takes a lot
constexpr int frames_max = 64;
constexpr unsigned watchdog_s = 5;

std::atomic<pid_t> crashing_thread{0};
std::atomic<int> crash_signal{0};
void* bare_frames[frames_max];
std::atomic<int> bare_frame_count{0};

pid_t thread_id() { return static_cast<pid_t>(::syscall(SYS_gettid)); }

void say(const char* text, std::size_t size) { [[maybe_unused]] auto n = ::write(STDERR_FILENO, text, size); }

void say_last() {
  char line[64];
  const auto size = std::snprintf(line, sizeof line, "%.*s\n", static_cast<int>(crash_line_last.size()),
                                  crash_line_last.data());
  say(line, static_cast<std::size_t>(size));
}

[[noreturn]] void die(int number) {
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  ::sigaction(number, &plain, nullptr);
  sigset_t only;
  ::sigemptyset(&only);
  ::sigaddset(&only, number);
  ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  ::raise(number);
  ::_exit(128 + number);
}

/// What is left when the full backtrace failed: addresses for addr2line.
[[noreturn]] void die_with_bare_frames() {
  for (int i = 0; i < bare_frame_count.load(); ++i) {
    Dl_info where{};
    const bool known = ::dladdr(bare_frames[i], &where) != 0 && where.dli_fname != nullptr;
    const auto offset =
      known ? static_cast<const char*>(bare_frames[i]) - static_cast<const char*>(where.dli_fbase)
            : std::ptrdiff_t{0};
    char line[512];
    const auto size = std::snprintf(line, sizeof line, "#%-2d %p %.200s+0x%tx %.200s\n", i, bare_frames[i],
                                    known ? where.dli_fname : "?", offset,
                                    known && where.dli_sname != nullptr ? where.dli_sname : "");
    say(line, static_cast<std::size_t>(size));
  }
  say_last();
  die(crash_signal.load());
}

void on_watchdog(int) { die_with_bare_frames(); }

void say_first(int number, const siginfo_t* info) {
  const char* name = ::sigabbrev_np(number);
  char thread[17] = "?";
  ::prctl(PR_GET_NAME, thread, 0, 0, 0);
  char line[160];
  int size = 0;
  if (number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE)
    size = std::snprintf(line, sizeof line, "\nsluice: crashed with SIG%s at address %p in thread %s\n",
                         name != nullptr ? name : "?", info->si_addr, thread);
  else
    size = std::snprintf(line, sizeof line, "\nsluice: crashed with SIG%s in thread %s\n",
                         name != nullptr ? name : "?", thread);
  say(line, static_cast<std::size_t>(size));
}

void say_backtrace(const siginfo_t* info, void* context) {
  backward::StackTrace trace;
  const auto* machine = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
  void* fault = reinterpret_cast<void*>(machine->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  void* fault = reinterpret_cast<void*>(machine->uc_mcontext.pc);
#else
  void* fault = nullptr;
#endif
  trace.load_from(fault, frames_max, context, info->si_addr);
  backward::Printer printer;
  printer.snippet = false;
  printer.address = true;
  printer.color_mode = backward::ColorMode::never;
  printer.print(trace, stderr);
  std::fflush(stderr);
}

void on_crash(int number, siginfo_t* info, void* context) {
  pid_t nobody = 0;
  const auto me = thread_id();
  if (!crashing_thread.compare_exchange_strong(nobody, me)) {
    if (nobody == me)
      die_with_bare_frames(); // the handler itself crashed
    for (;;)
      ::pause(); // one crash is told; this thread goes with the process
  }
  mark_crashed();
  crash_signal.store(number);
  say_first(number, info);
  bare_frame_count.store(::backtrace(bare_frames, frames_max));
  struct sigaction watchdog {};
  watchdog.sa_handler = on_watchdog;
  ::sigaction(SIGALRM, &watchdog, nullptr);
  sigset_t alarm_only;
  ::sigemptyset(&alarm_only);
  ::sigaddset(&alarm_only, SIGALRM);
  ::pthread_sigmask(SIG_UNBLOCK, &alarm_only, nullptr);
  ::alarm(watchdog_s);
  say_backtrace(info, context);
  say_last();
  die(number);
}

} // namespace

crash_stack::crash_stack() {
  void* memory =
    ::mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return;
  stack_t stack{};
  stack.ss_sp = memory;
  stack.ss_size = stack_bytes;
  if (::sigaltstack(&stack, nullptr) == 0)
    memory_ = memory;
  else
    ::munmap(memory, stack_bytes);
}

crash_stack::~crash_stack() {
  if (memory_ == nullptr)
    return;
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack(&none, nullptr);
  ::munmap(memory_, stack_bytes);
}

void install_crash_handler() {
  // Never freed, as a crash may come during exit; kept, so that leak checkers find who has it.
  [[gnu::used]] static auto* main_stack = new crash_stack;
  void* warm_up[1];
  ::backtrace(warm_up, 1); // loads the unwinder now, not in the handler
  struct sigaction action {};
  action.sa_sigaction = on_crash;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  ::sigemptyset(&action.sa_mask);
  for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP})
    ::sigaction(number, &action, nullptr);
}

} // namespace sluice::process
