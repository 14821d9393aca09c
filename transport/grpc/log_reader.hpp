#pragma once

#include "actors/cluster/cluster_protocol.hpp"
#include "proto/sluice/control/v1/control.pb.h"

#include <sluice/core/result.hpp>

#include <chrono>
#include <functional>

namespace caf {
class actor_system;
}

namespace sluice::control {

/// How a reader of logs talks to the world; all are called on the reader's own thread.
struct log_reader_ports {
  /// Hands out a part. False = the client is gone.
  std::function<bool(const v1::ReadLogsReply&)> write;
  /// Waits. False = stop reading.
  std::function<bool(std::chrono::milliseconds)> pause;
};

constexpr std::chrono::milliseconds log_poll_interval{250};    ///< while following
constexpr std::chrono::milliseconds log_rescan_interval{1000}; ///< for hosts that started meanwhile

/// Reads the logs of a flow's hosts, or of one host, from the nodes that keep them; or the access log of a node.
/// Lines of several hosts are handed out by time; while following, those of one look at them.
///
/// A node that cannot be asked is named in a part of its own and the rest goes on. With
/// `follow` it returns when a port says so; hosts that start meanwhile are read from
/// their beginning. Fails with `not_found` when no node knows the target.
result<void> read_logs(caf::actor_system& sys, const cluster::handle& cluster,
                       const v1::ReadLogsRequest& request, const log_reader_ports& ports);

} // namespace sluice::control
