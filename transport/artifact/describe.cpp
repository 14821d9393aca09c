#include "transport/artifact/describe.hpp"

#include "transport/process/log_format.hpp"
#include "transport/process/spawn.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string_view>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::artifact {

namespace {

using process::unique_fd;
using clock = std::chrono::steady_clock;

constexpr std::size_t error_output_bytes_max = 16u << 10;
constexpr std::size_t shown_bytes_max = 2000;

/// The last lines of what a program said, made safe to show.
std::string show(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
    text.remove_suffix(1);
  if (text.size() > shown_bytes_max)
    text.remove_prefix(text.size() - shown_bytes_max);
  std::string out;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    if (!out.empty())
      out += '\n';
    process::append_escaped(out, line, 4 * shown_bytes_max);
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return out;
}

result<void> check_file(int fd, const std::string& name) {
  struct stat info {};
  if (::fstat(fd, &info) != 0)
    return fail(errc::invalid_argument, "'" + name + "' cannot be examined: " + std::strerror(errno));
  if (!S_ISREG(info.st_mode))
    return fail(errc::invalid_argument, "'" + name + "' is not a file");
  if ((info.st_mode & 0111) == 0)
    return fail(errc::invalid_argument, "'" + name + "' is not executable (chmod +x)");
  std::array<char, 4> magic{};
  if (::pread(fd, magic.data(), magic.size(), 0) != static_cast<ssize_t>(magic.size())
      || std::memcmp(magic.data(), "\177ELF", magic.size()) != 0)
    return fail(errc::invalid_argument, "'" + name + "' is not a compiled program (ELF)");
  return {};
}

/// A child with its two outputs; killed with all it started when this goes.
class described_child {
public:
  result<void> start(int program_fd, const std::string& name, const describe_options& options) {
    unique_fd writers[2];
    for (int i = 0; i < 2; ++i) {
      int ends[2];
      if (::pipe2(ends, O_CLOEXEC) != 0)
        return fail(errc::exhausted, std::string{"pipe: "} + std::strerror(errno));
      readers_[i] = unique_fd{ends[0]};
      writers[i] = unique_fd{ends[1]};
      ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    }
    process::spawn_options how;
    how.program_fd = program_fd;
    how.argv = {name, "--describe"};
    how.argv.insert(how.argv.end(), options.args.begin(), options.args.end());
    how.env = process::scrubbed_environment(options.env);
    how.output_fd = writers[0].get();
    how.error_fd = writers[1].get();
    how.directory = "/";
    how.file_size_bytes_max = 0;
    auto started = process::spawn(how);
    if (!started)
      return fail(started.error().code, "'" + name + "': " + started.error().message);
    child_ = std::move(*started);
    return {};
  }

  described_child() = default;
  described_child(const described_child&) = delete;
  described_child& operator=(const described_child&) = delete;
  ~described_child() { end(); }

