#pragma once

#include "actors/cluster/cluster_state.hpp"
#include "actors/cluster/throughput.hpp"

#include <deque>
#include <memory>

namespace sluice::cluster {

/// Shows the state to people. Pure. The caller adds ids, times and events that the state
/// does not know.
std::shared_ptr<cluster_view> make_view(const cluster_state& state, const throughput& done, time_point now);

} // namespace sluice::cluster
