#include "runtime/local_progress.hpp"

#include "runtime/batch_progress.hpp"
#include "actors/batch/batch_job.hpp"

#include <algorithm>

namespace sluice::runtime {

namespace {

const queue::queue_stat* find(const std::vector<queue::queue_stat>& stats, const queue_name& name) {
  auto found = std::find_if(stats.begin(), stats.end(), [&](const auto& each) { return each.name == name; });
  return found == stats.end() ? nullptr : &*found;
}

bool is_newer(const host::batch_report& one, const std::optional<host::batch_report>& other) {
  return !other || one.run > other->run
         || (one.run == other->run
             && (one.done_bytes > other->done_bytes || one.phase != host::batch_phase::running));
}

std::string batch_summary(const processor_progress& one, std::chrono::milliseconds took) {
  const auto& batch = *one.batch;
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(one.processed_total)
                                               / std::max(0.001, static_cast<double>(took.count()) / 1000.0));
  auto out = one.name.value + ": " + std::string{to_string(batch.phase)} + ": " + batch_counts(batch) + "; "
             + grouped(one.processed_total) + " processed in " + seconds_text(took) + ", " + grouped(rate)
             + "/s";
  if (batch.phase == host::batch_phase::running)
    out += "; run it again to go on";
  out += "\n";
  if (batch.phase == host::batch_phase::failed)
    out += "  " + batch.error + "\n";
  else if (batch.phase == host::batch_phase::done && batch.rejected > 0)
    out += "  rejected records: " + one.rejected + "\n";
  return out;
}

} // namespace

std::vector<processor_progress> progress_of(const flow_spec& spec, const host::host_report& report,
                                            const std::vector<queue::queue_stat>& stats) {
  std::vector<processor_progress> out;
  for (const auto& processor : spec.processors) {
    processor_progress one;
    one.name = processor.name;
    if (processor.kind == pattern::batch)
      one.rejected = batch::rejected_path(spec.name, processor);
    // What is in the queue of a batch when it has ended is for its next run.
    const bool is_fed = processor.source.kind == "queue" && processor.kind != pattern::batch;
    bool all_exhausted = !is_fed;
    std::size_t replicas = 0;
    for (const auto& replica : report.replicas) {
      if (replica.processor != processor.name)
        continue;
      ++replicas;
      one.processed_total += replica.processed_total;
      one.failed_total += replica.failed_total;
      one.in_flight += replica.in_flight;
      all_exhausted = all_exhausted && replica.exhausted;
      if (replica.batch && is_newer(*replica.batch, one.batch))
        one.batch = replica.batch;
      if (replica.phase == host::replica_phase::failed)
        one.failure = replica.last_error;
      if (!replica.last_error.empty())
        one.last_error = replica.last_error;
      if (replica.retrying)
        one.trouble = replica.last_error;
    }
    one.is_exhausted = all_exhausted && replicas > 0;
    if (one.batch && one.batch->phase != host::batch_phase::running) {
      // One replica knows that it has ended; what the others still have in hand is of no use.
      one.is_exhausted = true;
      one.in_flight = 0;
    }
    if (one.batch && one.batch->phase == host::batch_phase::failed && !one.failure)
      one.failure = one.batch->error;
    if (is_fed) {
      one.source = queue_name{processor.source.options.at("name")};
      if (const auto* stat = find(stats, *one.source)) {
        one.backlog = stat->depth_count;
      }
    }
    out.push_back(std::move(one));
  }
  return out;
}

void add_sink_errors(std::vector<processor_progress>& all,
                     const std::vector<ingress::processor_load>& loads) {
  for (const auto& load : loads)
    for (auto& one : all)
      if (one.name == load.processor && !load.sink_error.empty())
        one.trouble = one.last_error = load.sink_error;
}

bool has_ended(const std::vector<processor_progress>& all, bool feeds_done) {
  return feeds_done && std::all_of(all.begin(), all.end(), [](const auto& one) {
           return one.in_flight == 0 && (one.source ? one.backlog == 0 : one.is_exhausted);
         });
}

bool is_held_up(const host::host_report& report) {
  std::size_t waiting = 0;
  for (const auto& each : report.replicas) {
    if (each.phase == host::replica_phase::down || each.phase == host::replica_phase::failed)
      continue;
    if (!each.retrying || each.busy_longest.count() > 0)
      return false;
    ++waiting;
  }
  return waiting > 0;
}

std::string progress_line(const std::vector<processor_progress>& all, const std::vector<double>& rates_per_s,
                          std::size_t columns) {
  std::string line;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& one = all[i];
    if (one.batch) {
      line += (i == 0 ? "" : "  |  ") + one.name.value + ": " + batch_bar(*one.batch, rates_per_s[i]);
      continue;
    }
    line += (i == 0 ? "" : "  |  ") + one.name.value + ": " + grouped(one.processed_total) + " done, "
            + grouped(static_cast<std::uint64_t>(rates_per_s[i])) + "/s";
    if (one.source)
      line += ", " + grouped(one.backlog) + " waiting";
    if (one.failed_total > 0)
      line += ", " + grouped(one.failed_total) + " failed attempts";
  }
  if (line.size() > columns)
    line.resize(columns);
  return line;
}

std::string summary(const std::vector<processor_progress>& all, std::chrono::milliseconds took) {
  std::string out;
  for (const auto& one : all) {
    if (one.batch) {
      out += batch_summary(one, took);
      continue;
    }
    out += one.name.value + ": " + grouped(one.processed_total) + " done in " + seconds_text(took);
    if (one.failed_total > 0)
      out += ", " + grouped(one.failed_total) + " failed attempts";
    if (one.source && one.backlog > 0)
      out += ", " + grouped(one.backlog) + " wait in queue '" + one.source->value + "'";
    out += "\n";
    if (!one.last_error.empty() && !one.failure) // a failure has been said
      out += "  last error: " + one.last_error + "\n";
  }
  return out;
}

} // namespace sluice::runtime
