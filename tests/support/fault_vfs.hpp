#pragma once

#include <cstdint>
#include <string>

namespace sluice::testing {

/// A file layer for SQLite that does what the disk does, and fails on request. One at
/// a time; SQLite knows it by `name` while it lives.
class fault_vfs {
public:
  static constexpr const char* name = "sluice_fault";

  fault_vfs();
  ~fault_vfs();
  fault_vfs(const fault_vfs&) = delete;
  fault_vfs& operator=(const fault_vfs&) = delete;

  /// The n-th next call fails (1 = the next), and all after it until `heal`. 0 = never.
  void fail_sync(int n) { sync_in_ = n; }
  void fill_disk(int n) { write_in_ = n; }        ///< writes fail as on a full disk
  void fail_write(int n) { write_error_in_ = n; } ///< writes fail as on a bad disk
  void heal() { sync_in_ = write_in_ = write_error_in_ = 0; }

  std::uint64_t syncs() const noexcept { return syncs_; }
  std::uint64_t writes() const noexcept { return writes_; }

  // For the layer itself.
  bool sync_fails();
  int write_fails(); ///< 0, or SQLite's code

private:
  int sync_in_ = 0;
  int write_in_ = 0;
  int write_error_in_ = 0;
  std::uint64_t syncs_ = 0;
  std::uint64_t writes_ = 0;
};

} // namespace sluice::testing
