#pragma once

#include "actors/replica/request_port.hpp"

#include <sluice/core/executor.hpp>

#include <chrono>
#include <functional>
#include <memory>

namespace sluice::replica {

struct request_coroutine_options {
  request_work_options work;
  std::shared_ptr<executor> where;
  std::function<std::chrono::steady_clock::time_point()> now; ///< callable from any thread
  std::unique_ptr<runner_port> jobs;                          ///< runs setup and teardown, which may block
};

/// Gives requests to a coroutine, `num_concurrency` in flight, all on `where`.
///
/// One whose client has its 504 no longer counts as in flight; what it uses stays alive until it
/// returns. When `requests_abandoned_max` of them pile up no more are started, and
/// `busy_longest` tells the age of the oldest.
std::unique_ptr<request_work_port> make_request_coroutines(request_coroutine_options opts);

constexpr std::size_t requests_abandoned_max = 64;

} // namespace sluice::replica
