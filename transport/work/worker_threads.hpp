#pragma once

#include "actors/replica/flight_recorder_port.hpp"
#include "actors/replica/replica_port.hpp"

#include <chrono>
#include <memory>
#include <mutex>

namespace sluice::work {

/// The threads on which replicas call user code and do their blocking input and output.
///
/// A thread belongs to one replica. A replica that ends does not wait for its threads: one
/// that is inside user code leaves when that returns. Whoever ends the process calls
/// `wait_all_ended` and, when that fails, leaves without running destructors: a thread
/// that never returns would use what they destroy.
class worker_threads final : public replica::threads_port {
public:
  /// `recorder` may be none.
  explicit worker_threads(std::shared_ptr<replica::flight_recorder_port> recorder = nullptr);
  ~worker_threads() override;
  worker_threads(const worker_threads&) = delete;
  worker_threads& operator=(const worker_threads&) = delete;

  std::unique_ptr<replica::work_port> make_work(replica::work_options opts) override;
  std::unique_ptr<replica::request_work_port> make_request_work(replica::request_work_options opts) override;
  std::unique_ptr<replica::runner_port> make_runner(const std::string& name) override;

  /// Made at the first call.
  http::client_port* http_client() override;

  void answer_together(const std::function<void()>& work) override;

  /// Whether all threads ended within `wait_max`; those of living ports do not.
  bool wait_all_ended(std::chrono::milliseconds wait_max);

  struct counter;

private:
  std::shared_ptr<counter> counter_;
  std::shared_ptr<replica::flight_recorder_port> recorder_;
  std::once_flag client_made_;
  std::unique_ptr<http::client_port> client_;
};

} // namespace sluice::work
