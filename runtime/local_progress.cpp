#include "runtime/local_progress.hpp"

#include <algorithm>
#include <cstdio>

namespace sluice::runtime {

namespace {

/// 1234567 -> "1,234,567"
std::string grouped(std::uint64_t value) {
  auto digits = std::to_string(value);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

const queue::queue_stat* find(const std::vector<queue::queue_stat>& stats, const queue_name& name) {
  auto found = std::find_if(stats.begin(), stats.end(), [&](const auto& each) { return each.name == name; });
  return found == stats.end() ? nullptr : &*found;
}

} // namespace

std::vector<processor_progress> progress_of(const flow_spec& spec, const host::host_report& report,
                                            const std::vector<queue::queue_stat>& stats) {
  std::vector<processor_progress> out;
  for (const auto& processor : spec.processors) {
    processor_progress one;
    one.name = processor.name;
    bool all_exhausted = processor.source.kind != "queue";
    std::size_t replicas = 0;
    for (const auto& replica : report.replicas) {
      if (replica.processor != processor.name)
        continue;
      ++replicas;
      one.processed_total += replica.processed_total;
      one.failed_total += replica.failed_total;
      one.in_flight += replica.in_flight;
      all_exhausted = all_exhausted && replica.exhausted;
      if (replica.phase == host::replica_phase::failed)
        one.failure = replica.last_error;
      if (!replica.last_error.empty())
        one.last_error = replica.last_error;
    }
    one.is_exhausted = all_exhausted && replicas > 0;
    if (processor.source.kind == "queue") {
      one.source = queue_name{processor.source.options.at("name")};
      if (const auto* stat = find(stats, *one.source)) {
        one.backlog = stat->depth_count;
        one.dead = stat->dead_count;
      }
    }
    out.push_back(std::move(one));
  }
  return out;
}

bool has_ended(const std::vector<processor_progress>& all, bool feeds_done) {
  return feeds_done && std::all_of(all.begin(), all.end(), [](const auto& one) {
           return one.in_flight == 0 && (one.source ? one.backlog == 0 : one.is_exhausted);
         });
}

std::string progress_line(const std::vector<processor_progress>& all, const std::vector<double>& rates_per_s,
                          std::size_t columns) {
  std::string line;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& one = all[i];
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
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.1f s", static_cast<double>(took.count()) / 1000.0);
  std::string out;
  for (const auto& one : all) {
    out += one.name.value + ": " + grouped(one.processed_total) + " done in " + seconds;
    if (one.failed_total > 0)
      out += ", " + grouped(one.failed_total) + " failed attempts";
    if (one.source && one.backlog > 0)
      out += ", " + grouped(one.backlog) + " wait in queue '" + one.source->value + "'";
    if (one.dead > 0)
      out += ", " + grouped(one.dead) + " dead letters in queue '" + one.source->value + "'";
    out += "\n";
    if (one.failed_total > 0)
      out += "  last error: " + one.last_error + "\n";
  }
  return out;
}

} // namespace sluice::runtime
