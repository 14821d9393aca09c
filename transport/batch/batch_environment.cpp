#include "transport/batch/batch_environment.hpp"

#include "transport/batch/batch_files.hpp"
#include "transport/batch/run_loop.hpp"
#include "transport/process/crash_handler.hpp"
#include "transport/process/flight_recorder.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>

namespace sluice::batch {

namespace {

class environment final : public environment_port {
public:
  explicit environment(http::client_port* client) : client_(client) {}

  result<std::shared_ptr<files_port>> make_files(const flow_name& flow, const processor_spec& spec) override {
    return make_batch_files(flow, spec);
  }

  std::shared_ptr<loop_executor> make_loop() override { return make_run_loop(client_); }

  void mark_thread(replica::flight_slot* slot) override {
    thread_local std::optional<process::crash_stack> stack; // user code may run out of stack
    if (!stack)
      stack.emplace();
    process::set_slot_of_thread(slot);
  }

  std::chrono::steady_clock::time_point now() const override { return std::chrono::steady_clock::now(); }

  void pause(std::chrono::milliseconds length) override {
    std::mutex nobody;
    std::condition_variable never;
    std::unique_lock lock{nobody};
    never.wait_for(lock, length);
  }

private:
  http::client_port* client_;
};

} // namespace

std::shared_ptr<environment_port> make_environment(http::client_port* client) {
  return std::make_shared<environment>(client);
}

} // namespace sluice::batch
