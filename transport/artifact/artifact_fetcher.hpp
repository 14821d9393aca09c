#pragma once

#include "transport/artifact/artifact_store.hpp"
#include "transport/process/work_thread.hpp"
#include "actors/node/artifact_port.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace sluice::artifact {

/// Reads a piece of an artifact where it is stored: up to `size_bytes_max` from `offset`.
/// Runs on the fetcher's thread and may wait, but not for ever: it has a deadline of
/// its own and fails with `timeout` or `unavailable`.
using read_remote =
  std::function<result<std::string>(const artifact_id& id, std::uint64_t offset, std::size_t size_bytes_max)>;

/// Brings missing artifacts into a node's store, one at a time.
class artifact_fetcher final : public node::artifact_port {
public:
  /// `store` must outlive the fetcher.
  artifact_fetcher(artifact_store& store, read_remote read);

  /// Questions that are still open are answered with `shutting_down`.
  ~artifact_fetcher() override;

  void ensure(const artifact_id& id, std::uint64_t size_bytes,
              std::function<void(result<void>)> done) override;

private:
  using waiters = std::vector<std::function<void(result<void>)>>;

  result<void> fetch(const artifact_id& id, std::uint64_t size_bytes);
  void answer(const artifact_id& id, const result<void>& outcome);

  static constexpr std::size_t fetches_waiting_max = 256;

  artifact_store& store_;
  read_remote read_;
  std::mutex mutex_;
  std::map<artifact_id, waiters> waiting_;
  std::atomic<bool> is_stopping_{false};
  std::unique_ptr<process::work_thread> thread_;
};

} // namespace sluice::artifact
