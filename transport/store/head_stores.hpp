#pragma once

#include "transport/store/queue_store.hpp"
#include "actors/cluster/cluster_store_port.hpp"
#include "actors/queue/queue_store_port.hpp"

#include <sluice/core/result.hpp>

#include <filesystem>
#include <memory>
#include <string>

namespace sluice::store {

/// Both databases of a head.
struct head_stores {
  std::shared_ptr<cluster::store_port> cluster;
  std::unique_ptr<queue::store_port> queues;
  std::string warning; ///< what was lost, with `accept_loss`; empty = nothing
};

/// Opens `cluster.db` and `queue.db` of `folder`, or makes both.
///
/// They belong together: each keeps the same random number, made at the first start. Where one is missing or empty
/// beside the other, or has another number, this fails with `corrupt`, names both files, says what would be
/// lost, and changes nothing; with `accept_loss` the missing one is begun anew and the two are made a pair. Files
/// from before there were numbers get one.
///
/// Else it fails as `open_cluster_store` and `open_queue_store` do. `queues.path` and `queues.pair` are set here.
result<head_stores> open_head_stores(const std::filesystem::path& folder, queue_store_options queues,
                                     bool accept_loss);

} // namespace sluice::store