  /// Reads both outputs until the program ended. False at the deadline or beyond a cap.
  bool collect(clock::time_point deadline, std::size_t output_bytes_max) {
    bool has_ended = false;
    while (!has_ended) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now()).count();
      if (left <= 0)
        return false;
      pollfd all[3] = {
        {readers_[0].get(), POLLIN, 0}, {readers_[1].get(), POLLIN, 0}, {child_.pidfd.get(), POLLIN, 0}};
      if (::poll(all, 3, static_cast<int>(std::min<long long>(left, 60'000))) < 0 && errno != EINTR)
        return false;
      has_ended = (all[2].revents & POLLIN) != 0;
      if (!drain(0, output, output_bytes_max))
        return false;
      drain(1, error_output, error_output_bytes_max);
    }
    return true;
  }

  process::exit_status end() {
    process::exit_status how;
    if (child_.pid <= 0)
      return how;
    ::kill(-child_.pid, SIGKILL);
    ::kill(child_.pid, SIGKILL); // does nothing to one that has ended
    int status = 0;
    while (::waitpid(child_.pid, &status, 0) < 0 && errno == EINTR) {
    }
    child_.pid = -1;
    if (WIFSIGNALED(status))
      how.signal = WTERMSIG(status);
    else
      how.exit_code = WEXITSTATUS(status);
    return how;
  }

  std::string output;
  std::string error_output;

private:
  /// Keeps up to `bytes_max`; false when there was more.
  bool drain(int which, std::string& into, std::size_t bytes_max) {
    std::array<char, 16u << 10> buffer;
    bool fits = true;
    while (readers_[which]) {
      const auto n = ::read(readers_[which].get(), buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        break;
      if (n == 0)
        readers_[which].reset(); // poll ignores -1
      const auto kept = std::min(static_cast<std::size_t>(n), bytes_max - into.size());
      into.append(buffer.data(), kept);
      if (kept < static_cast<std::size_t>(n)) {
        fits = false;
        break;
      }
    }
    return fits;
  }

  process::child child_;
  unique_fd readers_[2];
};

} // namespace

result<void> check_version(const std::string& built_with, const std::string& ours) {
  const auto series = [](const std::string& version) {
    const auto first = version.find('.');
    const auto second = first == std::string::npos ? first : version.find('.', first + 1);
    return version.substr(0, second);
  };
  if (series(built_with) == series(ours))
    return {};
  return fail(errc::unsupported, "it was built against Sluice "
                                   + (built_with.empty() ? "(unknown)" : show(built_with)) + ", this is "
                                   + ours + "; build it again");
}

result<flow_spec> read_description(const std::string& name, const std::string& output,
                                   const std::string& ours) {
  auto spec = flow_spec_from_json(output);
  if (!spec) {
    std::string said = output.empty() ? "it printed nothing" : "it printed: " + show(output.substr(0, 200));
    return fail(errc::invalid_argument,
                "'" + name + "' is not a flow: " + spec.error().message + " (--describe: " + said + ")");
  }
  if (auto fits = check_version(spec->sluice_version, ours); !fits)
    return fail(fits.error().code, "'" + name + "': " + fits.error().message);
  if (auto valid = check(*spec); !valid)
    return fail(valid.error().code, "'" + name + "': " + valid.error().message);
  return spec;
}

failure explain_end(const std::string& name, const process::exit_status& how,
                    const std::string& error_output) {
  constexpr std::string_view loader = "error while loading shared libraries: ";
  if (how.exit_code == 127) {
    if (const auto at = error_output.find(loader); at != std::string::npos) {
      auto line = std::string_view{error_output}.substr(at + loader.size());
      return {errc::invalid_argument, "'" + name + "' lacks a shared library on this machine: "
                                        + show(line.substr(0, line.find('\n')))};
    }
  }
  std::string text = "'" + name + "' did not describe its flow: ";
  if (how.signal != 0)
    text += "killed by " + process::signal_name(how.signal);
  else
    text += "exited with code " + std::to_string(how.exit_code);
  if (const auto said = show(error_output); !said.empty())
    text += "\n" + said;
  return {errc::invalid_argument, std::move(text)};
}

result<flow_spec> describe(int program_fd, const std::string& name, const describe_options& options) {
  if (auto runnable = check_file(program_fd, name); !runnable)
    return fail(runnable);
  described_child child;
  if (auto started = child.start(program_fd, name, options); !started)
    return fail(started);
  const auto deadline = clock::now() + options.deadline;
  if (!child.collect(deadline, options.output_bytes_max)) {
    child.end();
    if (clock::now() < deadline)
      return fail(errc::invalid_argument, "'" + name + "' is not a flow: it prints more than "
                                            + std::to_string(options.output_bytes_max)
                                            + " bytes for --describe");
    auto text =
      "'" + name + "' did not describe its flow within " + std::to_string(options.deadline.count()) + " ms";
    if (const auto said = show(child.error_output); !said.empty())
      text += "\n" + said;
    return fail(errc::timeout, std::move(text));
  }
  if (const auto how = child.end(); how.signal != 0 || how.exit_code != 0)
    return tl::unexpected{explain_end(name, how, child.error_output)};
  return read_description(name, child.output, options.sluice_version);
}

result<flow_spec> describe(const std::filesystem::path& binary, const describe_options& options) {
  unique_fd file{::open(binary.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file) {
    const auto code = errno == ENOENT   ? errc::not_found
                      : errno == EACCES ? errc::permission_denied
                                        : errc::invalid_argument;
    return fail(code, "cannot open '" + binary.string() + "': " + std::strerror(errno));
  }
  return describe(file.get(), binary.string(), options);
}

} // namespace sluice::artifact
