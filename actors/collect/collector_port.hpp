#pragma once

#include <sluice/core/ids.hpp>
#include <sluice/processor/request_body.hpp>

#include <functional>
#include <memory>
#include <string>

namespace sluice::collect {

/// Brings what the collectors of one processor made to the queue that is their sink, and answers their clients. Any thread.
///
/// The last owner lets go of it while calls wait: they are answered as they would be.
class collector_port {
public:
  virtual ~collector_port() = default;

  /// `call` is answered when its results are stored. Never blocks.
  virtual void add(exchange_ptr call, queue_results results) = 0;

  /// So much waits for the queue that no more work should be begun for it.
  virtual bool is_full() const noexcept = 0;

  /// Why the queue did not take the last write; empty = it did.
  virtual std::string trouble() const = 0;
};

using collector_ptr = std::shared_ptr<collector_port>;

/// The one of this process for these; made if there is none. Any thread.
using find_collector =
  std::function<collector_ptr(const flow_name&, const processor_name&, const queue_name&)>;

} // namespace sluice::collect
