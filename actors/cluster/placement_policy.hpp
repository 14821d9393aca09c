#pragma once

#include <sluice/core/ids.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>

namespace sluice::cluster {

using label_map = std::map<std::string, std::string>;

/// What one replica reserves, and where it may run at all.
struct replica_need {
  double cpus = 0;
  std::uint64_t memory_bytes = 0; ///< 0 = reserves none
  label_map node_labels = {};     ///< its node has all of them
};

/// One node that may take work (alive, not draining), as one processor sees it.
struct candidate {
  node_id node;
  double cpus_free = 0; ///< slots that no replica reserves
  std::uint64_t memory_bytes_free = 0;
  std::uint32_t replicas_same = 0; ///< of this processor, this version
  bool runs_flow = false;          ///< a host of this flow and version is there
  bool failed_here = false;        ///< the last replica of it failed on this node
  label_map labels = {};
  bool host_looped = false; ///< a host of this flow and version was in a crash loop there lately
};

/// Where a replica goes; without `node`, `reason` says why nowhere.
struct placement {
  std::optional<node_id> node;
  std::string reason;
};

/// True if `need` fits into what is free. Slots are compared to a thousandth.
bool fits(const replica_need& need, double cpus_free, std::uint64_t memory_bytes_free) noexcept;

/// True if a node with `labels` may run what asks for `wanted`.
bool has_labels(const label_map& labels, const label_map& wanted);

/// Chooses a node for one more replica: of those with its labels where it fits, one without a crash loop of its
/// host, then one where it did not just fail, then the one with the fewest replicas of the processor, then one that
/// already runs the flow (no host to start), then the one with the most free slots,
/// then the first by id. Pure: the same input gives the same answer.
placement place(const replica_need& need, std::span<const candidate> nodes);

} // namespace sluice::cluster
