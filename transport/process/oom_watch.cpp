#include "transport/process/oom_watch.hpp"

#include "transport/process/resources.hpp"

#include <algorithm>

namespace sluice::process {

namespace {

constexpr std::size_t kills_noted_max = 1000; ///< more at once than there can be hosts

std::optional<std::string_view> path_of_line(std::string_view line, std::string_view controller) {
  const auto first = line.find(':');
  const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
  if (second == std::string_view::npos)
    return std::nullopt;
  auto names = line.substr(first + 1, second - first - 1);
  if (controller.empty())
    return names.empty() && line.substr(0, first) == "0" ? std::optional{line.substr(second + 1)}
                                                         : std::nullopt;
  while (!names.empty()) {
    const auto comma = names.find(',');
    if (names.substr(0, comma) == controller)
      return line.substr(second + 1);
    names.remove_prefix(comma == std::string_view::npos ? names.size() : comma + 1);
  }
  return std::nullopt;
}

} // namespace

std::vector<std::string> own_oom_counters(std::string_view proc_self_cgroup) {
  std::string second_version, first_version;
  while (!proc_self_cgroup.empty()) {
    const auto end = proc_self_cgroup.find('\n');
    const auto line = proc_self_cgroup.substr(0, end);
    proc_self_cgroup.remove_prefix(end == std::string_view::npos ? proc_self_cgroup.size() : end + 1);
    const auto folder = [](std::string_view path) { return path == "/" ? std::string{} : std::string{path}; };
    if (auto path = path_of_line(line, ""))
      second_version = "/sys/fs/cgroup" + folder(*path) + "/memory.events";
    if (auto path = path_of_line(line, "memory"))
      first_version = "/sys/fs/cgroup/memory" + folder(*path) + "/memory.oom_control";
  }
  std::vector<std::string> files;
  for (auto& file : {first_version, second_version}) // where both are mounted, version 1 has the controller
    if (!file.empty())
      files.push_back(file);
  return files;
}

oom_counter find_oom_counter() {
  for (const auto& file : own_oom_counters(read_small_file("/proc/self/cgroup")))
    if (auto read = [file] { return kernel_oom_kills_in(file); }; read())
      return {read, true};
  return {[] { return kernel_oom_kills_in("/proc/vmstat"); }, false};
}

oom_watch::oom_watch(oom_counter counter) : counter_(std::move(counter)) {
  total_ = counter_.read().value_or(0);
}

void oom_watch::look(time_point now) {
  const auto total = counter_.read().value_or(total_);
  for (auto kills = std::min<std::uint64_t>(total > total_ ? total - total_ : 0, kills_noted_max); kills > 0;
       --kills)
    unexplained_.push_back(now);
  total_ = total;
  std::erase_if(unexplained_, [now](time_point at) { return now - at > span; });
}

oom_verdict oom_watch::judge(time_point now) {
  look(now);
  if (unexplained_.empty())
    return oom_verdict::no;
  if (!counter_.is_own_cgroup)
    return oom_verdict::maybe;
  unexplained_.erase(unexplained_.begin());
  return oom_verdict::yes;
}

} // namespace sluice::process
