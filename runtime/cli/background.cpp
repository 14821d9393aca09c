#include "runtime/cli/background.hpp"

#include <sluice/core/disk_errc.hpp>
#include <sluice/core/limits.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <optional>
#include <poll.h>
#include <sstream>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace sluice::cli {

namespace {

constexpr std::size_t log_lines_shown_max = 10;
constexpr std::size_t message_bytes_max = 64 << 10;

/// What the child says: one field after the other, each ended by a zero byte. The first is "ready"
/// or the number of an `errc`.
std::string encode(const config::ready_info& info) {
  std::string text;
  for (const auto& field : {std::string{"ready"}, info.role, info.node_id, std::to_string(info.pid),
                            info.link_address, info.control_address, info.control_socket, info.state_dir,
                            info.join_token, info.ca_fingerprint, info.http_address, info.warning})
    text += field + '\0';
  return text;
}

std::string encode(const failure& why) {
  return std::to_string(static_cast<int>(why.code)) + '\0' + why.message + '\0';
}

std::vector<std::string> fields_of(const std::string& text) {
  std::vector<std::string> fields;
  for (std::size_t from = 0; from < text.size();) {
    auto end = text.find('\0', from);
    if (end == std::string::npos)
      break; // the child died in the middle
    fields.push_back(text.substr(from, end - from));
    from = end + 1;
  }
  return fields;
}

std::optional<result<config::ready_info>> decode(const std::string& text) {
  auto fields = fields_of(text);
  if (fields.size() == 12 && fields[0] == "ready") {
    config::ready_info info;
    info.role = fields[1];
    info.node_id = fields[2];
    std::from_chars(fields[3].data(), fields[3].data() + fields[3].size(), info.pid);
    info.link_address = fields[4];
    info.control_address = fields[5];
    info.control_socket = fields[6];
    info.state_dir = fields[7];
    info.join_token = fields[8];
    info.ca_fingerprint = fields[9];
    info.http_address = fields[10];
    info.warning = fields[11];
    return info;
  }
  if (fields.size() == 2) {
    int code = 0;
    std::from_chars(fields[0].data(), fields[0].data() + fields[0].size(), code);
    return fail(static_cast<errc>(code), fields[1]);
  }
  return std::nullopt;
}

void write_all(int fd, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    auto n = ::write(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return; // the parent is gone; nobody is left to tell
    done += static_cast<std::size_t>(n);
  }
}

[[noreturn]] void be_child(int pipe_fd, int log_fd,
                           const std::function<result<void>(const say_ready&)>& work) {
  int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(log_fd, STDOUT_FILENO);
  ::dup2(log_fd, STDERR_FILENO);
  ::close(log_fd);
  bool is_open = true;
  auto tell = [&](const std::string& text) {
    if (!is_open)
      return;
    write_all(pipe_fd, text);
    ::close(pipe_fd);
    is_open = false;
  };
  auto done = work([&](const config::ready_info& info) { tell(encode(info)); });
  if (!done) {
    auto text = "error: " + done.error().message + "\n";
    write_all(STDERR_FILENO, text);
    tell(encode(done.error()));
  }
  ::_exit(done ? 0 : 1);
}

/// A log that has grown long goes aside, in the place of the one before.
void rotate(const std::filesystem::path& log_file) {
  std::error_code error;
  if (const auto size = std::filesystem::file_size(log_file, error);
      error || size < limits::log_file_bytes_max)
    return;
  std::filesystem::rename(log_file, log_file.string() + ".1", error); // else it grows on
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status))
    return "was killed by signal " + std::to_string(WTERMSIG(status)) + " (" + ::strsignal(WTERMSIG(status))
           + ")";
  return "ended with code " + std::to_string(WEXITSTATUS(status));
}

std::string last_lines(const std::filesystem::path& file, std::uintmax_t from) {
  std::ifstream in{file, std::ios::binary};
  in.seekg(static_cast<std::streamoff>(from));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
    if (lines.size() > log_lines_shown_max)
      lines.erase(lines.begin());
  }
  std::string text;
  for (const auto& line : lines)
    text += "\n  | " + line;
  return text;
}

