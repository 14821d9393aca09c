#include "runtime/daemon/head_news.hpp"

#include <sluice/core/limits.hpp>

#include <caf/send.hpp>

#include <utility>

namespace sluice::daemon {

void head_news::tell(std::string severity, std::string text) {
  std::lock_guard lock{mutex_};
  if (to_)
    caf::anon_send(to_, cluster::head_event{std::move(severity), std::move(text)});
  else if (!is_over_ && early_.size() < limits::events_kept_max)
    early_.push_back({std::move(severity), std::move(text)});
}

void head_news::begin(cluster::handle to) {
  std::lock_guard lock{mutex_};
  to_ = std::move(to);
  for (auto& one : std::exchange(early_, {}))
    caf::anon_send(to_, std::move(one));
}

void head_news::end() {
  std::lock_guard lock{mutex_};
  is_over_ = true;
  to_ = cluster::handle{};
}

} // namespace sluice::daemon
