#pragma once

#include "actors/node/node_protocol.hpp"

#include <sluice/core/result.hpp>

#include <functional>

namespace sluice::node {

/// Reads what hosts of this node wrote to stdout and stderr, also after they ended.
/// Implemented over rotated files (`transport/process`).
class log_store_port {
public:
  virtual ~log_store_port() = default;

  /// Reads as `log_request` says; an empty text is no failure. `errc::not_found` when
  /// the flow or host has no log here, `errc::overloaded` when too many reads wait.
  /// `done` runs once, on any thread, also before this returns.
  virtual void read(const log_request& request, std::function<void(result<log_chunk>)> done) = 0;

  /// Hosts whose log is kept, oldest first. Same rules for `done`.
  virtual void sources(const log_sources_request& request,
                       std::function<void(result<log_sources_reply>)> done) = 0;
};

} // namespace sluice::node
