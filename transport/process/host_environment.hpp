#pragma once

#include <sluice/core/ids.hpp>

#include <optional>

/// What a node's launcher and the host it starts agree on.
namespace sluice::process {

/// One end of the socket pair: the link to the node.
inline constexpr int host_link_fd = 3;

/// The shared memory of `flight_recorder`.
inline constexpr int host_flight_fd = 4;

struct host_environment {
  host_id host;
  flow_name flow;
  flow_version version;
};

/// In a host: who it is, from SLUICE_HOST, SLUICE_FLOW and SLUICE_FLOW_VERSION. Nothing
/// if this process was not started by a node.
std::optional<host_environment> read_host_environment();

} // namespace sluice::process
