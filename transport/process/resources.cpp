#include "transport/process/resources.hpp"

#include "transport/process/unique_fd.hpp"

#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <unistd.h>

namespace sluice::process {

namespace {

/// Reads the beginning of a file of `/proc`; empty if it is not there.
std::string read_file(const std::string& path, std::size_t size_max) {
  unique_fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  std::string out;
  if (!fd)
    return out;
  out.resize(size_max);
  std::size_t done = 0;
  while (done < size_max) {
    const auto n = ::read(fd.get(), out.data() + done, size_max - done);
    if (n <= 0)
      break;
    done += static_cast<std::size_t>(n);
  }
  out.resize(done);
  return out;
}

/// Takes the next number from `text`, or 0.
std::uint64_t next_number(std::string_view& text) {
  const auto begin = text.find_first_of("0123456789");
  if (begin == std::string_view::npos) {
    text = {};
    return 0;
  }
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data() + begin, text.data() + text.size(), value);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc{} ? value : 0;
}

std::uint64_t number_after(std::string_view text, std::string_view name) {
  const auto at = text.find(name);
  if (at == std::string_view::npos)
    return 0;
  text.remove_prefix(at + name.size());
  return next_number(text);
}

std::chrono::nanoseconds from_ticks(std::uint64_t ticks) {
  static const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return std::chrono::nanoseconds{ticks * (1'000'000'000 / per_second)};
}

} // namespace

std::optional<node::process_sample> proc_resources::sample_process(std::int64_t pid) {
  const auto folder = "/proc/" + std::to_string(pid);
  const auto stat = read_file(folder + "/stat", 1024);
  const auto statm = read_file(folder + "/statm", 256);
  // The name in parentheses may hold anything; fields are counted from the last ')'.
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos || statm.empty())
    return std::nullopt;
  std::string_view rest{stat};
  rest.remove_prefix(name_end + 1);
  if (rest.size() > 1 && rest[1] == 'Z')
    return std::nullopt;
  for (int field = 2; field < 13; ++field) { // up to utime, the 14th; a negative one has its sign skipped
    const auto space = rest.find(' ', 1);
    if (space == std::string_view::npos)
      return std::nullopt;
    rest.remove_prefix(space);
  }
  node::process_sample out;
  const auto user = next_number(rest);
  const auto system = next_number(rest);
  out.cpu_time = from_ticks(user + system);
  std::string_view pages{statm};
  next_number(pages);
  static const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  out.memory_bytes = next_number(pages) * page_bytes;
  return out;
}

node::machine_sample proc_resources::sample_machine() {
  node::machine_sample out;
  const auto stat = read_file("/proc/stat", 512);
  std::string_view line{stat};
  line = line.substr(0, line.find('\n'));
  std::uint64_t busy = 0;
  for (int field = 0; field < 8; ++field) { // user nice system idle iowait irq softirq steal
    const auto ticks = next_number(line);
    if (field != 3 && field != 4)
      busy += ticks;
  }
  out.cpu_time = from_ticks(busy);
  const auto meminfo = read_file("/proc/meminfo", 4096);
  const auto total = number_after(meminfo, "MemTotal:");
  const auto available = number_after(meminfo, "MemAvailable:");
  out.memory_used_bytes = total > available ? (total - available) * 1024 : 0;
  return out;
}

std::string read_small_file(const std::string& path) { return read_file(path, 64 << 10); }

std::optional<std::uint64_t> kernel_oom_kills_in(const std::string& path) {
  constexpr std::string_view name = "oom_kill ";
  const auto text = "\n" + read_small_file(path);
  if (text.find("\n" + std::string{name}) == std::string::npos)
    return std::nullopt;
  return number_after(text, "\n" + std::string{name});
}

} // namespace sluice::process
