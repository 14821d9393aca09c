#pragma once

#include <sluice/core/ids.hpp>
#include <sluice/core/result.hpp>

#include <cstdint>
#include <functional>

namespace sluice::node {

/// Brings the binaries of flows onto this machine. Implemented over the content-
/// addressed store (`transport/artifact`).
class artifact_port {
public:
  virtual ~artifact_port() = default;

  /// Makes sure that the artifact is stored here, complete and of the right hash;
  /// fetches it if it is missing. `done` runs once, on any thread, also before this
  /// returns. Asking again while a fetch is under way joins it. On failure nothing
  /// half-written stays, and asking again starts over.
  virtual void ensure(const artifact_id& id, std::uint64_t size_bytes,
                      std::function<void(result<void>)> done) = 0;
};

} // namespace sluice::node
