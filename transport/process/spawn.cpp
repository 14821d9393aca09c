#include "transport/process/spawn.hpp"

#include "transport/process/blocked_signals.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace sluice::process {

namespace {

enum class step : int { descriptors, orphaned, limits, directory, exec };

/// What the child says through the pipe when it cannot go on.
struct child_error {
  step where;
  int error;
};

/// Descriptors are first moved above all targets, so that none is overwritten early.
constexpr int parking_fd_min = 16;
constexpr int target_fd_max = 15;

/// Everything the child needs, prepared before the fork: after it nothing may allocate.
struct plan {
  int program_fd;
  int output_fd;
  int error_fd;
  int report_fd;
  std::array<std::pair<int, int>, target_fd_max + 1> fds;
  std::size_t fd_count;
  char* const* argv;
  char* const* env;
  const char* directory;
  int nice;
  char oom_score[16];
  bool limits_file_size;
  rlim_t file_size;
  pid_t parent;
};

// ---- between fork and exec: only async-signal-safe calls -----------------------

[[noreturn]] void give_up(int report_fd, step where) {
  child_error what{where, errno};
  [[maybe_unused]] auto n = ::write(report_fd, &what, sizeof what);
  ::_exit(127);
}

void reset_signals() {
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number)
    ::sigaction(number, &plain, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

int park(int fd) { return ::fcntl(fd, F_DUPFD_CLOEXEC, parking_fd_min); }

void close_above(int fd_last) {
  if (::close_range(static_cast<unsigned>(fd_last) + 1, ~0u, CLOSE_RANGE_CLOEXEC) == 0)
    return;
  for (int fd = fd_last + 1; fd < 4096; ++fd) // a kernel before 5.11
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void place_descriptors(const plan& p, int report_fd, int* program_fd) {
  int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  null = null < 0 ? -1 : park(null);
  const int output = p.output_fd < 0 ? null : park(p.output_fd);
  const int error = p.error_fd < 0 ? output : park(p.error_fd);
  *program_fd = park(p.program_fd);
  std::array<int, target_fd_max + 1> parked{};
  for (std::size_t i = 0; i < p.fd_count; ++i)
    parked[i] = park(p.fds[i].first);
  int last = 2;
  bool ok =
    null >= 0 && *program_fd >= 0 && ::dup2(null, 0) == 0 && ::dup2(output, 1) == 1 && ::dup2(error, 2) == 2;
  for (std::size_t i = 0; ok && i < p.fd_count; ++i) {
    ok = ::dup2(parked[i], p.fds[i].second) == p.fds[i].second;
    last = p.fds[i].second > last ? p.fds[i].second : last;
  }
  if (!ok)
    give_up(report_fd, step::descriptors);
  // Gaps below `last` hold nothing of ours: every descriptor of this program is CLOEXEC by
  // rule, but a library's may not be.
  for (int fd = 3; fd < last; ++fd) {
    bool is_target = false;
    for (std::size_t i = 0; i < p.fd_count; ++i)
      is_target = is_target || p.fds[i].second == fd;
    if (!is_target)
      ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  close_above(last);
}

void set_limits(const plan& p, int report_fd) {
  const rlimit no_core{0, 0};
  const rlimit file_size{p.file_size, p.file_size};
  if (::setrlimit(RLIMIT_CORE, &no_core) != 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
      || (p.limits_file_size && ::setrlimit(RLIMIT_FSIZE, &file_size) != 0))
    give_up(report_fd, step::limits);
  if (p.nice != 0)
    ::setpriority(PRIO_PROCESS, 0, p.nice); // best effort, as the next
  if (p.oom_score[0] != '\0') {
    int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
      [[maybe_unused]] auto n = ::write(fd, p.oom_score, ::strlen(p.oom_score));
      ::close(fd);
    }
  }
}

[[noreturn]] void run_child(const plan& p) {
  const int report_fd = park(p.report_fd);
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
    give_up(p.report_fd, step::limits);
  if (::getppid() != p.parent) { // it died before the line above
    errno = ESRCH;
    give_up(p.report_fd, step::orphaned);
  }
  ::setpgid(0, 0);
  reset_signals();
  int program_fd = -1;
  place_descriptors(p, report_fd, &program_fd);
  set_limits(p, report_fd);
  if (p.directory != nullptr && ::chdir(p.directory) != 0)
    give_up(report_fd, step::directory);
  ::syscall(SYS_execveat, program_fd, "", p.argv, p.env, AT_EMPTY_PATH);
  give_up(report_fd, step::exec);
}

// ---- in the parent --------------------------------------------------------------

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const auto& text : texts)
    out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

failure to_failure(const child_error& what) {
  const std::string text = std::strerror(what.error);
  switch (what.where) {
  case step::descriptors:
    return {errc::exhausted, "cannot pass descriptors to the child: " + text};
  case step::orphaned:
    return {errc::internal, "the thread that started the child ended"};
  case step::limits:
    return {errc::internal, "cannot set the child's limits: " + text};
  case step::directory:
    return {errc::internal, "cannot enter the child's directory: " + text};
  case step::exec:
    break;
  }
  if (what.error == ENOEXEC)
    return {errc::invalid_argument, "not a program of this kind of machine (exec format error)"};
  if (what.error == EACCES)
    return {errc::invalid_argument, "not executable (permission denied)"};
  if (what.error == ENOENT)
    return {errc::invalid_argument, "its loader does not exist, or it is a script"};
  if (what.error == ENOMEM || what.error == E2BIG)
    return {errc::exhausted, "cannot run the program: " + text};
  return {errc::internal, "cannot run the program: " + text};
}

/// Returns the child, or what it said through the pipe.
tl::expected<child, child_error> try_spawn(plan& p, failure& why_not) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    why_not = {errc::exhausted, std::string{"pipe: "} + std::strerror(errno)};
    return tl::unexpected{child_error{step::limits, 0}};
  }
  unique_fd read_end{ends[0]};
  unique_fd write_end{ends[1]};
  p.report_fd = write_end.get();
  child out;
  {
    blocked_signals quiet; // while the child could run our handlers
    out.pid = ::fork();
    if (out.pid == 0)
      run_child(p);
  }
  if (out.pid < 0) {
    why_not = {errc::exhausted, std::string{"fork: "} + std::strerror(errno)};
    return tl::unexpected{child_error{step::limits, 0}};
  }
  write_end.reset();
  child_error what{};
  ssize_t got;
  do
    got = ::read(read_end.get(), &what, sizeof what);
  while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof what)) {
    ::waitpid(out.pid, nullptr, 0);
    why_not = to_failure(what);
    return tl::unexpected{what};
  }
  out.pidfd = unique_fd{static_cast<int>(::syscall(SYS_pidfd_open, out.pid, 0))};
  if (!out.pidfd) {
    why_not = {errc::exhausted, std::string{"pidfd_open: "} + std::strerror(errno)};
    ::kill(out.pid, SIGKILL);
    ::waitpid(out.pid, nullptr, 0);
    return tl::unexpected{child_error{step::limits, 0}};
  }
  ::fcntl(out.pidfd.get(), F_SETFD, FD_CLOEXEC);
  return out;
}

