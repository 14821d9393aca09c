#include "runtime/cli/process_environment.hpp"

#include "transport/artifact/describe.hpp"

#include <sluice/core/version.hpp>

#include <fmt/format.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <poll.h>
#include <random>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace sluice::cli {

namespace {

std::atomic<int> signal_caught{0};
static_assert(std::atomic<int>::is_always_lock_free, "set by a signal handler");

/// Readable once a signal was caught.
int wake_fd() {
  static const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd;
}

/// From now on the first `signal` is noted, and the second ends the process.
void catch_once(int signal) {
  static_cast<void>(wake_fd()); // made here, not in the handler
  struct sigaction on_signal {};
  on_signal.sa_flags = SA_RESETHAND;
  on_signal.sa_handler = [](int caught) {
    const auto error = errno;
    signal_caught = caught;
    static_cast<void>(::eventfd_write(wake_fd(), 1));
    errno = error;
  };
  ::sigaction(signal, &on_signal, nullptr);
}

int ending_signal() {
  static const bool installed = [] {
    catch_once(SIGINT);
    catch_once(SIGTERM);
    return true;
  }();
  static_cast<void>(installed);
  return signal_caught;
}

std::optional<std::string> read_variable(const std::string& name) {
  const auto* text = std::getenv(name.c_str());
  return text == nullptr ? std::nullopt : std::optional<std::string>{text};
}

terminal terminal_of(int fd) {
  terminal to;
  to.is_terminal = ::isatty(fd) == 1;
  auto no_color = read_variable("NO_COLOR");
  auto force = read_variable("CLICOLOR_FORCE");
  bool is_dumb = read_variable("TERM").value_or("dumb") == "dumb";
  to.colours = (to.is_terminal && !is_dumb) || (force && !force->empty() && *force != "0");
  if (no_color && !no_color->empty())
    to.colours = false;
  winsize size{};
  if (to.is_terminal && ::ioctl(fd, TIOCGWINSZ, &size) == 0) {
    to.width = size.ws_col;
    to.height = size.ws_row;
  }
  return to;
}

/// Waits. From the first wait on, Ctrl-C no longer ends the process but the wait.
bool pause_until_interrupted(std::chrono::milliseconds span) {
  static const bool installed = [] {
    if (signal_caught == 0)
      catch_once(SIGINT);
    return true;
  }();
  static_cast<void>(installed);
  auto until = std::chrono::steady_clock::now() + span;
  while (signal_caught == 0) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return true;
    pollfd wake{wake_fd(), POLLIN, 0};
    ::poll(&wake, 1, static_cast<int>(left.count()));
  }
  return false;
}

std::string random_id() {
  std::random_device device; // getrandom: good enough to be unique among all clients
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
}

result<flow_spec> describe(const std::filesystem::path& binary, const std::vector<std::string>& args,
                           const flow_variables& env) {
  artifact::describe_options options;
  options.sluice_version = SLUICE_VERSION;
  options.args = args;
  options.env = env;
  return artifact::describe(binary, options);
}

} // namespace

environment make_process_environment(node_runner run_head, node_runner run_worker,
                                     std::function<bool(const std::filesystem::path&)> has_joined) {
  // gRPC's own lines say again, for its developers, what our failures say for people.
  ::setenv("GRPC_VERBOSITY", "NONE", 0);
  return environment{.open_input = [](const std::string& path) { return open_file(path, wake_fd()); },
                     .out = std::cout,
                     .err = std::cerr,
                     .out_terminal = terminal_of(STDOUT_FILENO),
                     .measure_out = [] { return terminal_of(STDOUT_FILENO); },
                     .err_terminal = terminal_of(STDERR_FILENO),
                     .variable = read_variable,
                     .config_search = config::default_search(read_variable),
                     .connect = client::connect,
                     .describe = describe,
                     .run_head = std::move(run_head),
                     .run_worker = std::move(run_worker),
                     .has_joined = std::move(has_joined),
                     .pause = pause_until_interrupted,
                     .ending_signal = ending_signal,
                     .now = [] { return std::chrono::steady_clock::now(); },
                     .make_id = random_id};
}

} // namespace sluice::cli
