#include "transport/process/flight_recorder.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <new>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace sluice::process {

namespace {

using replica::flight_slot;

constexpr std::size_t map_size_bytes = flight_recorder::slots_max * sizeof(flight_slot);

thread_local constinit flight_slot* slot_of_thread = nullptr;

tl::unexpected<failure> fail_errno(const char* what) {
  return fail(errc::unavailable, std::string{"flight recorder: "} + what + ": " + std::strerror(errno));
}

} // namespace

result<std::unique_ptr<flight_recorder>> flight_recorder::map(int fd) {
  void* at = mmap(nullptr, map_size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED)
    return fail_errno("map");
  // Zeroed pages are valid free slots: every member's zero is its initial value.
  return std::unique_ptr<flight_recorder>{new flight_recorder{fd, static_cast<flight_slot*>(at)}};
}

result<std::unique_ptr<flight_recorder>> flight_recorder::size_and_map(int fd, const char* name) {
  if (fd < 0)
    return fail_errno(name);
  if (ftruncate(fd, map_size_bytes) != 0) {
    auto why = fail_errno(name);
    close(fd);
    return why;
  }
  auto made = map(fd);
  if (!made)
    close(fd);
  return made;
}

result<std::unique_ptr<flight_recorder>> flight_recorder::create() {
  return size_and_map(memfd_create("sluice-flight", MFD_CLOEXEC), "create");
}

result<std::unique_ptr<flight_recorder>> flight_recorder::open(const std::filesystem::path& file) {
  return size_and_map(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), file.c_str());
}

result<std::unique_ptr<flight_recorder>> flight_recorder::attach(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0)
    return fail_errno("inherited descriptor");
  if (static_cast<std::size_t>(info.st_size) != map_size_bytes)
    return fail(errc::unsupported, "flight recorder: the node agent is of another version");
  return map(fd);
}

flight_recorder::~flight_recorder() {
  munmap(slots_, map_size_bytes);
  close(fd_);
}

flight_slot* flight_recorder::claim(replica_id replica) {
  for (auto* slot = slots_; slot != slots_ + slots_max; ++slot) {
    std::uint64_t free = 0;
    if (slot->replica.compare_exchange_strong(free, replica.value))
      return slot;
  }
  return nullptr;
}

void flight_recorder::give_back(flight_slot* slot) {
  if (slot == nullptr)
    return;
  slot->seq.store(0);
  slot->replica.store(0);
}

std::vector<suspect> flight_recorder::inside() const {
  std::vector<suspect> found;
  for (auto* slot = slots_; slot != slots_ + slots_max; ++slot) {
    auto seq = slot->seq.load(std::memory_order_acquire);
    auto replica = slot->replica.load();
    if (seq != 0 && replica != 0)
      found.push_back({replica_id{replica}, seq, std::chrono::nanoseconds{slot->started_ns.load()},
                       slot->crashed.load() != 0});
  }
  return found;
}

bool flight_recorder::has_passed_any() const {
  return std::any_of(slots_, slots_ + slots_max,
                     [](const flight_slot& slot) { return slot.passed.load() != 0; });
}

bool flight_recorder::mark_hung(std::chrono::nanoseconds now, std::chrono::nanoseconds hung_after,
                                replica_id replica) {
  bool found = false;
  for (auto* slot = slots_; slot != slots_ + slots_max; ++slot)
    if (slot->seq.load(std::memory_order_acquire) != 0 && slot->replica.load() == replica.value
        && now - std::chrono::nanoseconds{slot->started_ns.load()} >= hung_after) {
      slot->crashed.store(1, std::memory_order_release);
      found = true;
    }
  return found;
}

void flight_recorder::clear() noexcept {
  for (auto* slot = slots_; slot != slots_ + slots_max; ++slot) {
    slot->seq.store(0);
    slot->crashed.store(0);
    slot->passed.store(0);
    slot->replica.store(0);
  }
}

void mark_crashed() noexcept {
  if (slot_of_thread != nullptr)
    slot_of_thread->crashed.store(1, std::memory_order_release);
}

void set_slot_of_thread(flight_slot* slot) noexcept { slot_of_thread = slot; }

std::vector<suspect> blame(const std::vector<suspect>& inside, std::chrono::nanoseconds now,
                           std::chrono::nanoseconds hung_after) {
  auto keep = [&](auto guilty) {
    std::vector<suspect> found;
    std::copy_if(inside.begin(), inside.end(), std::back_inserter(found), guilty);
    return found;
  };
  if (auto crashed = keep([](const suspect& s) { return s.crashed; }); !crashed.empty())
    return crashed;
  if (hung_after > std::chrono::nanoseconds::zero())
    return keep([&](const suspect& s) { return now - s.started >= hung_after; });
  return inside;
}

} // namespace sluice::process
