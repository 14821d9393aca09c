#pragma once

#include "actors/ingress/target_port.hpp"
#include "actors/replica/replica_port.hpp"

#include <sluice/core/record_block.hpp>
#include <sluice/processor/request_body.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace sluice::replica {

/// What a collector made of one request, on its way to the sink. The exchange is still open.
struct collected {
  exchange_ptr call;
  record_block records; ///< may be empty
};

/// Counters since the replica started; in_flight counts those that wait, too.
struct request_load {
  std::uint32_t in_flight = 0;
  std::uint64_t handled_total = 0;
  std::uint64_t failed_total = 0;            ///< answered with 500 or above
  std::chrono::milliseconds busy_longest{0}; ///< oldest call into user code that is no stream
};

/// Gives requests to user code. Owned by one replica; destroying it never waits for user
/// code, and drops what has not begun.
class request_work_port : public runner_port {
public:
  /// Requests are taken from now on. Called once.
  virtual void start(std::shared_ptr<request_body> body) = 0;

  /// Where requests go in; outlives this port, then it refuses. Before `start` and after `close`
  /// it refuses too.
  virtual ingress::target_ptr target() = 0;

  /// Refuses what user code has not begun and all that comes from now on. `idle` is called once
  /// nothing is left. Any thread.
  virtual void close() = 0;

  /// While held back, new requests are refused as `overloaded`: results wait for their sink.
  virtual void hold_back(bool on) = 0;

  virtual request_load load() const = 0;
};

struct request_work_options {
  replica_id replica;
  std::uint32_t num_concurrency = 1;
  /// Requests that may wait for user code; more are refused as `overloaded`.
  std::size_t waiting_max = 0;
  /// Both are called from any thread and must not block. `done`, of collectors only, returns whether the exchange waits here for
  /// its sink: then `exchange::handed_to_sink` is due.
  std::function<bool(collected)> done;
  std::function<void()> idle;
  log::speaker who = {}; ///< whom user code speaks for
};

/// Requests that wait at a replica beside those in user code: as many again, so that a thread
/// that becomes free has its next one at hand, and what several ingresses send ahead to a quick one.
constexpr std::size_t requests_waiting_max(std::uint32_t num_concurrency) noexcept {
  return 512 + std::size_t{2} * num_concurrency;
}

} // namespace sluice::replica
