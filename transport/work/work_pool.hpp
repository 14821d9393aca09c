#pragma once

#include "transport/work/worker_threads.hpp"
#include "actors/replica/flight_recorder_port.hpp"
#include "actors/replica/replica_port.hpp"

#include <memory>

namespace sluice::work {

/// Threads of one replica with a sync body.
///
/// A thread claims a few records at a time from the oldest block under a lock, then works on
/// them without one. What it has finished collects in a chunk; around each call into user code it
/// leaves the chunk in an atomic place, so that `flush` can take it away from a thread which
/// does not come back soon. Per record that is two atomic exchanges, the two stores of
/// the flight recorder and one look at the clock.
class work_pool final : public replica::work_port {
public:
  work_pool(std::shared_ptr<worker_threads::counter> counter,
            std::shared_ptr<replica::flight_recorder_port> recorder, replica::work_options opts);
  ~work_pool() override;

  void run(std::function<void()> job) override;
  void start(std::shared_ptr<processor_body> body) override;
  void submit(record_block records) override;
  std::vector<std::uint64_t> withdraw() override;
  void flush() override;
  void results_settled(std::size_t size_bytes) override;
  std::chrono::milliseconds busy_longest() const override;

private:
  class shared;
  std::shared_ptr<shared> shared_;
};

} // namespace sluice::work
