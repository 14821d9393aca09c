#pragma once

#include "actors/replica/flight_recorder_port.hpp"

#include <sluice/core/result.hpp>

#include <chrono>
#include <filesystem>
#include <memory>
#include <vector>

namespace sluice::process {

/// A record that was inside user code when its process ended.
struct suspect {
  replica_id replica;
  std::uint64_t seq = 0;
  std::chrono::nanoseconds started{0}; ///< steady clock
  bool crashed = false;                ///< its own thread took the fatal signal
};

/// The memory that a host shares with its node agent, mapped.
///
/// The node makes it and keeps it until it has read who was inside; the host inherits the
/// descriptor and maps the same pages. The kernel keeps them through any kind of death.
class flight_recorder final : public replica::flight_recorder_port {
public:
  static constexpr std::size_t slots_max = 1024; ///< threads of one host; 32 KiB

  /// In the node: makes the memory. In the host: `attach` maps what was inherited.
  static result<std::unique_ptr<flight_recorder>> create();
  static result<std::unique_ptr<flight_recorder>> attach(int fd);
  /// For a process that has no node: the pages are those of a file, which outlives it. What the file had is kept.
  static result<std::unique_ptr<flight_recorder>> open(const std::filesystem::path& file);

  ~flight_recorder() override;
  flight_recorder(const flight_recorder&) = delete;
  flight_recorder& operator=(const flight_recorder&) = delete;

  /// For the child to inherit; owned by this object.
  int fd() const noexcept { return fd_; }

  replica::flight_slot* claim(replica_id replica) override;
  void give_back(replica::flight_slot* slot) override;

  /// Who is inside user code now. Any thread.
  std::vector<suspect> inside() const;

  /// Whether any record has come out of user code again since it was made or cleared. Any thread.
  bool has_passed_any() const;

  /// Marks what `replica` has inside for at least `hung_after` as to blame, as a crash does. False if there is nothing.
  /// Any thread.
  bool mark_hung(std::chrono::nanoseconds now, std::chrono::nanoseconds hung_after, replica_id replica);

  /// Makes every slot a free one. Only while no thread of this process has one that it will still use.
  void clear() noexcept;

private:
  flight_recorder(int fd, replica::flight_slot* slots) : fd_(fd), slots_(slots) {}
  static result<std::unique_ptr<flight_recorder>> map(int fd);
  /// Owns `fd` from the start; below 0, it is refused with `errno`.
  static result<std::unique_ptr<flight_recorder>> size_and_map(int fd, const char* name);

  int fd_;
  replica::flight_slot* slots_;
};

/// Marks the calling thread's own slot in a signal handler. Async-signal-safe.
void mark_crashed() noexcept;

/// Tells `mark_crashed` which slot is the calling thread's; nullptr = none.
void set_slot_of_thread(replica::flight_slot* slot) noexcept;

/// Which of those inside are to blame. A thread that crashed is guilty alone; after a
/// hang, those inside for at least `hung_after`, which may be none: it was no record that hung. Otherwise all, for nothing tells
/// them apart.
std::vector<suspect> blame(const std::vector<suspect>& inside, std::chrono::nanoseconds now,
                           std::chrono::nanoseconds hung_after);

} // namespace sluice::process
