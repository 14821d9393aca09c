#pragma once

#include "transport/work/worker_threads.hpp"
#include "actors/replica/request_port.hpp"

#include <memory>

namespace sluice::work {

/// Threads of one replica with a sync endpoint, collector or WebSocket: `num_concurrency` of them take
/// requests, and what happens on connections, from one queue. Each costs a lock on each side and, if a thread sleeps,
/// its wake-up.
///
/// While user code is quick, the io thread that brings a lone request to a pool at rest calls it itself (`link::led_loop`): the wake-up
/// would take longer.
class request_pool final : public replica::request_work_port {
public:
  request_pool(std::shared_ptr<worker_threads::counter> counter, replica::request_work_options opts);
  ~request_pool() override;

  void run(std::function<void()> job) override;
  void start(std::shared_ptr<request_body> body) override;
  ingress::target_ptr target() override;
  void close() override;
  void hold_back(bool on) override;
  replica::request_load load() const override;

private:
  class shared;
  std::shared_ptr<shared> shared_;
};

} // namespace sluice::work
