#include "tests/support/subprocess.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <spawn.h>
#include <stdexcept>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

extern char** environ;

namespace sluice::test {

namespace {

using steady = std::chrono::steady_clock;

[[noreturn]] void throw_errno(const std::string& what, int code = errno) {
  throw std::system_error{code, std::generic_category(), what};
}

struct child_files {
  int in = -1;
  int out = -1;
  int err = -1;
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (auto& s : strings)
    result.push_back(s.data());
  result.push_back(nullptr);
  return result;
}

pid_t start(std::vector<std::string> argv, const run_options& options, const child_files& files) {
  std::vector<std::string> env;
  for (char** e = environ; *e != nullptr; ++e) {
    std::string entry{*e};
    if (options.env.count(entry.substr(0, entry.find('='))) == 0)
      env.push_back(std::move(entry));
  }
  for (auto& [key, value] : options.env)
    env.push_back(key + "=" + value);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, files.in, 0);
  posix_spawn_file_actions_adddup2(&actions, files.out, 1);
  posix_spawn_file_actions_adddup2(&actions, files.err, 2);
  if (!options.directory.empty())
    posix_spawn_file_actions_addchdir_np(&actions, options.directory.c_str());
  pid_t pid = -1;
  auto code =
    posix_spawnp(&pid, argv[0].c_str(), &actions, nullptr, pointers(argv).data(), pointers(env).data());
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0)
    throw_errno("start " + argv[0], code);
  return pid;
}

int decode_status(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

/// Both ends of a pipe, closed with the scope.
struct pipe_pair {
  int ends[2] = {-1, -1};
  pipe_pair() {
    if (pipe2(ends, O_CLOEXEC) != 0)
      throw_errno("pipe");
  }
  ~pipe_pair() {
    close_end(0);
    close_end(1);
  }
  pipe_pair(const pipe_pair&) = delete;
  pipe_pair& operator=(const pipe_pair&) = delete;
  void close_end(int i) {
    if (ends[i] >= 0)
      close(std::exchange(ends[i], -1));
  }
};

void drain(const pollfd& fd, pipe_pair& from, std::string& into) {
  if (fd.revents == 0)
    return;
  char buffer[65536];
  auto n = read(fd.fd, buffer, sizeof(buffer));
  if (n > 0)
    into.append(buffer, static_cast<std::size_t>(n));
  else
    from.close_end(0);
}

/// Feeds the child and collects what it prints until it has closed both outputs.
bool exchange(pipe_pair& in, pipe_pair& out, pipe_pair& err, const run_options& options, run_result& result) {
  std::size_t written = 0;
  fcntl(in.ends[1], F_SETFL, O_NONBLOCK);
  auto end = steady::now() + options.deadline;
  while (out.ends[0] >= 0 || err.ends[0] >= 0) {
    if (written == options.input.size())
      in.close_end(1);
    pollfd fds[3] = {{out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}, {in.ends[1], POLLOUT, 0}};
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - steady::now()).count();
    if (left <= 0 || poll(fds, 3, static_cast<int>(left)) == 0)
      return false;
    drain(fds[0], out, result.out);
    drain(fds[1], err, result.err);
    if (in.ends[1] >= 0 && fds[2].revents != 0) {
      auto n = write(in.ends[1], options.input.data() + written, options.input.size() - written);
      if (n > 0)
        written += static_cast<std::size_t>(n);
      else if (n < 0 && errno != EAGAIN)
        in.close_end(1);
    }
  }
  return true;
}

} // namespace

run_result run(const std::vector<std::string>& argv, const run_options& options) {
  std::signal(SIGPIPE, SIG_IGN);
  pipe_pair in;
  pipe_pair out;
  pipe_pair err;
  auto pid = start(argv, options, {in.ends[0], out.ends[1], err.ends[1]});
  in.close_end(0);
  out.close_end(1);
  err.close_end(1);
  run_result result;
  bool finished = exchange(in, out, err, options, result);
  if (!finished)
    kill(pid, SIGKILL);
  int status = 0;
  waitpid(pid, &status, 0);
  if (!finished)
    throw std::runtime_error{argv[0] + " did not end in time; it printed: " + result.out + result.err};
  result.exit_code = decode_status(status);
  return result;
}

background_process::background_process(const std::vector<std::string>& argv, const run_options& options,
                                       std::filesystem::path output_file)
  : output_file_(std::move(output_file)) {
  int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
  int out = open(output_file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (in < 0 || out < 0)
    throw_errno("open " + output_file_.string());
  pid_ = start(argv, options, {in, out, out});
  close(in);
  close(out);
}

background_process::~background_process() {
  if (!reaped_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

void background_process::signal(int number) const {
  if (!reaped_)
    kill(pid_, number);
}

bool background_process::running() {
  int status = 0;
  if (!reaped_ && waitpid(pid_, &status, WNOHANG) == pid_) {
    reaped_ = true;
    exit_code_ = decode_status(status);
  }
  return !reaped_;
}

int background_process::wait(std::chrono::milliseconds deadline) {
  if (!eventually([this] { return !running(); }, deadline))
    throw std::runtime_error{"process did not end in time; it printed: " + output()};
  return exit_code_;
}

std::string background_process::output() const { return read_file(output_file_); }

temp_dir::temp_dir() {
  std::string name = "/tmp/sluice-XXXXXX";
  if (mkdtemp(name.data()) == nullptr)
    throw_errno("mkdtemp");
  path_ = name;
}

temp_dir::~temp_dir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds deadline) {
  auto end = steady::now() + deadline;
  while (!condition()) {
    if (steady::now() >= end)
      return condition();
    poll(nullptr, 0, 10);
  }
  return true;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  std::ofstream file{path, std::ios::binary | std::ios::trunc};
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
}

void append_file(const std::filesystem::path& path, std::string_view text) {
  std::ofstream{path, std::ios::binary | std::ios::app} << text;
}

bool process_alive(pid_t pid) {
  auto stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  auto paren = stat.rfind(')');
  return paren != std::string::npos && paren + 2 < stat.size() && stat[paren + 2] != 'Z';
}

} // namespace sluice::test
