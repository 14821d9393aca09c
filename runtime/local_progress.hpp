#pragma once

#include "actors/host/host_protocol.hpp"
#include "actors/ingress/ingress_protocol.hpp"
#include "actors/queue/queue_protocol.hpp"

#include <sluice/flow_spec.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::runtime {

/// How one processor of a flow that runs by hand stands: the sum of its replicas.
struct processor_progress {
  processor_name name;
  std::uint64_t processed_total = 0;
  std::uint64_t failed_total = 0;
  std::uint64_t in_flight = 0;
  bool is_exhausted = false;               ///< its source, which is no queue, has ended
  std::optional<queue_name> source;        ///< if it is a queue
  std::uint64_t backlog = 0;               ///< of that queue
  std::optional<host::batch_report> batch; ///< of a batch, the newest that any replica knows
  std::string rejected;                    ///< where a batch lists what it rejects
  std::optional<std::string> failure;      ///< a replica of it has failed for good
  std::string last_error;
  std::string trouble; ///< what does not work at the moment and is tried again; empty = all works
};

/// The state of all processors, in the order of the flow. `stats` must not be older than `report`
/// for `has_ended` to hold.
std::vector<processor_progress> progress_of(const flow_spec& spec, const host::host_report& report,
                                            const std::vector<queue::queue_stat>& stats);

/// Adds what the ingress says of collectors whose sink is a queue: it writes their results.
void add_sink_errors(std::vector<processor_progress>& all, const std::vector<ingress::processor_load>& loads);

/// Nothing is left to do and nothing more can come: all sources that are no queue have ended and the
/// queues that are read are empty.
bool has_ended(const std::vector<processor_progress>& all, bool feeds_done);

/// Of a drain: no user code is at work, and all that is not down yet waits for what does not work at the moment.
bool is_held_up(const host::host_report& report);

/// One line for a terminal of `columns` columns; a batch has a bar, its rate and the time left.
std::string progress_line(const std::vector<processor_progress>& all, const std::vector<double>& rates_per_s,
                          std::size_t columns);

/// What was done, one line per processor.
std::string summary(const std::vector<processor_progress>& all, std::chrono::milliseconds took);

} // namespace sluice::runtime
