#pragma once

#include "tests/support/sim_cluster.hpp"

#include <sluice/flow_spec.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace sluice::testing {

/// A batch in a simulated cluster: hosts and replicas are the real ones, on the real queues of the head; the files are in
/// memory and the same for all nodes, and each piece of work takes a time that the seed chooses. What a
/// process was at when it is killed is not done.
class sim_batch {
public:
  /// A source of `count` records. @pre no head has been started and no node added yet
  sim_batch(sim_cluster& world, std::size_t count);

  /// Submits a flow "batch" whose only processor turns each record into two.
  result<cluster::submit_reply> submit(std::uint32_t replicas, const io_spec& source, const io_spec& sink);
  bool is_completed();

  /// What an uninterrupted run writes.
  std::vector<std::string> expected() const;
  /// What is in the file at the sink, or in the queue.
  std::vector<std::string> file() const { return disk_->target; }
  std::vector<std::string> queue(const std::string& name) const;
  /// Puts the records of the source into a queue. @pre the head is not up
  void fill(const std::string& name);

  struct disk {
    std::vector<std::string> source;
    std::map<std::uint64_t, std::map<std::uint32_t, std::vector<std::string>>> parts; ///< by run, by split
    std::vector<std::string> target;
  };

private:
  class threads;

  sim_cluster& world_;
  std::shared_ptr<disk> disk_ = std::make_shared<disk>();
  std::mt19937_64 random_;
};

} // namespace sluice::testing