bool is_kept(std::string_view name) {
  constexpr std::string_view names[] = {
    "PATH",         "HOME",          "LANG",         "TZ",          "TMPDIR", "LD_LIBRARY_PATH",
    "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"};
  for (auto kept : names)
    if (name == kept)
      return true;
  return name.substr(0, 3) == "LC_";
}

} // namespace

result<child> spawn(const spawn_options& options) {
  if (options.fds.size() > target_fd_max)
    return fail(errc::invalid_argument, "too many descriptors for the child");
  const auto argv = pointers(options.argv);
  const auto env = pointers(options.env);
  plan p{};
  p.program_fd = options.program_fd;
  p.output_fd = options.output_fd;
  p.error_fd = options.error_fd;
  for (const auto& each : options.fds)
    p.fds[p.fd_count++] = each;
  p.argv = argv.data();
  p.env = env.data();
  p.directory = options.directory.empty() ? nullptr : options.directory.c_str();
  p.nice = options.nice;
  if (options.oom_score_adj != 0)
    std::snprintf(p.oom_score, sizeof p.oom_score, "%d", options.oom_score_adj);
  p.limits_file_size = options.file_size_bytes_max.has_value();
  p.file_size = options.file_size_bytes_max.value_or(0);
  p.parent = ::getpid();
  // A child of another thread may for a moment hold a descriptor that this file was
  // written through; the kernel then refuses to run it.
  constexpr int busy_tries = 50;
  failure why_not;
  for (int i = 0;; ++i) {
    auto done = try_spawn(p, why_not);
    if (done)
      return std::move(*done);
    if (done.error().error != ETXTBSY || i == busy_tries)
      return tl::unexpected{why_not};
    ::poll(nullptr, 0, 10);
  }
}

std::vector<std::string> scrubbed_environment(const flow_variables& given) {
  std::vector<std::string> out;
  for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
    const std::string_view entry{*each};
    const auto equals = entry.find('=');
    if (equals == std::string_view::npos)
      continue;
    const auto name = entry.substr(0, equals);
    if (is_kept(name) && !given.contains(std::string{name})) // of two entries the first would count
      out.emplace_back(entry);
  }
  for (const auto& [name, value] : given)
    out.push_back(name + "=" + value);
  return out;
}

} // namespace sluice::process
