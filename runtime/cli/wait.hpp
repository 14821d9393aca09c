#pragma once

#include "runtime/cli/command.hpp"

#include <functional>
#include <optional>

namespace sluice::cli {

constexpr std::chrono::milliseconds wait_interval{200};

/// Looks at the cluster until `verdict` gives an exit code. A head that cannot be reached
/// meanwhile is asked again: what was asked for goes on without us. After `timeout` it
/// returns `on_timeout` with the last snapshot (default-made if there was none); after Ctrl-C, `interrupted`.
int wait_until(const environment& env, client::control_client& head, std::chrono::milliseconds timeout,
               const std::function<std::optional<int>(const client::api::SnapshotReply&)>& verdict,
               const std::function<int(const client::api::SnapshotReply&)>& on_timeout);

} // namespace sluice::cli
