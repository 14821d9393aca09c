#pragma once

#include <cstdint>
#include <string>

namespace sluice::store {

/// Room on the disk that a full disk does not take away: a file of its own that is given up when what makes room
/// (a purge, or what consumers settle) finds none. A log must grow, or be moved into a file that grows, before anything can be deleted.
///
/// One thread. Nothing is kept where the file system cannot, or has no room itself: it is tried again.
class kept_room {
public:
  /// `bytes` 0 = keeps none.
  kept_room(std::string path, std::uint64_t bytes) : path_(std::move(path)), bytes_(bytes) {}

  /// Makes the file if it is not there.
  void keep() noexcept;
  /// Removes it, if it is there.
  void give_up() noexcept;

private:
  std::string path_;
  std::uint64_t bytes_;
  bool is_kept_ = false;
};

} // namespace sluice::store
