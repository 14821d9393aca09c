#pragma once

#include "actors/batch/batch_port.hpp"

#include <sluice/core/result.hpp>
#include <sluice/processor/body.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::batch {

struct split_settings;

/// One record inside an async body, through all its attempts. Lives as long as its coroutine may touch it.
struct record_flight {
  std::string payload;
  encoded_results results;
  result<void> outcome;
  std::uint32_t attempts = 0;
  std::uint32_t current = 0; ///< the attempt whose end counts; an abandoned one ends unheard
  bool ended = false;
  std::chrono::steady_clock::time_point started{};
};

/// Calls an async body for the records of a split, `num_concurrency` at a time, on the calling thread.
class split_coroutines {
public:
  explicit split_coroutines(const split_settings& with);
  ~split_coroutines();

  /// All of `records`, through all attempts; as many flights, in their order. Fails with `shutting_down` when
  /// stopped; what is under way then is left to itself.
  result<std::vector<std::shared_ptr<record_flight>>> process(const std::vector<record_slice>& records);

private:
  class core;
  std::shared_ptr<core> core_;
};

} // namespace sluice::batch
