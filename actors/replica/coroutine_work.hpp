#pragma once

#include "actors/replica/flight_recorder_port.hpp"
#include "actors/replica/replica_port.hpp"

#include <sluice/core/executor.hpp>

#include <chrono>
#include <functional>
#include <memory>

namespace sluice::replica {

struct coroutine_options {
  work_options work;
  std::chrono::milliseconds timeout{0}; ///< per record; 0 = none
  std::shared_ptr<executor> where;
  std::function<std::chrono::steady_clock::time_point()> now;
  std::shared_ptr<flight_recorder_port> recorder; ///< may be none
  std::unique_ptr<work_port> jobs;                ///< runs setup and teardown, which may block
};

/// Gives records to a coroutine, `num_concurrency` in flight, all on `where`.
///
/// A record that takes longer than `timeout` fails; its coroutine cannot be stopped, so what it
/// uses stays alive until it returns, and its result is dropped. When `abandoned_max`
/// of them pile up no more are started, and `busy_longest` tells the age of the oldest.
///
/// Used on `where` only. Destroying it leaves coroutines in flight to themselves.
std::unique_ptr<work_port> make_coroutine_work(coroutine_options opts);

constexpr std::size_t abandoned_max = 64;

} // namespace sluice::replica
