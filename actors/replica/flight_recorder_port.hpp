#pragma once

#include "actors/replica/flight_slot.hpp"

#include <sluice/core/ids.hpp>

namespace sluice::replica {

/// Hands out flight slots. Safe to use from any thread.
class flight_recorder_port {
public:
  virtual ~flight_recorder_port() = default;

  /// A free slot, marked as `replica`'s; nullptr when all are taken (then a crash is
  /// blamed on no record of this thread).
  virtual flight_slot* claim(replica_id replica) = 0;

  virtual void give_back(flight_slot* slot) = 0;
};

} // namespace sluice::replica
