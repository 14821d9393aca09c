#pragma once

#include "transport/process/flight_recorder.hpp"
#include "actors/queue/queue_store_port.hpp"

#include <sluice/flow_spec.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace sluice::runtime {

/// The replicas of a run by hand: `num_replicas` of every processor, numbered from 1 in their order.
struct local_replica {
  replica_id id;
  const processor_spec* processor;
};
std::vector<local_replica> local_replicas(const flow_spec& spec);

/// What a run by hand has in user code, in files of its state folder: on a cluster the node agent would know it
/// when the process dies, here the next run has to.
class local_losses {
public:
  /// Opens the files of `state_dir`. Counts an attempt of each record that was in user code when the last run of the
  /// same flow died, or buries it; `told` gets a sentence for each.
  ///
  /// Records of a processor that is no longer there, or reads another queue now, are left as they are.
  static result<local_losses> open(const std::filesystem::path& state_dir, const flow_spec& spec,
                                   queue::store_port& store, std::vector<std::string>& told);

  std::shared_ptr<process::flight_recorder> recorder() const { return recorder_; }
  std::size_t buried_count() const noexcept { return buried_count_; } ///< at `open`

private:
  std::shared_ptr<process::flight_recorder> recorder_;
  std::size_t buried_count_ = 0;
};

} // namespace sluice::runtime
