#include "transport/process/exit_report.hpp"

#include <csignal>
#include <cstring>
#include <optional>

namespace sluice::process {

namespace {

/// Characters of "2026-01-02T03:04:05.678Z ".
constexpr std::size_t timestamp_size = 25;

constexpr std::size_t message_size_max = 300;

std::string_view shorten(std::string_view text) { return text.substr(0, message_size_max); }

/// Reads what libstdc++ prints about an exception that nobody caught.
std::optional<std::string> find_exception(const std::vector<std::string>& log_tail) {
  constexpr std::string_view thrown = "terminate called after throwing an instance of '";
  constexpr std::string_view what = "  what():  ";
  for (std::size_t i = log_tail.size(); i-- > 0;) {
    auto line = without_timestamp(log_tail[i]);
    const auto at = line.find(thrown);
    if (at == std::string_view::npos)
      continue;
    auto name = line.substr(at + thrown.size());
    std::string out{name.substr(0, name.rfind('\''))};
    if (i + 1 < log_tail.size()) {
      auto next = without_timestamp(log_tail[i + 1]);
      if (next.substr(0, what.size()) == what)
        out += ": " + std::string{shorten(next.substr(what.size()))};
    }
    return out;
  }
  return std::nullopt;
}

/// What follows `words` in the last line that has them.
std::optional<std::string> find_after(std::string_view words, const std::vector<std::string>& log_tail) {
  for (std::size_t i = log_tail.size(); i-- > 0;) {
    auto line = without_timestamp(log_tail[i]);
    if (auto at = line.find(words); at != std::string_view::npos)
      return std::string{shorten(line.substr(at + words.size()))};
  }
  return std::nullopt;
}

std::string_view who_killed(oom_verdict by_kernel) {
  switch (by_kernel) {
  case oom_verdict::yes:
    return "out of memory: killed by the kernel";
  case oom_verdict::maybe:
    return "killed by SIGKILL (maybe by the kernel, out of memory)";
  case oom_verdict::no:
    break;
  }
  return "killed by SIGKILL (not by Sluice)";
}

} // namespace

std::string_view without_timestamp(std::string_view line) {
  if (line.size() >= timestamp_size && line[4] == '-' && line[10] == 'T' && line[timestamp_size - 2] == 'Z')
    line.remove_prefix(timestamp_size);
  return line;
}

std::string signal_name(int number) {
  if (const char* name = ::sigabbrev_np(number))
    return std::string{"SIG"} + name;
  return "signal " + std::to_string(number);
}

std::string describe_exit(const exit_status& status, const exit_context& context,
                          const std::vector<std::string>& log_tail) {
  if (status.signal == 0) {
    auto text = "exited with code " + std::to_string(status.exit_code);
    if (status.exit_code == 127)
      if (auto missing = find_after("error while loading shared libraries: ", log_tail))
        text += ": " + *missing;
    if (status.exit_code == 0 && !context.we_terminated)
      if (auto why = find_after(node_gone_line, log_tail))
        return "ended itself: its node was gone: " + *why;
    return text;
  }
  const auto name = signal_name(status.signal);
  if (status.signal == SIGKILL && context.we_killed && !context.kill_reason.empty())
    return context.kill_reason;
  if (status.signal == SIGKILL && !context.we_killed)
    return std::string{who_killed(context.by_kernel)};
  if (status.signal == SIGTERM && !context.we_terminated)
    return "killed by SIGTERM (not by Sluice)";
  if (status.signal == SIGABRT)
    if (auto thrown = find_exception(log_tail))
      return "killed by SIGABRT after an uncaught " + *thrown;
  return "killed by " + name;
}

std::string find_backtrace(const std::vector<std::string>& log_tail) {
  std::size_t first = log_tail.size();
  for (std::size_t i = log_tail.size(); i-- > 0;) {
    auto line = without_timestamp(log_tail[i]);
    if (line.substr(0, crash_line_first.size()) == crash_line_first) {
      first = i;
      break;
    }
  }
  std::string out;
  for (std::size_t i = first; i < log_tail.size(); ++i) {
    auto line = without_timestamp(log_tail[i]);
    if (line.substr(0, crash_line_last.size()) == crash_line_last)
      break;
    out.append(line);
    out.push_back('\n');
  }
  return out;
}

} // namespace sluice::process
