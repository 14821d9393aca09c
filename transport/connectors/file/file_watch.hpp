#pragma once

#include <chrono>
#include <string>

namespace sluice::connectors {

/// Waits until something happens to a file: it grows, is made, or is replaced.
///
/// Watches its folder with inotify. Where that cannot be had, it looks again
/// every 100 ms. One thread.
class file_watch {
public:
  explicit file_watch(const std::string& path);
  ~file_watch();
  file_watch(const file_watch&) = delete;
  file_watch& operator=(const file_watch&) = delete;

  /// Returns at the first event since the last call, or after `wait_max`. May
  /// return early without one.
  void wait(std::chrono::milliseconds wait_max);

private:
  int fd_ = -1;
};

} // namespace sluice::connectors
