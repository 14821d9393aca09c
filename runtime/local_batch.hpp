#pragma once

#include "runtime/local_system.hpp"
#include "actors/batch/batch_job.hpp"

#include <sluice/core/result.hpp>
#include <sluice/flow_spec.hpp>

#include <cstdint>
#include <string>

namespace sluice::runtime {

/// Which run of a flow's batches a start by hand is.
struct chosen_run {
  std::uint64_t run = 1;
  std::string remark; ///< for people, if there is something to say
};

/// "work: goes on where it was, at 40 %; ..."; nothing if none of it is done, for then it begins.
std::string resume_remark(const processor_name& processor, const batch::job& interrupted);

/// Goes on with the run that was interrupted or has failed; a new one begins when the last is done, when a source has
/// changed since, and when `restart` says so. Before `local_system::start`.
result<chosen_run> choose_run(local_system& system, const flow_spec& spec, bool restart);

} // namespace sluice::runtime
