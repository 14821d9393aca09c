#include "runtime/cli/wait.hpp"

#include <ostream>

namespace sluice::cli {

namespace {

bool may_come_back(errc code) noexcept {
  return code == errc::unavailable || code == errc::timeout || code == errc::shutting_down
         || code == errc::overloaded;
}

} // namespace

int wait_until(const environment& env, client::control_client& head, std::chrono::milliseconds timeout,
               const std::function<std::optional<int>(const client::api::SnapshotReply&)>& verdict,
               const std::function<int(const client::api::SnapshotReply&)>& on_timeout) {
  auto until = env.now() + timeout;
  client::api::SnapshotReply last;
  for (;;) {
    auto seen = head.snapshot(0);
    if (seen) {
      last = std::move(*seen);
      if (auto code = verdict(last))
        return *code;
    } else if (!may_come_back(seen.error().code)) {
      return complain(env, seen.error());
    }
    if (env.now() >= until)
      return on_timeout(last);
    if (!env.pause(wait_interval)) {
      const std::string text = "interrupted; it goes on without you, see `sluice status`";
      if (env.json_errors)
        return complain(env, {errc::cancelled, text});
      env.err << text << "\n";
      return interrupted;
    }
  }
}

} // namespace sluice::cli
