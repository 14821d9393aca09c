#include "runtime/local_batch.hpp"

#include "runtime/batch_progress.hpp"
#include "transport/batch/batch_files.hpp"

#include <algorithm>

namespace sluice::runtime {

namespace {

struct found_job {
  const processor_spec* spec;
  batch::job job;
};

/// Whether source or sink are others than when the run began; an unreadable one is told by the batch itself. With records of
/// a queue in its splits a run is not begun anew: the batch tells of that, too.
bool has_changed(const flow_name& flow, const found_job& of) {
  const auto [from, to] = batch::ends_of(*of.spec);
  if (of.job.is_of_queue())
    return of.job.from != from && of.job.split_count == 0;
  if (!of.job.from.empty() && (of.job.from != from || of.job.to != to))
    return true;
  auto files = batch::make_batch_files(flow, *of.spec);
  if (!files || of.job.split_bytes == 0)
    return false;
  auto source = (*files)->identify();
  return source && !(*source == of.job.source);
}

} // namespace

std::string resume_remark(const processor_name& processor, const batch::job& interrupted) {
  if (interrupted.done.count() == 0)
    return {};
  const auto size_bytes = interrupted.source.size_bytes; // of a queue it is not known
  const auto where = size_bytes == 0
                       ? "behind " + grouped(interrupted.totals.records_in) + " records"
                       : "at " + std::to_string(interrupted.totals.bytes_in * 100 / size_bytes) + " %";
  return processor.value + ": goes on where it was, " + where
         + (interrupted.is_of_queue() ? ""
                                      : "; --restart begins anew"); // the records of a queue are nowhere else
}

result<chosen_run> choose_run(local_system& system, const flow_spec& spec, bool restart) {
  std::vector<found_job> jobs;
  std::size_t batches = 0;
  chosen_run out;
  for (const auto& each : spec.processors) {
    if (each.kind != pattern::batch)
      continue;
    ++batches;
    auto text = system.position(batch::job_key(spec.name, each.name));
    if (!text)
      return fail(text);
    if (text->empty())
      continue;
    auto job = batch::job_from_text(*text);
    if (!job)
      return fail(job);
    out.run = std::max(out.run, job->run);
    jobs.push_back({&each, std::move(*job)});
  }
  if (jobs.empty())
    return out;
  std::erase_if(jobs, [&](const found_job& each) { return each.job.run != out.run; });
  const auto is_done = [](const found_job& each) { return each.job.phase == batch::job_phase::done; };
  if (restart || (jobs.size() == batches && std::all_of(jobs.begin(), jobs.end(), is_done))) {
    ++out.run;
    return out;
  }
  for (const auto& each : jobs)
    if (!is_done(each) && has_changed(spec.name, each)) {
      ++out.run;
      out.remark = each.spec->name.value
                   + ": its source or sink has changed since the run that was interrupted: begins anew";
      return out;
    }
  for (const auto& each : jobs) // where a queue's job does not fit, the batch says so
    if (const auto [from, to] = batch::ends_of(*each.spec);
        !is_done(each) && (each.job.from.empty() || (each.job.from == from && each.job.to == to)))
      out.remark = resume_remark(each.spec->name, each.job);
  return out;
}

} // namespace sluice::runtime
