#pragma once

#include "transport/artifact/artifact_store.hpp"
#include "transport/process/work_thread.hpp"

#include <sluice/core/ids.hpp>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <set>

/// What a node does on the side while it runs.
namespace sluice::daemon {

constexpr std::size_t housekeeping_jobs_max = 4;
constexpr std::chrono::minutes artifact_age_min{10}; ///< a younger one may be on its way to a flow
constexpr std::chrono::hours renewal_interval{1};    ///< between two looks at a certificate
constexpr std::chrono::seconds renewal_answer_within{15};

/// Calls `work` on an actor of its own now and then every `interval`. Ended with an exit message.
caf::actor spawn_periodic(caf::actor_system& sys, std::chrono::milliseconds interval,
                          std::function<void(caf::event_based_actor*)> work);

/// Has `where` remove from `store` what is not among the artifacts it is called with. Skips a turn
/// when `where` is busy: what is left over goes with the next.
std::function<void(std::set<artifact_id>)> collect_unused(process::work_thread& where,
                                                          artifact::artifact_store& store);

} // namespace sluice::daemon
