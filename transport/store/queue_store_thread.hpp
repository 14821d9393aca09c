#pragma once

#include "actors/queue/queue_store_port.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace sluice::store {

/// The one thread that waits for the disk on behalf of the queue actor.
///
/// Work is run in the order it came. Its amount is bounded by who sends it: the queue
/// actor has at most one write and two reads per queue under way. Whoever made it ends
/// it, after the actor and before the actor system; `run` is safe from any thread.
class queue_store_thread final : public queue::store_runner_port {
public:
  /// Takes the store over; it is destroyed on the caller's thread by `stop`.
  explicit queue_store_thread(std::unique_ptr<queue::store_port> store);

  /// Stops.
  ~queue_store_thread() override;

  /// After `stop`, the work is dropped.
  void run(std::function<void(queue::store_port&)> work) override;
  bool has_work() const override;

  /// Does all work that is there, closes the store, and returns. Calling it again
  /// has no effect. Not to be called by the work itself.
  void stop();

private:
  void loop();

  std::unique_ptr<queue::store_port> store_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void(queue::store_port&)>> work_;
  bool is_stopping_ = false;
  std::thread thread_;
};

} // namespace sluice::store