enum class reading : std::uint8_t { ended, late, interrupted };

/// Reads until the child closes its end.
reading read_to_end(int fd, int interrupts, std::string& text, std::chrono::milliseconds deadline) {
  auto until = std::chrono::steady_clock::now() + deadline;
  std::array<char, 4096> buffer{};
  for (;;) {
    auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return reading::late;
    std::array<pollfd, 2> entries{{{fd, POLLIN, 0}, {interrupts, POLLIN, 0}}};
    auto ready =
      ::poll(entries.data(), entries.size(), static_cast<int>(std::min<long long>(left.count(), 60'000)));
    if (ready < 0 && errno != EINTR)
      return reading::ended;
    if (ready <= 0)
      continue;
    if (entries[0].revents == 0)
      return reading::interrupted;
    auto n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0 || text.size() > message_bytes_max)
      return reading::ended;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

/// While one is there, Ctrl-C ends nothing but makes `fd` readable, whichever thread it finds: a node that starts in the
/// background would go on unseen. At most one at a time.
class interrupt_watch {
public:
  interrupt_watch() {
    fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct sigaction watch {};
    watch.sa_handler = [](int) {
      const int error = errno;
      static_cast<void>(::eventfd_write(fd_, 1));
      errno = error;
    };
    ::sigaction(SIGINT, &watch, &before_);
  }
  ~interrupt_watch() {
    end();
    ::close(fd_);
  }
  interrupt_watch(const interrupt_watch&) = delete;
  interrupt_watch& operator=(const interrupt_watch&) = delete;

  int fd() const noexcept { return fd_; }
  /// Ctrl-C does what it did before.
  void end() const noexcept { ::sigaction(SIGINT, &before_, nullptr); }

private:
  struct sigaction before_ {};
  static inline int fd_ = -1;
};

/// Asks it to end and, if it does not in time, has no more patience.
void end_child(pid_t child) {
  constexpr int patience_ms = 5000;
  ::kill(child, SIGTERM);
  if (const int fd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0)); fd >= 0) {
    pollfd ended{fd, POLLIN, 0};
    ::poll(&ended, 1, patience_ms);
    ::close(fd);
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

} // namespace

result<config::ready_info> run_in_background(const std::filesystem::path& log_file,
                                             std::chrono::milliseconds deadline,
                                             const std::function<result<void>(const say_ready&)>& work) {
  rotate(log_file);
  int log_fd = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_fd < 0)
    return fail(errc_of_disk(errno), "cannot write " + log_file.string() + ": " + std::strerror(errno));
  struct stat before {};
  ::fstat(log_fd, &before);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    ::close(log_fd);
    return fail(errc::exhausted, std::string{"cannot make a pipe: "} + std::strerror(errno));
  }
  const interrupt_watch interrupts;
  auto child = ::fork();
  if (child == 0) {
    ::setsid(); // no Ctrl-C comes here from now on
    interrupts.end();
    ::close(ends[0]);
    be_child(ends[1], log_fd, work);
  }
  ::close(log_fd);
  ::close(ends[1]);
  if (child < 0) {
    ::close(ends[0]);
    return fail(errc::exhausted, std::string{"cannot start a process: "} + std::strerror(errno));
  }
  std::string said;
  const auto how = read_to_end(ends[0], interrupts.fd(), said, deadline);
  ::close(ends[0]);
  if (how == reading::interrupted) {
    end_child(child);
    return fail(errc::cancelled, "interrupted; the node was ended before it served");
  }
  if (auto answer = decode(said)) {
    if (!*answer)
      ::waitpid(child, nullptr, 0); // it is about to end
    return *answer;
  }
  if (how == reading::late)
    return fail(errc::timeout, "the node (pid " + std::to_string(child)
                                 + ") does not serve yet; it goes on, see " + log_file.string());
  int status = 0;
  ::waitpid(child, &status, 0);
  return fail(errc::internal, "the node " + how_it_ended(status) + " before it served"
                                + last_lines(log_file, static_cast<std::uintmax_t>(before.st_size)));
}

} // namespace sluice::cli
