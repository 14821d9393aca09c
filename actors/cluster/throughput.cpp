#include "actors/cluster/throughput.hpp"

namespace sluice::cluster {

void throughput::add(const node::node_report& report) {
  auto& before = seen_[report.node];
  std::map<std::pair<host_id, replica_id>, counters> now;
  for (const auto& host : report.hosts)
    for (const auto& replica : host.replicas) {
      const auto id = std::pair{host.id, replica.id};
      const counters count{replica.processed_total, replica.failed_total};
      counters last;
      if (auto found = before.find(id); found != before.end())
        last = found->second;
      auto& total = processors_[{host.flow, replica.processor}].total;
      total.processed_total +=
        count.processed >= last.processed ? count.processed - last.processed : count.processed;
      total.failed_total += count.failed >= last.failed ? count.failed - last.failed : count.failed;
      if (!replica.last_error.empty())
        total.last_error = replica.last_error;
      now[id] = count;
    }
  before = std::move(now);
}

void throughput::sample(time_point now) {
  for (auto& [processor, it] : processors_) {
    it.samples.emplace_back(now, it.total.processed_total);
    while (it.samples.size() > 2 && now - it.samples[1].first >= window)
      it.samples.pop_front();
  }
}

throughput::sum throughput::of(const key& processor) const {
  auto found = processors_.find(processor);
  return found == processors_.end() ? sum{} : found->second.total;
}

double throughput::rate_per_s(const key& processor) const {
  auto found = processors_.find(processor);
  if (found == processors_.end() || found->second.samples.size() < 2)
    return 0;
  const auto& [since, count_then] = found->second.samples.front();
  const auto& [until, count_now] = found->second.samples.back();
  const auto length = std::chrono::duration<double>(until - since).count();
  return length > 0 ? static_cast<double>(count_now - count_then) / length : 0;
}

void throughput::keep_only(const std::set<flow_name>& flows) {
  std::erase_if(processors_, [&](const auto& it) { return !flows.contains(it.first.first); });
}

} // namespace sluice::cluster
