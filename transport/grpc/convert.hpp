#pragma once

#include "actors/cluster/cluster_protocol.hpp"
#include "actors/queue/queue_protocol.hpp"
#include "proto/sluice/control/v1/control.pb.h"

#include <sluice/core/result.hpp>
#include <sluice/flow_spec.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// The control API's messages to and from our own types. Pure.
namespace sluice::control {

/// Hosts are named by 16 hex digits, everywhere people see them.
std::string to_text(host_id id);
/// Reads what `to_text` wrote; fewer digits are fine. Fails with `invalid_argument`.
result<host_id> host_id_from_text(std::string_view text);

std::int64_t to_unix_ms(std::chrono::system_clock::time_point at) noexcept;

v1::ProcessorSpec to_proto(const processor_spec& spec);
/// Fails with `invalid_argument` for a pattern that is not known here.
result<processor_spec> from_proto(const v1::ProcessorSpec& spec);

v1::Queue to_proto(const queue::queue_stat& stat);
v1::Node to_proto(const cluster::node_view& view);
v1::Event to_proto(const cluster::event_view& view);
v1::DeadLetter to_proto(const queue::dead_letter& letter);

/// Joins what the cluster and the queues say: a processor fed by a queue gets that
/// queue's backlog, a replica the host that runs it. Keeps the newest `event_count_max`
/// events. `taken_at` and the version are the caller's.
v1::SnapshotReply to_proto(const cluster::cluster_view& view, const std::vector<queue::queue_stat>& queues,
                           std::size_t event_count_max);

} // namespace sluice::control
