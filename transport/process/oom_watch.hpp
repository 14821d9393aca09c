#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Whether the kernel killed a process for want of memory. It tells nobody whom: there are only counters, of
/// a cgroup or of the machine. So a counter is looked at all the time, and a rise speaks about the deaths close to it.
namespace sluice::process {

/// Whether a process that somebody else killed with SIGKILL was killed by the kernel for want of memory.
enum class oom_verdict : std::uint8_t {
  no,    ///< it killed nothing about then
  maybe, ///< it killed something on this machine about then
  yes,   ///< it killed something of our own cgroup about then, and no other death explains that
};

/// A counter and what it counts.
struct oom_counter {
  std::function<std::optional<std::uint64_t>()> read; ///< nullopt: it cannot be read any more
  bool is_own_cgroup = false;                         ///< else the whole machine
};

/// Files in which the kernel may count for a process, best first, by its `/proc/self/cgroup`. Pure.
std::vector<std::string> own_oom_counters(std::string_view proc_self_cgroup);

/// That of our cgroup, which hosts share, or else the machine's.
oom_counter find_oom_counter();

/// Owned by whoever hears of deaths; one thread at a time.
class oom_watch {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// A kill and the death that is told of it are at most so far apart: the kernel takes the memory back in between.
  static constexpr std::chrono::seconds span{10};
  /// How often to `look`, so that a rise is dated well enough.
  static constexpr std::chrono::seconds interval{1};

  explicit oom_watch(oom_counter counter);

  void look(time_point now);

  /// For a death by SIGKILL that was not ours. A kill that the kernel counted explains one death.
  oom_verdict judge(time_point now);

private:
  oom_counter counter_;
  std::uint64_t total_ = 0;
  std::vector<time_point> unexplained_; ///< kills seen in the last `span`, oldest first
};

} // namespace sluice::process
