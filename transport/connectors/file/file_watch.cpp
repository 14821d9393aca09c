#include "transport/connectors/file/file_watch.hpp"

#include <algorithm>
#include <filesystem>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace sluice::connectors {

namespace {

constexpr std::chrono::milliseconds look_again_after{100};

} // namespace

file_watch::file_watch(const std::string& path) {
  auto folder = std::filesystem::path{path}.parent_path();
  if (folder.empty())
    folder = ".";
  fd_ = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd_ >= 0
      && ::inotify_add_watch(fd_, folder.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
    ::close(fd_);
    fd_ = -1;
  }
}

file_watch::~file_watch() {
  if (fd_ >= 0)
    ::close(fd_);
}

void file_watch::wait(std::chrono::milliseconds wait_max) {
  if (fd_ < 0) {
    ::poll(nullptr, 0, static_cast<int>(std::min(wait_max, look_again_after).count()));
    return;
  }
  pollfd ready{fd_, POLLIN, 0};
  if (::poll(&ready, 1, static_cast<int>(wait_max.count())) <= 0)
    return;
  alignas(inotify_event) char events[4096];
  while (::read(fd_, events, sizeof events) > 0) {
  }
}

} // namespace sluice::connectors
